"""Residual blocks, tails, batch norms and uncounted arithmetic, in hand-written networks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.graph.dataflow import watch
from paredown.spaces.graph.structure import (
    ClassifierHead,
    NetworkStructure,
    ResidualBlock,
    Shortcut,
)
from paredown.spaces.graph.structure_detection import find_structure
from torch import nn


def landmarks(network: nn.Module, size: int = 16) -> NetworkStructure:
    with torch.device("meta"):
        images = torch.zeros(2, 3, size, size)
    return find_structure(watch(network.to("meta"), images))


class With(nn.Module):
    """Modules by name, and a forward pass over them that ends in class scores."""

    def __init__(
        self, forward: Callable[[Any, torch.Tensor], torch.Tensor], **modules: nn.Module
    ) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self._does = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._does(self, x)


def conv(into: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)


# --- a convolution and the batch norm behind it ---


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda m, x: m.norm(m.conv(x)), {"conv": "norm"}),
        (lambda m, x: m.norm(F.relu(m.conv(x))), {}),
        (lambda m, x: m.norm(F.relu(m.conv(x), inplace=True)), {}),
        (lambda m, x: m.norm(y := m.conv(x)) + y, {}),  # the sum reads it too
        (lambda m, x: m.norm(m.conv(x)) + m.norm(m.conv(x)), {}),  # both run twice
        (lambda m, x: m.norm(m.conv(x)) * m.conv(x), {}),
        (lambda m, x: m.norm(m.conv(x).contiguous()), {"conv": "norm"}),  # nothing to be done
        (lambda m, x: m.norm(m.other(m.conv(x))), {"other": "norm"}),
        (lambda m, x: m.other(F.relu_(m.norm(m.conv(x)))), {"conv": "norm"}),
    ],
    ids=[
        *("behind it", "an activation between", "one in place", "a sum beside", "both twice"),
        *("the convolution twice", "nothing between", "two convolutions", "in place behind"),
    ],
)
def test_a_batch_norm_goes_with_a_convolution_that_nothing_else_reads(
    forward: Callable[[Any, torch.Tensor], torch.Tensor], expected: dict[str, str]
) -> None:
    network = With(
        lambda m, x: forward(m, x).mean((2, 3)), conv=conv(3, 3), norm=norm(3), other=conv(3, 3)
    )
    assert dict(landmarks(network).normalised) == expected


def test_two_batch_norms_on_one_convolution_go_with_none() -> None:
    network = With(
        lambda m, x: (m.one(y := m.conv(x)) + m.two(y)).mean((2, 3)),
        conv=conv(3, 4),
        one=norm(4),
        two=norm(4),
    )
    assert dict(landmarks(network).normalised) == {}


def test_a_batch_norm_that_is_shared_goes_with_no_convolution() -> None:
    network = With(
        lambda m, x: m.norm(m.two(m.norm(m.one(x)))).mean((2, 3)),
        one=conv(3, 4),
        two=conv(4, 4),
        norm=norm(4),
    )
    assert dict(landmarks(network).normalised) == {}


def test_linear_layers_and_one_dimensional_convolutions_have_none() -> None:
    network = With(
        lambda m, x: m.norm(m.linear(x.mean((2, 3)))),
        linear=nn.Linear(3, 4),
        norm=nn.BatchNorm1d(4),
    )
    assert dict(landmarks(network).normalised) == {}


# --- residual blocks ---


class Basic(nn.Module):
    """Two 3x3 convolutions around a shortcut of some sort, as in the wild."""

    def __init__(self, into: int, out: int, stride: int = 1, adds: str = "same") -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(into, out, stride=stride), norm(out)
        self.conv2, self.norm2 = conv(out, out), norm(out)
        self.adds, self.down = adds, conv(into, out, 1, stride) if adds == "projected" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.adds == "in place":
            y += x
        elif self.adds == "same":
            y = y + x
        elif self.down is not None:
            y = y + self.down(x)
        return F.relu(y)


def net(*blocks: nn.Module, width: int = 8) -> nn.Module:
    return nn.Sequential(
        conv(3, width),
        nn.Sequential(*blocks),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


@pytest.mark.parametrize("adds", ["same", "in place"])
def test_a_block_that_adds_its_input(adds: str) -> None:
    assert landmarks(net(Basic(8, 8, adds=adds))).blocks == (
        ResidualBlock(
            name="1.0",
            entry="1.0.conv1",
            middle="1.0.conv1",
            exit="1.0.conv2",
            input_size=(16, 16),
            output_size=(16, 16),
            shortcut=Shortcut.IDENTITY,
        ),
    )


def test_a_block_that_projects_what_it_adds() -> None:
    (block,) = landmarks(net(Basic(16, 8, 2, "projected"), width=16)).blocks
    assert (block.shortcut, block.stride) == (Shortcut.PROJECTION, (2, 2))
    assert (block.input_size, block.output_size) == ((16, 16), (8, 8))
    assert (block.entry, block.exit) == ("1.0.conv1", "1.0.down")


def test_blocks_of_the_same_class_that_add_nothing_are_blocks_without_a_shortcut() -> None:
    blocks = landmarks(net(Basic(8, 8), Basic(8, 8, 2, "nothing"), Basic(8, 8))).blocks
    assert [block.name for block in blocks] == ["1.0", "1.1", "1.2"]
    shortcuts = [block.shortcut for block in blocks]
    assert shortcuts == [Shortcut.IDENTITY, Shortcut.NONE, Shortcut.IDENTITY]
    alone = landmarks(net(Basic(8, 8, 1, "nothing"))).blocks
    assert alone == ()  # nothing tells that it is one


def test_a_sum_in_the_network_itself_makes_no_block() -> None:
    network = With(
        lambda m, x: (m.two(y := m.one(x)) + y).mean((2, 3)), one=conv(3, 8), two=conv(8, 8)
    )
    assert landmarks(network).blocks == ()


def test_a_sum_without_a_spatial_convolution_makes_no_block() -> None:
    block = With(lambda m, x: m.conv(x) + x, conv=conv(8, 8, 1))
    assert landmarks(net(block)).blocks == ()


def test_of_nested_blocks_the_innermost_count() -> None:
    outer = With(lambda m, x: m.second(m.first(x)) + x, first=Basic(8, 8), second=Basic(8, 8))
    names = [block.name for block in landmarks(net(outer)).blocks]
    assert names == ["1.0.first", "1.0.second"]


def test_a_block_that_runs_twice_is_none() -> None:
    shared = Basic(8, 8)
    network = With(
        lambda m, x: m.block(m.block(m.stem(x))).mean((2, 3)), stem=conv(3, 8), block=shared
    )
    assert landmarks(network).blocks == ()


def test_blocks_come_in_running_order_whatever_their_names() -> None:
    network = With(
        lambda m, x: m.a(m.b(m.stem(x))).mean((2, 3)),
        stem=conv(3, 8),
        a=Basic(8, 8),
        b=Basic(8, 8),
    )
    assert [block.name for block in landmarks(network).blocks] == ["b", "a"]


# --- the tail ---


def tail(
    forward: Callable[[Any, torch.Tensor], torch.Tensor], **modules: nn.Module
) -> ClassifierHead | None:
    modules = {"conv": conv(3, 8), "fc": nn.Linear(8, 5)} | modules
    return landmarks(With(forward, **modules)).classifier_head


def test_a_tail_of_pooling_reshaping_and_company() -> None:
    results = tail(
        lambda m, x: m.fc(m.drop(m.act(m.hidden(m.flat(m.pool(m.conv(x))))))),
        pool=nn.AvgPool2d(8),
        flat=nn.Flatten(),
        hidden=nn.Linear(32, 8),
        act=nn.ReLU(),
        drop=nn.Dropout(),
    )
    assert results == ClassifierHead(
        pools=("pool",),
        linears=("hidden", "fc"),
        company=("act", "drop"),
        pixels=4,
        size=(16, 16),
    )


@pytest.mark.parametrize(
    ("forward", "functional"),
    [
        (lambda m, x: m.fc(torch.flatten(m.pool(m.conv(x)), 1)), ()),
        (lambda m, x: m.fc(m.pool(m.conv(x)).view(x.shape[0], -1)), ()),
        (lambda m, x: m.fc(m.pool(m.conv(x)).squeeze(3).squeeze(2)), ()),
        (lambda m, x: m.fc(m.conv(x).mean((2, 3))), ("aten::mean",)),
        (lambda m, x: m.fc(F.relu(m.pool(m.conv(x)).flatten(1))), ("aten::relu",)),
        (
            lambda m, x: F.log_softmax(m.fc(m.pool(m.conv(x)).flatten(1)), 1),
            ("aten::_log_softmax",),
        ),
    ],
    ids=["flatten", "view", "squeeze", "mean", "relu", "log-softmax"],
)
def test_functions_in_a_tail_are_named_but_reshaping(
    forward: Callable[[Any, torch.Tensor], torch.Tensor], functional: tuple[str, ...]
) -> None:
    results = tail(forward, pool=nn.AdaptiveAvgPool2d(1))
    assert results is not None
    assert results.functional == functional
    assert (results.linears, results.pixels, results.size) == (("fc",), 1, (16, 16))


def test_pooling_between_convolutions_is_no_part_of_the_tail() -> None:
    results = tail(
        lambda m, x: m.fc(m.last(m.conv(m.first(x))).flatten(1)),
        first=nn.MaxPool2d(2),
        last=nn.AdaptiveMaxPool2d(1),
    )
    assert results is not None
    assert (results.pools, results.size) == (("last",), (8, 8))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.conv(x).mean((2, 3)),  # no linear layer
        lambda m, x: m.same(m.same(m.pool(m.conv(x)).flatten(1))),  # one that runs twice
        lambda m, x: m.fc(m.pool(m.conv(m.pool(x).expand(x.shape))).flatten(1)),  # pooling twice
    ],
    ids=["no linear layer", "one that runs twice", "a pooling that runs twice"],
)
def test_other_ends_are_no_tail(forward: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
    assert tail(forward, pool=nn.AdaptiveAvgPool2d(1), same=nn.Linear(8, 8)) is None


# --- what no layer stands for ---


@pytest.mark.parametrize(
    ("forward", "op", "module"),
    [
        (lambda m, x: F.conv2d(x, m.conv.weight), "aten::convolution", ""),
        (lambda m, x: m.up(x), "aten::convolution", "up"),
        (lambda m, x: m.flat(x.flatten(2)).unflatten(2, (2, -1)), "aten::convolution", "flat"),
        (lambda m, x: x @ x.transpose(2, 3), "aten::bmm", ""),
    ],
    ids=["functional", "transposed", "one-dimensional", "product"],
)
def test_arithmetic_without_a_layer_is_named(
    forward: Callable[[Any, torch.Tensor], torch.Tensor], op: str, module: str
) -> None:
    network = With(
        lambda m, x: forward(m, x).mean((2, 3)),
        conv=conv(3, 8),
        up=nn.ConvTranspose2d(3, 4, 2, 2),
        flat=nn.Conv1d(3, 4, 31),
    )
    results = landmarks(network).uncounted
    assert [(operation.op, operation.module) for operation in results] == [(op, module)]
    assert op.removeprefix("aten::") in results[0].text
    assert (module or "the network") in results[0].text


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = conv(3, 8), nn.Linear(8, 5)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.conv(x).flatten(2).transpose(1, 2)
        out: torch.Tensor = self.fc(self.attention(rows, rows, rows, need_weights=False)[0].mean(1))
        return out


def test_attention_is_named_once() -> None:
    results = landmarks(Attends()).uncounted
    assert {operation.module for operation in results} == {"attention"}
    assert len(set(results)) == len(results)


def test_convolutions_and_linear_layers_are_counted() -> None:
    assert landmarks(net(Basic(8, 8), Basic(8, 8))).uncounted == ()
