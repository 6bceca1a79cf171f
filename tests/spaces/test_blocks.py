"""The conformance suite: what every block family must do, with every addition, at every site.

A family that is registered is tested here without a word.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import PlanError, UnknownName
from paredown.spaces.apply import predict_graph
from paredown.spaces.blocks import FAMILIES, BlockFamily, ConvFamily, ResidualFamily, find_family
from paredown.spaces.blocks.families import block_graph
from paredown.spaces.blocks.fire_module import Unread
from paredown.spaces.graph.sites import BlockSpec, ConvSpec, Site, Spec, find_blocks, find_sites
from paredown.spaces.graph.structure import Shortcut
from paredown.spaces.plan import Plan
from paredown.spaces.technique import Phase
from paredown.tests.spaces.block_cases import (
    AT_A_SPREAD,
    AT_EVERY_FIT,
    CONVS,
    FITTING,
    NAMES,
    PAIRS,
    SPECS,
    SPREAD,
    assert_cut_rightly,
    block,
    conv,
    host,
    images,
    original,
    randomise,
)
from torch import nn

ON_EVERY_FIT = pytest.mark.parametrize(("name", "at"), AT_EVERY_FIT)
ON_A_SPREAD = pytest.mark.parametrize(("name", "at"), AT_A_SPREAD)
OF_EVERY_NAME = pytest.mark.parametrize("name", NAMES)
INHERITING = [
    family.name
    for family in FAMILIES
    if isinstance(family, ConvFamily) and type(family).inherit is not ConvFamily.inherit
]
IN_WORDS = re.compile(r"\w+ .*\w")


def build(name: str, spec: Spec) -> nn.Module:
    torch.manual_seed(0)
    return find_family(name).block(spec)


def params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@OF_EVERY_NAME
def test_refuses_in_words_or_not_at_all(name: str) -> None:
    family = find_family(name)
    for own, at in PAIRS:
        if own == name and (reason := family.why_not(SPECS[at])):
            assert IN_WORDS.match(reason), at
    other = block(8, 8, 8) if isinstance(family, ConvFamily) else conv(8, 8)
    assert IN_WORDS.match(family.why_not(other))
    with pytest.raises(TypeError, match="replaces"):
        family.block(other)


@pytest.mark.parametrize("sort", [ConvFamily, ResidualFamily])
def test_most_sites_suit_most_families(sort: type[BlockFamily]) -> None:
    names = {family.name for family in FAMILIES if isinstance(family, sort)} - {"conv"}
    assert names == {name for name, _ in FITTING} & names
    pairs = [pair for pair in PAIRS if pair[0] in names]
    assert len([pair for pair in FITTING if pair[0] in names]) > len(pairs) / 2


def test_the_spread_has_every_name_and_every_place() -> None:
    for which in (0, 1):
        assert {pair[which] for pair in SPREAD} == {pair[which] for pair in FITTING}


@pytest.mark.parametrize("at", SPECS)
def test_the_host_has_the_site(at: str) -> None:
    blueprint = host(at).blueprint
    sites: list[Site] = [*find_sites(blueprint), *find_blocks(blueprint)]
    assert SPECS[at] in [site.spec(blueprint.sizes) for site in sites if site.name == "site"]


@ON_EVERY_FIT
def test_keeps_the_shape_and_learns(name: str, at: str) -> None:
    x, created = images(SPECS[at]), build(name, SPECS[at]).train()
    out = created(x)
    assert out.shape == original(SPECS[at])(x).shape
    assert torch.isfinite(out).all()
    out.square().mean().backward()
    unread = {p for m in created.modules() if isinstance(m, Unread) for p in m.bn.parameters()}
    assert bool(unread) == ("published" in name)
    for label, parameter in created.named_parameters():
        if parameter in unread:
            assert parameter.grad is None, label
            continue
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in created.parameters())


@ON_EVERY_FIT
def test_is_the_same_without_data_and_after_a_round_trip(name: str, at: str) -> None:
    x, created = images(SPECS[at]), build(name, SPECS[at])
    with torch.device("meta"):
        bare = build(name, SPECS[at])
    assert all(p.is_meta for p in bare.parameters())
    state = created.state_dict()
    assert {n: t.shape for n, t in bare.state_dict().items()} == {
        n: t.shape for n, t in state.items()
    }
    assert (
        bare(x.to("meta")).shape == created.train()(x).shape
    )  # statistics other than zero and one
    torch.manual_seed(9)
    again = find_family(name).block(SPECS[at])
    again.load_state_dict(copy.deepcopy(created.state_dict()))
    with torch.no_grad():
        assert torch.equal(again.eval()(x), created.eval()(x))


@ON_A_SPREAD
def test_costs_as_predicted(
    name: str, at: str, assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, x, blueprint = host(at)
    network = copy.deepcopy(network).to("meta")
    changed = assert_as_predicted(
        network, x.to("meta"), blueprint, Plan.of({"block": {"site": name}})
    )
    assert params(changed.get_submodule("site")) == params(build(name, SPECS[at]))


@ON_A_SPREAD
def test_loses_channels_rightly(name: str, at: str, carry_out: Callable[..., nn.Module]) -> None:
    """What is cut computes what the whole does with the same channels silent."""
    network, x, blueprint = host(at)
    plan = Plan.of({"block": {"site": name}})
    changed = randomise(carry_out(network, x, blueprint, plan))
    assert_cut_rightly(changed, x, predict_graph(blueprint, plan, Phase.STRUCTURE))


CHANNELS = st.integers(1, 40) | st.sampled_from([16, 32, 64, 128])
KERNELS: list[int | tuple[int, int]] = [3, 3, 3, (3, 5), 4, 5, 7]
STRIDES: list[int | tuple[int, int]] = [1, 1, 2, 2, 3, (2, 1), (1, 2)]


@st.composite
def conv_specs(draw: st.DrawFn) -> ConvSpec:
    kernel = draw(st.sampled_from(KERNELS))
    stride, dilation = draw(st.sampled_from(STRIDES)), draw(st.sampled_from([1, 1, 2]))
    padding = draw(st.sampled_from([None, None, 0, 1]))
    flags = draw(st.booleans()), draw(st.booleans())
    created = conv(draw(CHANNELS), draw(CHANNELS), kernel, stride, padding, dilation, *flags)
    size = draw(st.tuples(st.integers(13, 20), st.integers(13, 20)))
    return replace(created, geometry=replace(created.geometry, input_size=size))


@st.composite
def block_specs(draw: st.DrawFn) -> BlockSpec:
    into = draw(CHANNELS)
    out = draw(st.just(into) | CHANNELS)
    size = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    stride = draw(st.sampled_from(STRIDES))
    shortcut = draw(st.sampled_from([None, Shortcut.NONE, Shortcut.PROJECTION]))
    return block(into, draw(CHANNELS), out, stride, shortcut, size)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(NAMES), conv_specs(), block_specs())
def test_any_site_is_refused_in_words_or_served(
    name: str, some_conv: ConvSpec, some_block: BlockSpec
) -> None:
    family = find_family(name)
    spec: Spec = some_conv if isinstance(family, ConvFamily) else some_block
    if reason := family.why_not(spec):
        assert IN_WORDS.match(reason)
        return
    with torch.device("meta"):
        created, old, x = family.block(spec), original(spec), images(spec, batch=2).to("meta")
    assert created(x).shape == old(x).shape
    part = block_graph(name, spec)
    sizes = {part.reads: spec.in_channels} | {group.name: group.size for group in part.inner}
    assert sum(a.weights(sizes) + a.other_params(sizes) for a in part.layers) == params(created)


def relative_error(created: nn.Module, old: nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        wanted = old(x)
        return float((created(x) - wanted).norm() / wanted.norm())


def plain(name: str, at: str) -> tuple[ConvFamily, nn.Module, nn.Conv2d]:
    """A family, its block without additions, and the convolution it stands in for."""
    family, old = FAMILIES.get(name), original(CONVS[at])
    assert isinstance(family, ConvFamily)
    assert isinstance(old, nn.Conv2d)
    torch.manual_seed(0)
    return family, family.build(CONVS[at]), old


@pytest.mark.parametrize("at", CONVS)
@pytest.mark.parametrize("name", INHERITING)
def test_inherits_better_than_noise(name: str, at: str) -> None:
    family, created, old = plain(name, at)
    if family.refuses(CONVS[at]) not in ("", "nothing is added"):
        return
    x = images(CONVS[at])
    noise, before = relative_error(created, old, x), copy.deepcopy(old.state_dict())
    shapes = [p.shape for p in created.parameters()]
    family.inherit(created, old)
    assert [p.shape for p in created.parameters()] == shapes
    assert all(torch.isfinite(p).all() and p.requires_grad for p in created.parameters())
    inherited = relative_error(created, old, x)
    assert inherited < noise
    assert inherited < 1  # closer than giving nothing at all
    assert all(torch.equal(tensor, before[n]) for n, tensor in old.state_dict().items())
    own = {p.data_ptr() for p in created.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in old.parameters())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "conv"])
def test_starts_from_the_original_where_it_inherits(name: str) -> None:
    family = find_family(name)
    at = next(at for own, at in PAIRS if own == name and not family.why_not(SPECS[at]))
    fresh, old = build(name, SPECS[at]).state_dict(), original(SPECS[at])
    torch.manual_seed(0)
    started = family.block(SPECS[at], old).state_dict()
    inherits = isinstance(family, ConvFamily) and family.info.name in INHERITING
    same = all(torch.equal(tensor, fresh[n]) for n, tensor in started.items())
    assert same == (not inherits)


def one_filter_per_input(old: nn.Conv2d) -> torch.Tensor:
    """weight[o, i] = a[o, i] * filter[i]: what a depthwise separable block can say."""
    out, into, *kernel = old.weight.shape
    return torch.randn(out, into, 1, 1) * torch.randn(1, into, *kernel)


def columns_times_rows(old: nn.Conv2d) -> torch.Tensor:
    """A sum of `in` products of a column, [in, h], and a row, [out, w]."""
    out, into, height, width = old.weight.shape
    columns, rows = torch.randn(into, into, height), torch.randn(into, out, width)
    return torch.einsum("rih,row->oihw", columns, rows)


@pytest.mark.parametrize("at", CONVS)
@pytest.mark.parametrize(
    ("name", "kernels"), [("separable", one_filter_per_input), ("nx1-1xn", columns_times_rows)]
)
def test_says_exactly_what_it_can_say(
    name: str, kernels: Callable[[nn.Conv2d], torch.Tensor], at: str
) -> None:
    family, created, old = plain(name, at)
    with torch.no_grad():
        old.weight.copy_(kernels(old))
    family.inherit(created, old)
    assert relative_error(created, old, images(CONVS[at])) < 1e-4


@pytest.mark.parametrize("name", ["separable", "nx1-1xn"])
def test_survives_a_kernel_of_zeros(name: str) -> None:
    family, created, old = plain(name, "narrower, bias")
    torch.nn.init.zeros_(old.weight)
    family.inherit(created, old)
    x = images(CONVS["narrower, bias"])
    assert torch.allclose(created(x), old(x), atol=1e-6)


def test_separable_has_the_parameters_of_the_paper() -> None:
    created = find_family("separable").block(conv(16, 32, 5, bias=True))
    assert params(created) == 5 * 5 * 16 + 16 * 32 + 32


def test_nx1_1xn_has_the_parameters_of_the_paper() -> None:
    created = find_family("nx1-1xn").block(conv(16, 32, 5, bias=True))
    assert params(created) == 5 * 16 * 16 + 5 * 16 * 32 + 32


def test_additions_stand_in_one_order() -> None:
    assert find_family("fire+se+shuffle").name == "fire+shuffle+se"
    assert [name for name in NAMES if find_family(name).name != name] == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ghots", UnknownName),
        ("ghost+hswish", UnknownName),
        ("fire+ghost+depthwise", PlanError),
        ("fire+published+ghost", PlanError),
        ("inverted+narrow+early", PlanError),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        find_family(name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_is_described(family: BlockFamily) -> None:
    info = family.info
    for text in (family.name, info.title, info.replaces, info.saves):
        assert text
    if family.name != "conv":  # which is nobody's invention
        assert info.paper
        assert info.link.startswith("https://")
