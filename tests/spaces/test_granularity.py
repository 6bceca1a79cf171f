"""How finely choices are made: once for the network, of all techniques or of some."""

import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import PlanError, StudyFileError
from paredown.search.study.config import load_config
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Dimension, Granularity, Space
from paredown.spaces.technique import Value

STAGES = ("stage1", "stage2", "stage3")
OPTIONS: dict[str, tuple[Value, ...]] = {
    "depth": (1.0, 0.5),
    "width": (1.0, 0.5),
    "block": ("original", "separable", "ghost"),
    "criterion": ("l1", "taylor"),
    "steps": (1.0, 2.0),
    "prune": (0.0, 0.25, 0.5),
    "sparse": (0.0, 0.5),
    "bits": ("w32a32", "w8a8", "w4a8"),
}
PERS: dict[str, Granularity | Mapping[str, Granularity]] = {
    "network": Granularity.NETWORK,
    "prune alone": {"prune": Granularity.NETWORK},
    "mixed": {"prune": Granularity.NETWORK, "bits": Granularity.NETWORK, "block": Granularity.SITE},
}


@lru_cache
def blueprint() -> Blueprint:
    with torch.device("meta"):
        network = build_model("resnet20", 10, 3)
    return trace_with_groups(network, example_images(3, 32))


@lru_cache
def space_of(granularity: str) -> Space:
    return Space.of(blueprint(), OPTIONS, PERS[granularity])


def dimension(space: Space, name: str) -> Dimension:
    (dimension,) = (dimension for dimension in space.dimensions if dimension.name == name)
    return dimension


# What is decided


def test_one_decision_per_technique() -> None:
    space = space_of("network")
    assert [dimension.name for dimension in space.dimensions] == [
        f"network.{technique}" for technique in OPTIONS
    ]
    assert {dimension.technique: dimension.options for dimension in space.dimensions} == OPTIONS
    assert space.size == 2 * 2 * 3 * 2 * 2 * 3 * 2 * 3


def test_one_technique_once_and_the_others_per_stage() -> None:
    names = [dimension.name for dimension in space_of("prune alone").dimensions]
    assert [name for name in names if name.endswith(".prune")] == ["network.prune"]
    assert [name for name in names if name.endswith(".width")] == [f"{s}.width" for s in STAGES]
    per_stage = Space.of(blueprint(), OPTIONS)
    others = [dimension for dimension in per_stage.dimensions if dimension.technique != "prune"]
    assert [
        dimension
        for dimension in space_of("prune alone").dimensions
        if dimension.technique != "prune"
    ] == others
    assert [
        dimension.name
        for dimension in space_of("mixed").dimensions
        if dimension.technique == "block"
    ][:2] == [
        "conv1.block",
        "layer1.0.conv1.block",
    ]
    assert space_of("mixed").signature != per_stage.signature != space_of("network").signature


def test_a_technique_of_one_place_is_decided_there() -> None:
    for granularity in (Granularity.NETWORK, Granularity.STAGE):
        space = Space.of(blueprint(), {"resolution": (1.0, 0.5), "prune": (0.0, 0.5)}, granularity)
        assert dimension(space, "input.resolution").options == (1.0, 0.5)


def test_an_option_acts_wherever_it_can() -> None:
    space = space_of("network")
    prune, bits = dimension(space, "network.prune"), dimension(space, "network.bits")
    assert prune.meaning(0.0) == {}
    assert prune.meaning(0.25) == dict.fromkeys(STAGES, 0.25)
    assert prune.meaning(0.5) == dict.fromkeys(STAGES, 0.5)
    assert prune.all_places == set(STAGES)
    assert bits.meaning("w8a8") == dict.fromkeys(("stem", *STAGES, "head"), "w8a8")
    # The first and the last layer are spared.
    edges = dict.fromkeys(("stem", "head"), "w8a8")
    assert bits.meaning("w4a8") == dict.fromkeys(STAGES, "w4a8") | edges
    assert bits.all_places == {"stem", *STAGES, "head"}
    blocks = dimension(space, "network.block")
    assert blocks.meaning("separable") == dict.fromkeys(("stem", *STAGES), "separable")


def test_plans_name_every_stage() -> None:
    space = space_of("network")
    plan = space.plan(space.params(Plan()) | {"network.prune": 0.5, "network.bits": "w8a8"})
    assert plan == Plan.of(
        {
            "prune": dict.fromkeys(STAGES, 0.5),
            "bits": dict.fromkeys(("stem", *STAGES, "head"), "w8a8"),
        }
    )
    # So that it is the same plan in a space that decides per stage.
    assert Space.of(blueprint(), OPTIONS).params(plan)["stage2.prune"] == 0.5
    Space.of(blueprint(), OPTIONS).check(plan)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_study_may_insist_on_an_option_everywhere() -> None:
    space = Space.of(
        blueprint(), dict.fromkeys(OPTIONS, ()) | {"prune": (0.5,)}, Granularity.NETWORK
    )
    assert [(dimension.name, dimension.options) for dimension in space.dimensions] == [
        ("network.prune", (0.5,))
    ]
    assert space.uniform(0) == Plan.of({"prune": dict.fromkeys(STAGES, 0.5)})
    space.check(space.uniform(0))
    with pytest.raises(PlanError, match="prune"):
        space.check(Plan())


# There and back


@given(st.sampled_from(sorted(PERS)), st.integers(0, 2**32))
def test_plan_and_params_are_inverses(per: str, seed: int) -> None:
    space, rng = space_of(per), random.Random(seed)
    plan = space.sample(rng)
    assert space.plan(space.params(plan)) == plan
    space.check(plan)
    params = {dimension.name: rng.choice(dimension.options) for dimension in space.dimensions}
    if params["network.prune"] == 0.0:  # then the manner of pruning means nothing
        params |= {"network.criterion": "l1", "network.steps": 1.0}
    assert space.params(space.plan(params)) == params


@given(st.sampled_from(sorted(PERS)), st.integers(0, 2**32), st.integers(0, 5))
def test_mutants_stay_inside(per: str, seed: int, changes: int) -> None:
    space, rng = space_of(per), random.Random(seed)
    plan = space.sample(rng)
    mutant = space.mutate(plan, rng, changes)
    space.check(mutant)
    before, after = space.params(plan), space.params(mutant)
    manner = {"network.criterion", "network.steps"}  # lost with the last pruning
    differ = {name for name in before if before[name] != after[name]}
    assert len(differ - manner) <= changes
    assert len(set(mutant.chosen("prune").values())) <= 1


def test_mutants_reach_every_option() -> None:
    space, rng = space_of("network"), random.Random(0)
    reached = {
        (name, value)
        for _ in range(200)
        for name, value in space.params(space.mutate(space.uniform(1), rng)).items()
    }
    assert reached == {
        (dimension.name, option) for dimension in space.dimensions for option in dimension.options
    }


@pytest.mark.parametrize("per", PERS)
def test_every_option_alone_lies_inside(per: str) -> None:
    space = space_of(per)
    for dimension in space.dimensions:
        for option in dimension.options:
            plan = space.only(dimension, option)
            space.check(plan)
            # The manner of pruning means nothing where nothing is pruned.
            assert space.params(plan)[dimension.name] == option or plan == Plan()


def test_other_bits_are_those_of_the_network() -> None:
    space = space_of("network")
    plan = space.plan(space.params(Plan()) | {"network.prune": 0.5, "network.bits": "w8a8"})
    others = space.at_other_bits(plan)
    assert {space.params(other)["network.bits"] for other in others} == {"w32a32", "w4a8"}
    assert all(space.params(other)["network.prune"] == 0.5 for other in others)


# What does not fit


@pytest.mark.parametrize("per", ["network", "prune alone"])
@pytest.mark.parametrize(
    "stages",
    [
        {"stage1": 0.5},
        {"stage1": 0.5, "stage2": 0.5, "stage3": 0.25},
        {"stage1": 0.25, "stage3": 0.25},
    ],
)
def test_a_plan_that_is_not_uniform_is_refused(per: str, stages: dict[str, object]) -> None:
    with pytest.raises(PlanError) as caught:
        space_of(per).check(Plan.of({"prune": stages}))
    message = str(caught.value)
    assert message.startswith("the plan does not fit this model: ")
    assert "prune" in message
    assert message.endswith(": this space has one choice for the whole network")


def test_other_faults_are_told_as_ever() -> None:
    space = space_of("network")
    with pytest.raises(PlanError, match=r"prune\.stage9: no such place"):
        space.check(Plan.of({"prune": {"stage9": 0.5}}))
    with pytest.raises(PlanError, match=r"head\.head: this space does not search head"):
        space.check(Plan.of({"head": {"head": "gap"}}))
    with pytest.raises(PlanError, match="prune"):
        space.check(Plan.of({"prune": dict.fromkeys(STAGES, 0.75)}))


# What a study says


def per_of(text: object) -> object:
    return load_config("digits", {"granularity": text}).granularity


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("network", Granularity.NETWORK),
        ("stage", Granularity.STAGE),
        ("site", Granularity.SITE),
        ("prune=network", {"prune": Granularity.NETWORK}),
        ("prune=network,block=site", {"prune": Granularity.NETWORK, "block": Granularity.SITE}),
        ("prune=network, bits=stage", {"prune": Granularity.NETWORK, "bits": Granularity.STAGE}),
        ({"prune": "network"}, {"prune": Granularity.NETWORK}),
    ],
)
def test_the_grain_as_studies_say_it(said: object, meant: object) -> None:
    assert per_of(said) == meant


def test_the_grain_in_a_study_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'model = "resnet8"\ndata = "digits"\nmax_drop = [1.0]\n'
    for text, meant in (
        ('granularity = "network"', Granularity.NETWORK),
        ('granularity = {prune = "network"}', {"prune": Granularity.NETWORK}),
        ('[per]\nprune = "network"\nblock = "site"', {"prune": "network", "block": "site"}),
        ("", Granularity.STAGE),
    ):
        path.write_text(f"{head}{text}\n", encoding="utf-8")
        assert load_config(str(path), {}).granularity == meant
    space = Space.of(
        blueprint(), {}, load_config(str(path), {"granularity": "prune=network"}).granularity
    )
    assert dimension(space, "network.prune").meaning(0.5) == dict.fromkeys(STAGES, 0.5)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("both", "granularity: expected network, stage or site, got 'both'"),
        ("layer", "granularity: expected network, stage or site, got 'layer'"),
        ("", "granularity: expected network, stage or site, got ''"),
        (3, "granularity: expected network, stage or site, got 3"),
        ("prune=everywhere", "granularity: expected network, stage or site, got 'everywhere'"),
        ({"prune": "everywhere"}, "granularity: expected network, stage or site, got 'everywhere'"),
        ({"prune": ["network"]}, "granularity: expected network, stage or site, got ['network']"),
        ("prun=network", "granularity: unknown technique 'prun'; did you mean prune"),
        ({"prun": "network"}, "granularity: unknown technique 'prun'; did you mean prune"),
    ],
)
def test_other_grains_are_refused_in_a_sentence(said: Any, told: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        per_of(said)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(told)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("prune = network", {"prune": "network"}),
        ("prune=network, block=site", {"prune": "network", "block": "site"}),
    ],
)
def test_the_grain_by_technique_in_one_word(said: str, meant: dict[str, str]) -> None:
    assert load_config("digits", {"granularity": said}).granularity == meant


@pytest.mark.parametrize(
    "said", ["prune=network,", "network,prune=site", "prune=", {"prune": {"prune": "network"}}, 3]
)
def test_grains_that_are_none_get_one_sentence(said: object) -> None:
    with pytest.raises(StudyFileError) as caught:
        load_config("digits", {"granularity": said})
    assert len(caught.value.faults) == 1, caught.value
    assert caught.value.faults[0].startswith("granularity: ")
