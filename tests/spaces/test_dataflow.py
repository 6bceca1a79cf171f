"""Watching a network run: values, writers, readers, and what is left behind."""

import copy

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.graph.dataflow import Flow, watch
from torch import nn

IMAGES = torch.randn(2, 3, 8, 8)


class Small(nn.Module):
    """A convolution, an activation in place, a sum in the forward pass, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.linear = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.act(self.conv(x)) + x
        scores: torch.Tensor = self.linear(out.mean((2, 3)))
        return scores


def names(flow: Flow) -> list[str]:
    return [call.name for call in flow.calls]


def test_operators_are_seen_with_the_module_that_ran_them() -> None:
    flow = watch(Small(), IMAGES)
    seen = [(event.module, event.op) for event in flow.events]
    assert seen[:4] == [
        ("conv", "aten::convolution"),
        ("act", "aten::relu_"),
        ("", "aten::add"),
        ("", "aten::mean"),
    ]
    assert ("linear", "aten::addmm") in seen
    assert names(flow) == ["conv", "act", "linear", ""]  # in the order in which they ended


def test_values_are_followed_from_writer_to_readers() -> None:
    flow = watch(Small(), IMAGES)
    calls = {call.name: call for call in flow.calls}
    total = next(event for event in flow.events if event.op == "aten::add")
    assert calls["conv"].reads == calls[""].reads  # both read the images
    assert set(total.reads) == {calls["act"].writes, calls[""].reads}
    assert flow.readers(total.writes[0]) == [e for e in flow.events if e.op == "aten::mean"]
    assert flow.readers(calls["linear"].writes) == []
    assert calls["linear"].writes == calls[""].writes


def test_what_is_written_in_place_is_a_new_value() -> None:
    flow = watch(Small(), IMAGES)
    calls = {call.name: call for call in flow.calls}
    assert calls["act"].reads == calls["conv"].writes
    assert calls["act"].writes != calls["conv"].writes
    assert [event.op for event in flow.readers(calls["conv"].writes)] == ["aten::relu_"]


def test_shapes_and_events_of_a_module() -> None:
    flow = watch(Small(), IMAGES)
    calls = {call.name: call for call in flow.calls}
    assert calls["conv"].input_shape == calls["conv"].output_shape == (2, 3, 8, 8)
    assert calls["conv"].keeps_images
    assert not calls[""].keeps_images
    inside = flow.events[calls["linear"].begin : calls["linear"].end]
    assert {event.module for event in inside} == {"linear"}
    assert flow.events[calls[""].begin : calls[""].end] == flow.events
    assert flow.is_leaf(calls["conv"])
    assert not flow.is_leaf(calls[""])


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(self.conv(x))
        return out.mean((2, 3))


def test_a_module_that_runs_twice_has_two_calls() -> None:
    flow = watch(Twice(), IMAGES)
    first, second = (call for call in flow.calls if call.name == "conv")
    assert second.reads == first.writes
    assert second.begin >= first.end


class Odd(nn.Module):
    """Modules that read two tensors, write a pair, or take their input by name."""

    class Pair(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    class Split(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(x.chunk(2, 1))

    class Named(nn.Module):
        def forward(self, *, images: torch.Tensor) -> torch.Tensor:
            return F.relu(images)

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.split, self.named = self.Pair(), self.Split(), self.Named()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, x], 1)
        first, second = self.split(x)
        out: torch.Tensor = self.named(images=self.pair(first, second))
        return out.mean((2, 3))


def test_modules_of_other_shapes_run_and_are_no_calls_unless_one_tensor_comes_and_goes() -> None:
    flow = watch(Odd(), IMAGES)
    assert names(flow) == ["named", ""]
    modules = [event.module for event in flow.events]
    assert {"pair", "split", "named", ""} == set(modules)
    added = next(event for event in flow.events if event.module == "pair")
    split = next(event for event in flow.events if event.module == "split")
    assert set(added.reads) <= set(split.writes)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten()).train(training)
    before = copy.deepcopy(network.state_dict())
    watch(network, IMAGES)
    assert network.training is training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_hooks_go_when_the_network_fails() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(5, 2))
    with pytest.raises(RuntimeError):
        watch(network, IMAGES)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_it_sees_the_same_without_numbers() -> None:
    def seen(flow: Flow) -> list[tuple[object, ...]]:
        return [(e.op, e.module, e.reads, e.writes, e.shape) for e in flow.events]

    torch.manual_seed(0)
    network = Small()
    real = watch(network, IMAGES)
    assert seen(watch(network, IMAGES)) == seen(real)
    blank = watch(network.to("meta"), IMAGES.to("meta"))
    assert [event.module for event in blank.events] == [event.module for event in real.events]
    assert [(c.name, c.input_shape, c.output_shape) for c in blank.calls] == [
        (c.name, c.input_shape, c.output_shape) for c in real.calls
    ]
