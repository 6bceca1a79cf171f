"""Spaces: every plan that comes out lies inside, and every plan inside can come out."""

import random
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import PlanError
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import Value

NEUTRAL: dict[str, Value] = {
    "resolution": 1.0,
    "depth": 1.0,
    "neck": "original",
    "head": "original",
    "trunk": "original",
    "width": 1.0,
    "block": "original",
    "prune": 0.0,
    "bits": "w32a32",
}
SEARCHED = ("depth", "width", "block", "prune", "bits")  # in a CIFAR ResNet, if nothing is said
NOTHING: dict[str, tuple[Value, ...]] = dict.fromkeys(NEUTRAL, ())


@lru_cache
def space_of(name: str, classes: int = 10, size: int = 32) -> Space:
    with torch.device("meta"):
        network = build_model(name, classes, 3)
    return Space.of(trace_with_groups(network, example_images(3, size)))


def restricted(**options: Sequence[Value]) -> Space:
    return Space.of(space_of("resnet20").blueprint, options)


@st.composite
def params(draw: st.DrawFn) -> dict[str, Value]:
    space = space_of("resnet20")
    return {d.name: draw(st.sampled_from(d.options)) for d in space.dimensions}


class FakeTrial:
    """Answers with what it is told to, and remembers what it was asked."""

    def __init__(self, answers: dict[str, Value]) -> None:
        self.answers = answers
        self.asked = dict[str, tuple[Any, ...]]()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = tuple(choices)
        assert self.answers[name] in choices
        return self.answers[name]


def test_offers_what_a_cifar_resnet_can_take() -> None:
    offered = {d.name: d.options for d in space_of("resnet20").dimensions}
    stages = ("stage1", "stage2", "stage3")
    of_stem = ("original", "ghost", "fire", "nx1-1xn", "separable")
    of_stages = (
        *("original", "ghost", "ghost-bottleneck", "fire", "inverted", "nx1-1xn", "separable"),
        *("shuffle", "shuffle-bottleneck"),
    )
    expected: dict[str, tuple[Value, ...]] = {f"{stage}.depth": (1.0, 0.5) for stage in stages}
    # The stem's channels are tied to stage 1 by the residual sums; the head's are the classes.
    expected |= {f"{stage}.width": (1.0, 0.75, 0.5, 0.25) for stage in stages}
    expected |= {"stem.block": of_stem} | {f"{stage}.block": of_stages for stage in stages}
    expected |= {f"{stage}.prune": (0.0, 0.25, 0.5) for stage in stages}
    bits = ("w32a32", "w16a16", "w8a8", "w4a8")
    # The first and the last layer get 8 bits or more, and are alone in their stages.
    offered_bits = {"stem": bits[:3]} | dict.fromkeys(stages, bits) | {"head": bits[:3]}
    expected |= {f"{stage}.bits": options for stage, options in offered_bits.items()}
    assert offered == expected
    assert list(offered) == list(expected)


def test_size_is_the_product() -> None:
    depths, widths, blocks = 2**3, 4**3, 5 * 9**3
    assert space_of("resnet20").size == depths * widths * blocks * 3**3 * 4**3 * 3**2
    assert Space.of(space_of("resnet20").blueprint, NOTHING).size == 1
    assert restricted(**(NOTHING | {"prune": (0.0, 0.3)})).size == 2**3


@given(params())
def test_suggest_params_and_plan_are_inverses(answers: dict[str, Value]) -> None:
    space, trial = space_of("resnet20"), FakeTrial(answers)
    plan = space.suggest(trial)
    assert space.params(plan) == answers
    assert space.plan(answers) == plan
    assert trial.asked == {d.name: d.options for d in space.dimensions}
    space.check(plan)


@given(params())
def test_plans_of_a_space_are_as_those_from_a_file(answers: dict[str, Value]) -> None:
    plan = space_of("resnet20").plan(answers)
    assert Plan.from_json(plan.to_json()) == plan
    assert hash(Plan.from_json(plan.to_json())) == hash(plan)


def test_real_trials_get_the_same_plans() -> None:
    space, rng = space_of("resnet20"), random.Random(0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    wanted = [space.sample(rng) for _ in range(5)]
    for plan in wanted:
        study.enqueue_trial(space.params(plan))
    for plan in wanted:
        trial = study.ask()
        assert space.suggest(trial) == plan
        study.tell(trial, 0.0)
    for _ in range(5):
        trial = study.ask()
        plan = space.suggest(trial)
        study.tell(trial, 0.0)
        space.check(plan)
        assert space.params(plan) == trial.params
    assert {name for t in study.trials for name in t.params} == {d.name for d in space.dimensions}


@given(st.integers(), st.integers(0, 30))
def test_samples_and_mutants_stay_inside(seed: int, changes: int) -> None:
    space, rng = space_of("resnet20"), random.Random(seed)
    plan = space.sample(rng)
    space.check(plan)
    mutant = space.mutate(plan, rng, changes)
    space.check(mutant)
    before, after = space.params(plan), space.params(mutant)
    assert sum(before[name] != after[name] for name in before) <= changes


def test_samples_reach_every_option() -> None:
    space, rng = space_of("resnet20"), random.Random(0)
    drawn = [space.params(space.sample(rng)) for _ in range(200)]
    for d in space.dimensions:
        assert {params[d.name] for params in drawn} == set(d.options)


def test_samples_repeat_with_their_seed() -> None:
    space = space_of("resnet20")
    assert space.sample(random.Random(3)) == space.sample(random.Random(3))
    assert len({space.sample(random.Random(seed)) for seed in range(20)}) == 20


def test_mutants_can_differ_anywhere() -> None:
    space, rng = space_of("resnet20"), random.Random(0)
    mutants = [space.params(space.mutate(Plan(), rng)) for _ in range(400)]
    changed = {name for p in mutants for name, value in p.items() if value != _neutral(name)}
    assert changed == {d.name for d in space.dimensions}


def test_uniform_plans_go_from_the_baseline_to_the_last_options() -> None:
    space = space_of("resnet20")
    assert space.uniform(0) == Plan()
    assert space.params(space.uniform(1)) == {d.name: d.options[-1] for d in space.dimensions}
    assert space.uniform(0.5).chosen("prune") == dict.fromkeys(("stage1", "stage2", "stage3"), 0.25)


def test_an_option_alone_changes_its_place_and_no_other() -> None:
    space = space_of("resnet20")
    for d in space.dimensions:
        assert space.only(d, d.options[0]) == Plan()
        for option in d.options[1:]:
            plan = space.only(d, option)
            assert space.holds(plan)
            assert {(c.technique, c.place, c.value) for c in plan.choices} == {
                (d.technique, d.place, option)
            }


def test_what_costs_no_training_is_bits_alone() -> None:
    space = space_of("resnet20")
    assert {d.technique for d in space.dimensions} - {
        d.technique for d in space.dimensions_that_train
    } == {"bits"}
    free = space.without_training()
    assert {choice.technique for choice in free.choices} == {"bits"}
    assert not space.holds(Plan.of({"block": {"nowhere": "ghost"}}))


def test_check_names_every_choice_that_has_no_place() -> None:
    misplaced = Plan.of(
        {
            "block": {"stage4": "separable", "stage1": "separable", "head": "separable"},
            "width": {"stem": 0.5, "stage1": 0.6},
            "prune": {"stage2": 0.9},
            "bits": {"tail": "w8a8"},
        }
    )
    with pytest.raises(PlanError) as caught:
        space_of("resnet20").check(misplaced)
    faults = str(caught.value).removeprefix("the plan does not fit this model: ").split("; ")
    reported = {fault.split(":")[0] for fault in faults if "." in fault.split(":")[0]}
    assert reported == {
        "block.stage4", "block.head", "width.stem", "width.stage1", "prune.stage2", "bits.tail",
    }  # fmt: skip
    message = str(caught.value)
    assert "block.stage4: no such place; did you mean stage" in message
    assert "width.stage1: 0.6 is not one of 1.0, 0.75, 0.5, 0.25" in message
    assert "prune.stage2: 0.9 is not one of 0.0, 0.25, 0.5" in message


def test_check_says_where_a_technique_has_no_place_at_all() -> None:
    space = restricted(prune=())
    with pytest.raises(PlanError, match=r"prune\.stage1: this space does not search prune"):
        space.check(Plan.of({"prune": {"stage1": 0.5}}))


def test_the_baseline_fits_everything() -> None:
    space_of("resnet20").check(Plan())
    Space.of(space_of("resnet20").blueprint, NOTHING).check(Plan())


def test_the_caller_restricts_options() -> None:
    space = restricted(block=("original", "separable"), bits=("w32a32", "w8a8"), prune=(0.0, 0.3))
    offered = {(d.technique, d.options) for d in space.dimensions}
    assert offered == {
        ("depth", (1.0, 0.5)),
        ("width", (1.0, 0.75, 0.5, 0.25)),
        ("block", ("original", "separable")),
        ("prune", (0.0, 0.3)),
        ("bits", ("w32a32", "w8a8")),
    }


def test_the_neutral_option_comes_first_and_none_comes_twice() -> None:
    space = restricted(width=(0.5, 1.0, 0.5, 0.25))
    assert {d.options for d in space.dimensions if d.technique == "width"} == {(1.0, 0.5, 0.25)}


@pytest.mark.parametrize("kind", SEARCHED)
def test_no_options_or_only_the_neutral_one_is_no_decision(kind: str) -> None:
    for options in ((), (NEUTRAL[kind],)):
        space = Space.of(space_of("resnet20").blueprint, {kind: options})
        assert {d.technique for d in space.dimensions} == set(SEARCHED) - {kind}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("resolution", 0.5), ("depth", 0.5), ("trunk", "thin"), ("width", 0.5)),
        *(("block", "separable"), ("prune", 0.5), ("bits", "w8a8")),
    ],
)
def test_a_study_may_insist_on_an_option(kind: str, value: Value) -> None:
    space = Space.of(space_of("resnet20").blueprint, NOTHING | {kind: (value,)})
    assert space.dimensions
    assert all(d.options == (value,) for d in space.dimensions)
    assert space.size == 1
    everywhere = Plan.of({kind: {d.place: value for d in space.dimensions}})
    assert space.sample(random.Random(0)) == everywhere
    assert space.uniform(0) == everywhere
    assert space.suggest(FakeTrial(space.params(everywhere))) == everywhere
    space.check(everywhere)


def test_signature_is_the_same_for_the_same_network() -> None:
    first = space_of("resnet20")
    again = Space.of(trace_with_groups(build_model("resnet20", 10, 3), example_images(3, 32)))
    assert again is not first
    assert again.signature == first.signature
    assert len(first.signature) == 12


def test_signature_tells_spaces_apart() -> None:
    spaces = [
        space_of("resnet20"),
        space_of("resnet20", classes=100),
        space_of("resnet20", size=64),
        space_of("resnet26"),
        space_of("resnet18"),
        space_of("shufflenet_v2_x0_5"),  # no groups, and the same layers as the wider one
        space_of("shufflenet_v2_x1_0"),
        restricted(depth=()),
        restricted(prune=()),
        restricted(prune=(0.0, 0.3)),
        restricted(prune=(0.3,)),
        restricted(block=("original", "separable")),
    ]
    assert len({space.signature for space in spaces}) == len(spaces)


def test_signatures_and_keys_are_the_same_in_another_process() -> None:
    script = """
import torch
from paredown.spaces.models import build_model
from paredown.spaces.space import Space
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.graph.tracing import example_images
with torch.device("meta"):
    network = build_model("resnet20", 10, 3)
space = Space.of(trace_with_groups(network, example_images(3, 32)))
print(space.signature, space.uniform(1).key)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    space = space_of("resnet20")
    assert run.stdout.split() == [space.signature, space.uniform(1).key]


@settings(max_examples=10)
@given(st.integers())
def test_every_model_has_plans_that_fit_it(seed: int) -> None:
    for name in ("vgg11_bn", "squeezenet1_1", "shufflenet_v2_x0_5"):
        space = space_of(name, size=64)
        space.check(space.sample(random.Random(seed)))


def _neutral(name: str) -> Value:
    return NEUTRAL[name.partition(".")[2]]
