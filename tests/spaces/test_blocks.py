"""The conformance suite: what every block family must do, at every sort of convolution.

A family that is registered is tested here without a word.
"""

from collections.abc import Callable

import pytest
import torch
from paredown.spaces.blocks import FAMILIES, BlockFamily
from paredown.spaces.blueprint import Geometry
from paredown.spaces.grouping import trace_with_groups
from paredown.spaces.plan import Plan
from paredown.spaces.sites import ConvSpec
from torch import nn


def spec(
    into: int,
    out: int,
    kernel: int | tuple[int, int] = 3,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | None = None,
    dilation: int = 1,
    bias: bool = False,
    image: int = 12,
) -> ConvSpec:
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    if padding is None:
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
    padding = (padding, padding) if isinstance(padding, int) else padding
    stride = (stride, stride) if isinstance(stride, int) else stride
    geometry = Geometry(kernel, stride, padding, (dilation, dilation), (image, image + 1))
    return ConvSpec(into, out, geometry, bias)


SPECS = {
    "plain": spec(16, 16),
    "wider, stride 2": spec(16, 32, stride=2),
    "narrower, bias": spec(24, 8, bias=True),
    "5x5, stride 2, bias": spec(8, 24, 5, stride=2, bias=True),
    "7x7 stem": spec(3, 16, 7, stride=2),
    "odd channels, bias": spec(5, 7, bias=True),
    "odd channels, stride 2": spec(9, 15, stride=2),
    "one channel in": spec(1, 8),
    "dilation 2": spec(6, 10, dilation=2),
    "no padding": spec(8, 8, padding=0, bias=True),
    "3x5": spec(8, 12, (3, 5)),
    "far narrower": spec(24, 2),
    "stride 2 and 1": spec(6, 9, stride=(2, 1)),
    "4x4, stride 2": spec(8, 12, 4, stride=2, padding=1),
}
AT_EVERY_SPEC = pytest.mark.parametrize("at", list(SPECS))
OF_EVERY_FAMILY = pytest.mark.parametrize("family", list(FAMILIES), ids=lambda f: f.name)


def build(family: BlockFamily, at: str) -> nn.Module:
    refusal = family.refuses(SPECS[at])
    if refusal:
        pytest.skip(f"{family.name} refuses: {refusal}")
    torch.manual_seed(0)
    return family.build(SPECS[at])


def original(at: str) -> nn.Conv2d:
    """The convolution that the specification describes, with random weights."""
    torch.manual_seed(1)
    where = SPECS[at]
    shape = where.geometry
    return nn.Conv2d(
        where.in_channels,
        where.out_channels,
        shape.kernel,
        shape.stride,
        shape.padding,
        shape.dilation,
        bias=where.bias,
    )


def images(at: str) -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(4, SPECS[at].in_channels, *SPECS[at].geometry.input_size)


def relative_error(block: nn.Module, conv: nn.Conv2d, x: torch.Tensor) -> float:
    with torch.no_grad():
        wanted = conv(x)
        return float((block(x) - wanted).norm() / wanted.norm())


class Host(nn.Module):
    """A network around one convolution: images in, class scores out, one site."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.before = nn.Conv2d(2, SPECS[at].in_channels, 1)
        self.site = original(at)
        self.norm = nn.BatchNorm2d(SPECS[at].out_channels)
        self.bare = SPECS[at].bias  # a bias behind which batch norm follows would be dropped
        self.after = nn.Conv2d(SPECS[at].out_channels, 8, 1)
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.site(self.before(x))
        x = self.after(x) if self.bare else self.after(self.norm(x))
        out: torch.Tensor = self.classifier(x.mean((2, 3)))
        return out


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_keeps_the_shape(family: BlockFamily, at: str) -> None:
    x = images(at)
    assert build(family, at)(x).shape == original(at)(x).shape


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_builds_without_data(family: BlockFamily, at: str) -> None:
    with torch.device("meta"):
        block = build(family, at)
    shapes = {name: p.shape for name, p in block.named_parameters()}
    assert all(p.is_meta for p in block.parameters())
    assert shapes == {name: p.shape for name, p in build(family, at).named_parameters()}
    assert block(images(at).to("meta")).shape == original(at)(images(at)).shape


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_every_parameter_learns(family: BlockFamily, at: str) -> None:
    block = build(family, at).train()
    block(images(at)).square().mean().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_costs_as_foretold(
    family: BlockFamily, at: str, assert_as_foretold: Callable[..., nn.Module]
) -> None:
    build(family, at)  # skips where the family refuses
    height, width = SPECS[at].geometry.input_size
    network, x = Host(at), torch.randn(4, 2, height, width)
    blueprint = trace_with_groups(network, x)
    plan = Plan.of({"block": {blueprint.layer("site").stage: family.name}})
    changed = assert_as_foretold(network, x, blueprint, plan)
    block = changed.get_submodule("site")
    assert not isinstance(block, nn.Conv2d)
    own = sum(p.numel() for p in family.build(SPECS[at]).parameters())
    assert sum(p.numel() for p in block.parameters()) == own


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_loses_channels_as_foretold(
    family: BlockFamily, at: str, assert_as_foretold: Callable[..., nn.Module]
) -> None:
    build(family, at)
    height, width = SPECS[at].geometry.input_size
    network, x = Host(at), torch.randn(4, 2, height, width)
    blueprint = trace_with_groups(network, x)
    stage = blueprint.layer("site").stage
    for share in (0.5, 0.9):
        others = dict.fromkeys({g.stage for g in blueprint.groups.values()}, share)
        plan = Plan.of({"block": {stage: family.name}, "prune": others})
        assert_as_foretold(network, x, blueprint, plan)


@AT_EVERY_SPEC
@OF_EVERY_FAMILY
def test_inherits_better_than_noise(family: BlockFamily, at: str) -> None:
    block, conv, x = build(family, at).eval(), original(at), images(at)
    noise = relative_error(block, conv, x)
    before = {name: p.clone() for name, p in block.named_parameters()}
    family.inherit(block, conv)
    assert [p.shape for p in block.parameters()] == [p.shape for p in before.values()]
    assert all(torch.isfinite(p).all() for p in block.parameters())
    assert all(p.requires_grad for p in block.parameters())
    if type(family).inherit is BlockFamily.inherit:
        assert all(torch.equal(p, before[name]) for name, p in block.named_parameters())
        pytest.skip(f"{family.name} starts from noise")
    inherited = relative_error(block, conv, x)
    assert inherited < noise
    assert inherited < 1  # closer than giving nothing at all


@OF_EVERY_FAMILY
def test_inheriting_leaves_the_original(family: BlockFamily) -> None:
    block, conv = build(family, "narrower, bias"), original("narrower, bias")
    before = {name: tensor.clone() for name, tensor in conv.state_dict().items()}
    family.inherit(block, conv)
    assert all(torch.equal(tensor, before[name]) for name, tensor in conv.state_dict().items())
    own = {p.data_ptr() for p in block.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in conv.parameters())


def one_filter_per_input(conv: nn.Conv2d) -> torch.Tensor:
    """weight[o, i] = a[o, i] * filter[i]: what a depthwise separable block can say."""
    out, into, *kernel = conv.weight.shape
    return torch.randn(out, into, 1, 1) * torch.randn(1, into, *kernel)


def columns_times_rows(conv: nn.Conv2d) -> torch.Tensor:
    """A sum of `in` products of a column, [in, h], and a row, [out, w]."""
    out, into, height, width = conv.weight.shape
    columns, rows = torch.randn(into, into, height), torch.randn(into, out, width)
    return torch.einsum("rih,row->oihw", columns, rows)


@AT_EVERY_SPEC
@pytest.mark.parametrize(
    ("name", "kernels"), [("separable", one_filter_per_input), ("nx1-1xn", columns_times_rows)]
)
def test_says_exactly_what_it_can_say(
    name: str, kernels: Callable[[nn.Conv2d], torch.Tensor], at: str
) -> None:
    family, conv = FAMILIES.get(name), original(at)
    block = build(family, at)
    with torch.no_grad():
        conv.weight.copy_(kernels(conv))
    family.inherit(block, conv)
    assert relative_error(block, conv, images(at)) < 1e-4


@pytest.mark.parametrize("name", ["separable", "nx1-1xn"])
def test_survives_a_kernel_of_zeros(name: str) -> None:
    family, conv = FAMILIES.get(name), original("narrower, bias")
    block = build(family, "narrower, bias")
    torch.nn.init.zeros_(conv.weight)
    family.inherit(block, conv)
    x = images("narrower, bias")
    assert torch.allclose(block(x), conv(x), atol=1e-6)


def test_separable_has_the_parameters_of_the_paper() -> None:
    block = FAMILIES.get("separable").build(spec(16, 32, 5, bias=True))
    assert sum(p.numel() for p in block.parameters()) == 5 * 5 * 16 + 16 * 32 + 32


def test_nx1_1xn_has_the_parameters_of_the_paper() -> None:
    block = FAMILIES.get("nx1-1xn").build(spec(16, 32, 5, bias=True))
    assert sum(p.numel() for p in block.parameters()) == 5 * 16 * 16 + 5 * 16 * 32 + 32


@pytest.mark.parametrize("at", ["wider, stride 2", "odd channels, bias"])
@OF_EVERY_FAMILY
def test_exports_with_the_same_outputs(family: BlockFamily, at: str) -> None:
    block, x = build(family, at), images(at)
    block.train()(x)  # statistics other than zero and one
    exported = torch.export.export(block.eval(), (x,))
    assert torch.allclose(exported.module()(x), block(x), atol=1e-6)


@OF_EVERY_FAMILY
def test_is_described(family: BlockFamily) -> None:
    technique = family.technique
    for said in (family.name, technique.title, technique.replaces, technique.saves):
        assert said
    assert technique.paper
    assert technique.link.startswith("https://")
