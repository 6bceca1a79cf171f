"""How channels are cut: to which multiple, in how many steps, and what the cuts came to."""

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import InputError
from paredown.objectives.cost.cost import count, measure
from paredown.objectives.cost.pruned_share import pruned_share
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import ALL_GROUPS, Blueprint
from paredown.spaces.graph.channel_rounding import kept_channels
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.shrink import stages_with_groups
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

MANNERS: dict[str, object] = {"criterion": "taylor", "round": 4, "steps": 2}


def pruning(blueprint: Blueprint, ratio: float = 0.5, **manner: object) -> Plan:
    """The same ratio in all stages, and how it is done."""
    stages = dict.fromkeys(stages_with_groups(blueprint), ratio)
    return Plan.of(
        {"prune": stages} | {technique: {"network": how} for technique, how in manner.items()}
    )


class Tuner:
    """Stands in for training: notes the shares it is asked for, and how large the network is."""

    def __init__(self) -> None:
        self.shares, self.params = list[float](), list[int]()

    def __call__(self, network: nn.Module, share: float) -> None:
        self.shares.append(share)
        self.params.append(sum(parameter.numel() for parameter in network.parameters()))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


# To which multiple


@given(st.integers(1, 2048), st.floats(0, 1), st.sampled_from([8, 4, 1]))
def test_channels_that_stay_are_the_nearest_multiple(
    size: int, share: float, multiple: int
) -> None:
    remaining = kept_channels(size, share, multiple)
    step = min(multiple, 8 if size >= 64 else 4 if size >= 16 else 1)
    assert remaining % step == 0 or remaining == size
    assert 1 <= remaining <= size
    if remaining not in (step, size):
        assert abs(remaining - size * share) <= step / 2


@pytest.mark.parametrize(
    ("name", "multiple"),
    [*(("resnet20", multiple) for multiple in (8, 4, 1)), ("resnet18", 1), ("mobilenet_v2", 4)],
)
def test_what_is_built_is_rounded_as_predicted(
    name: str,
    multiple: int,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, 32)
    plan = pruning(blueprint, 0.45, round=multiple)
    changed = assert_as_predicted(network, images, blueprint, plan)
    for group, root in blueprint.roots.items():
        before = blueprint.sizes[group]
        conv = changed.get_submodule(root)
        assert isinstance(conv, nn.Conv2d)
        step = min(multiple, 8 if before >= 64 else 4 if before >= 16 else 1)
        assert conv.out_channels == round(before * 0.55 / step) * step
    assert predict_graph(blueprint, plan).pruning.multiple == multiple


def test_finer_rounding_is_nearer_to_the_ratio(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    sizes = {
        multiple: predict_graph(blueprint, pruning(blueprint, 0.3, round=multiple)).sizes
        for multiple in (8, 4, 1)
    }
    of_size = {64: (48, 44, 45), 32: (24, 24, 22), 16: (12, 12, 11)}  # 44.8, 22.4, 11.2
    for group, before in blueprint.sizes.items():
        assert tuple(sizes[multiple][group] for multiple in (8, 4, 1)) == of_size[before]
    assert pruning(blueprint, 0.3, round=8) == pruning(blueprint, 0.3)  # as if nothing were said


# In how many steps


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("criterion", ["l1", "taylor"])
def test_several_cuts_come_to_the_same_as_one(
    criterion: str, steps: int, trained: Callable[[str], nn.Module], traced: Callable[..., Any]
) -> None:
    network, images, tuner = trained("resnet20"), torch.randn(4, 3, 32, 32), Tuner()
    blueprint = traced("resnet20", 32).blueprint
    whole, plan = count(blueprint), pruning(blueprint, criterion=criterion, steps=steps)
    context = ApplyContext(images, [(images, torch.arange(4))], tuner)
    changed = apply_phase(copy.deepcopy(network), blueprint, plan, Phase.PRUNE, context)
    at_once = count(predict_graph(blueprint, pruning(blueprint)))
    assert measure(changed, images) == count(predict_graph(blueprint, plan)) == at_once
    assert tuner.shares == [0.25] * (steps - 1)
    sizes = [whole.params, *tuner.params, at_once.params]
    assert sizes == sorted(set(sizes), reverse=True)  # each smaller than the one before
    assert changed(images).shape == (4, 10)


def test_each_cut_takes_about_as_many_channels(
    trained: Callable[[str], nn.Module], traced: Callable[..., Any]
) -> None:
    network, images = trained("resnet20"), torch.randn(2, 3, 32, 32)
    blueprint, widths = traced("resnet20", 32).blueprint, list[int]()

    def look(network: nn.Module, share: float) -> None:
        widths.append(len(network.get_submodule("layer3.1.conv1").get_parameter("weight")))

    plan = pruning(blueprint, 0.75, steps=3)
    apply_phase(network, blueprint, plan, Phase.PRUNE, ApplyContext(images, (), look))
    assert widths == [48, 32]
    assert len(network.get_submodule("layer3.1.conv1").get_parameter("weight")) == 16


def test_nothing_is_trained_between_cuts_that_take_nothing(
    trained: Callable[[str], nn.Module], traced: Callable[..., Any]
) -> None:
    network, images, tuner = trained("resnet20"), torch.randn(2, 3, 32, 32), Tuner()
    blueprint = traced("resnet20", 32).blueprint
    stages = {"stage1": 0.5}  # 16 channels in multiples of 4: 12, then 8
    plan = Plan.of({"prune": stages, "steps": {"network": 16}})
    context = ApplyContext(images, (), tuner)
    changed = apply_phase(network, blueprint, plan, Phase.PRUNE, context)
    assert measure(changed, images) == count(predict_graph(blueprint, plan))
    assert len(tuner.shares) == 1
    # So little that rounding makes it nothing.
    tuner, plan = Tuner(), Plan.of({"prune": {"stage2": 0.01}, "steps": {"network": 3}})
    context = ApplyContext(images, (), tuner)
    assert apply_phase(changed, blueprint, plan, Phase.PRUNE, context) is changed
    assert tuner.shares == []


# What means nothing


@pytest.mark.parametrize(("kind", "value"), MANNERS.items())
def test_the_manner_of_nothing_is_nothing(
    kind: str, value: object, traced: Callable[..., Any]
) -> None:
    bare, bits = Plan.of({kind: {"network": value}}), {"bits": {"stage1": "w8a8"}}
    assert bare == Plan()
    assert Plan.of({kind: {"network": value}, **bits}) == Plan.of(bits)
    pruned = Plan.of({kind: {"network": value}, "prune": {"stage1": 0.0}, **bits})
    assert pruned == Plan.of(bits)
    text = f'{{"version": 1, "{kind}": {{"network": {value!r}}}}}'.replace("'", '"')
    assert Plan.from_json(text) == Plan()
    meant = Plan.of({kind: {"network": value}, "prune": {"stage1": 0.5}})
    assert meant.chosen(kind)
    assert Plan.from_json(meant.to_json()) == meant
    assert meant.through(Phase.STRUCTURE) == Plan()
    assert meant.through(Phase.PRUNE) == meant
    blueprint = traced("resnet20", 32).blueprint
    space = Space.of(
        blueprint, {kind: (TECHNIQUES.get(kind).neutral, TECHNIQUES.get(kind).parse(value))}
    )
    params = space.params(Plan()) | {f"network.{kind}": TECHNIQUES.get(kind).parse(value)}
    assert space.plan(params) == Plan()
    assert space.plan(params | {"stage2.prune": 0.5}).chosen(kind)
    assert space.params(space.plan(params)) == space.params(Plan())


@pytest.mark.parametrize(
    ("kind", "wrong", "told"),
    [
        *(("round", wrong, "multiple of 8, 4, 1") for wrong in (3, 0, 8.5, True, "8", [8], None)),
        *(("steps", wrong, "16 pruning steps") for wrong in (0, 17, 2.5, True, "2", [2], None)),
        *(("criterion", wrong, "such as 'taylor'") for wrong in (1, None, ["l1"])),
    ],
)
def test_what_is_no_manner_is_refused(kind: str, wrong: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        TECHNIQUES.get(kind).parse(wrong)


# What the cuts came to


class TwoConvs(nn.Module):
    """Two convolutions of 16 channels and a linear layer of 5, for images of 8x8."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.classifier = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.classifier(self.second(self.first(x).relu()).mean((2, 3)))
        return out


def two_convs(first: int, second: int) -> Mapping[str, int]:
    """The figures of such a network by formula."""
    weights = 3 * first * 9 + first * second * 9
    return {
        "params": weights + first + second + second * 5 + 5,
        "macs": weights * 64 + second * 5,
    }


@pytest.mark.parametrize(("ratio", "left"), [(0.25, 12), (0.5, 8), (0.75, 4)])
def test_removal_by_its_formula(ratio: float, left: int) -> None:
    blueprint = trace_with_groups(TwoConvs(), torch.zeros(2, 3, 8, 8))
    reported = pruned_share(blueprint, pruning(blueprint, ratio))
    assert reported is not None
    whole, cut = two_convs(16, 16), two_convs(left, left)
    assert reported.channels == pytest.approx(ratio)
    assert reported.params == pytest.approx(1 - cut["params"] / whole["params"])
    assert reported.macs == pytest.approx(1 - cut["macs"] / whole["macs"])
    assert reported.text == (
        f"pruning removes {ratio:.0%} of the channels: {reported.params:.0%} of the params and "
        f"{reported.macs:.0%} of the MACs"
    )


def test_removal_as_torch_counts_it(
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
    count_macs: Callable[[nn.Module, torch.Tensor], int],
) -> None:
    # What is narrower from the start is not pruned, and bits remove nothing.
    network, images, blueprint = traced("resnet20", 32)
    narrow = {"width": {"stage1": 0.5, "stage3": 0.5}}
    whole = carry_out(network, images, blueprint, Plan.of(narrow))
    plan = Plan.of(narrow | {"prune": {"stage2": 0.5, "stage3": 0.25}})
    cut = carry_out(network, images, blueprint, plan)
    rounded = Plan.of(narrow | {"prune": plan.chosen("prune"), "bits": {"stage1": "w8a8"}})
    reported = pruned_share(blueprint, rounded)
    assert reported is not None
    params = [sum(p.numel() for p in module.parameters()) for module in (whole, cut)]
    macs = [count_macs(module, images) for module in (whole, cut)]
    assert reported.params == pytest.approx(1 - params[1] / params[0])
    assert reported.macs == pytest.approx(1 - macs[1] / macs[0])


def test_what_is_not_pruned_removes_nothing(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    assert pruned_share(blueprint, Plan()) is None
    assert pruned_share(blueprint, Plan.of({"width": {"stage1": 0.5}})) is None
    assert pruned_share(blueprint, pruning(blueprint, 0.01)) is None  # rounded to nothing


# A network that Torch-Pruning cannot follow


def test_a_network_that_cannot_be_followed_is_skipped(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("shufflenet_v2_x0_5", 64)
    assert not blueprint.groups
    reported = [item for item in blueprint.skipped if item.name == ALL_GROUPS]
    assert [item.technique for item in reported] == ["channels"]
    assert reported[0].reason.startswith("Torch-Pruning does not support this network (")
    space = Space.of(
        blueprint,
        {
            "prune": (0.0, 0.5),
            "criterion": ("l1", "taylor"),
            "round": (8.0, 4.0),
            "steps": (1.0, 2.0),
            "bits": ("w32a32", "w8a32"),
            "sparse": (0.0, 0.5),
        },
    )
    techniques = {dimension.technique for dimension in space.dimensions}
    assert not techniques & {"prune", "width", *MANNERS}
    assert techniques >= {"block", "bits", "sparse"}
    assert reported[0] in space.skipped
    plan = space.uniform(1)
    space.check(plan)
    assert pruned_share(blueprint, plan) is None
    for number in range(3):
        rng = random.Random(number)
        drawn = space.mutate(space.sample(rng), rng)
        assert space.params(space.plan(space.params(drawn))) == space.params(drawn)
    assert_as_predicted(network, images, blueprint, plan)
    for entry in space.dimensions:
        space.check(space.only(entry, entry.options[-1]))
