"""Plans: what they say is what they mean, in memory and on disk."""

import dataclasses
import hashlib
import json
import math
import random
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import PlanError
from paredown.spaces.blocks import FAMILIES
from paredown.spaces.plan import Plan
from paredown.spaces.quantization.widths import shipped_widths
from paredown.spaces.technique import Phase

PLACES = ("stem", "stage1", "stage2", "stage3", "head")
NEUTRAL = {"width": 1.0, "block": "original", "prune": 0.0, "bits": "w32a32"}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "width": st.floats(0, 1, exclude_min=True),
    "block": st.sampled_from(["original", *FAMILIES.names]),
    "prune": st.floats(0, 1, exclude_max=True),
    "bits": st.sampled_from([width.name for width in shipped_widths()]),
}
Chosen = dict[str, dict[str, Any]]
chosen = st.fixed_dictionaries(
    {},
    optional={
        technique: st.dictionaries(st.sampled_from(PLACES), values, max_size=len(PLACES))
        for technique, values in VALUES.items()
    },
)
FULL: Chosen = {
    "width": {"stage1": 0.5, "stage2": 0.5, "stage3": 0.25},
    "block": {"stage1": "separable"},
    "prune": {"stage2": 0.25},
    "bits": {"head": "w8a8", "stem": "w8a32"},
}


@given(chosen)
def test_survives_dict_and_json(said: Chosen) -> None:
    plan = Plan.of(said)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(json.dumps(plan.to_dict(), indent=2)) == plan


@given(chosen)
def test_says_what_was_chosen_and_nothing_neutral(said: Chosen) -> None:
    plan = Plan.of(said)
    for technique, neutral in NEUTRAL.items():
        expected = {p: v for p, v in said.get(technique, {}).items() if v != neutral}
        assert plan.chosen(technique) == expected
    assert len(plan.choices) == sum(len(plan.chosen(technique)) for technique in NEUTRAL)


@given(chosen, st.randoms())
def test_neutral_choices_and_order_do_not_matter(said: Chosen, rng: random.Random) -> None:
    padded = {
        technique: dict.fromkeys(PLACES, NEUTRAL[technique]) | said.get(technique, {})
        for technique in NEUTRAL
    }
    mixed: Chosen = {}
    for technique in rng.sample(list(padded), len(padded)):
        mixed[technique] = dict(rng.sample(list(padded[technique].items()), len(PLACES)))
    plan, other = Plan.of(said), Plan.of(mixed)
    assert plan == other
    assert hash(plan) == hash(other)
    assert plan.to_json() == other.to_json()
    assert plan.key == other.key


@given(chosen, chosen)
def test_plans_that_differ_have_other_keys(one: Chosen, other: Chosen) -> None:
    assert (Plan.of(one) == Plan.of(other)) == (Plan.of(one).key == Plan.of(other).key)


def test_whole_numbers_mean_the_same_as_floats() -> None:
    assert Plan.of({"width": {"stage1": 1}, "prune": {"stage1": 0}}) == Plan()


def test_key_never_changes() -> None:
    # Stored studies and caches are found by it.
    plan = Plan.of({"prune": {"stage2": 0.5}, "block": {"stage1": "separable"}})
    line = '{"block": {"stage1": "separable"}, "prune": {"stage2": 0.5}, "version": 1}'
    assert plan.to_json() == line
    assert plan.key == hashlib.sha256(line.encode()).hexdigest()[:12] == "659c61f83227"
    assert Plan().to_json() == '{"version": 1}'
    assert Plan().key == "c3aa9744214c"


@given(chosen)
def test_key_is_twelve_hexadecimal_digits(said: Chosen) -> None:
    key = Plan.of(said).key
    assert len(key) == 12
    assert set(key) <= set(string.hexdigits.lower())


def test_tells_all_faults_at_once_with_the_nearest_names() -> None:
    faulty = {
        "version": 1,
        "blok": {"stage1": "separable"},
        "block": {"stage1": "seperable", "stage2": "original"},
        "width": {"stage1": 0, "stage2": 1.5},
        "prune": "half",
        "bits": {"head": "w8a9", "stem": 8},
    }
    with pytest.raises(PlanError) as caught:
        Plan.from_dict(faulty)
    message = str(caught.value)
    for text in (
        "unknown technique 'blok'; did you mean block?",
        "block.stage1: unknown block family 'seperable'; did you mean separable?",
        "width.stage1: expected a width above 0 and at most 1, got 0",
        "width.stage2: expected a width above 0 and at most 1, got 1.5",
        "prune: expected an object of place: option, got str",
        "bits.head: unknown bit-width 'w8a9'; did you mean w8a",
        "bits.stem: expected a bit-width such as 'w8a8', got 8",
    ):
        assert text in message
    assert "stage2: unknown" not in message


@pytest.mark.parametrize("value", [0, -0.1, 1.01, math.nan, math.inf, True, "half", None, [0.5]])
def test_refuses_widths(value: object) -> None:
    with pytest.raises(PlanError, match="expected a width above 0 and at most 1, got"):
        Plan.of({"width": {"stage1": value}})


@pytest.mark.parametrize("value", [1, -0.1, 1.5, math.nan, -math.inf, False, "half", None, {}])
def test_refuses_pruning_ratios(value: object) -> None:
    with pytest.raises(PlanError, match="expected a pruning ratio of at least 0 and below 1, got"):
        Plan.of({"prune": {"stage1": value}})


@pytest.mark.parametrize("value", [None, 3, ["separable"], "", "Original"])
def test_refuses_blocks(value: object) -> None:
    with pytest.raises(PlanError, match=r"block\.stage1: "):
        Plan.of({"block": {"stage1": value}})


@pytest.mark.parametrize("version", [None, 0, 2, "1", [1]])
def test_refuses_another_version(version: object) -> None:
    with pytest.raises(PlanError, match='expected a plan with "version": 1, got') as caught:
        Plan.from_dict({"version": version, "nonsense": 1})
    assert repr(version) in str(caught.value)


def test_refuses_a_missing_version() -> None:
    with pytest.raises(PlanError, match="got None"):
        Plan.from_dict({"block": {"stage1": "separable"}})


@pytest.mark.parametrize("text", ["", "{", "plan", "{'version': 1}", '{"version": 1} x'])
def test_refuses_what_is_no_json(text: str) -> None:
    with pytest.raises(PlanError, match="the plan is not valid JSON: "):
        Plan.from_json(text)


@pytest.mark.parametrize(
    ("text", "got"), [("[1]", "list"), ("null", "NoneType"), ('"x"', "str"), ("1", "int")]
)
def test_refuses_json_that_is_no_object(text: str, got: str) -> None:
    with pytest.raises(PlanError, match=f"expected a plan as a JSON object, got {got}"):
        Plan.from_json(text)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*NEUTRAL, *PLACES, "version"]), inner, max_size=4)
        ),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_reads_any_json_or_refuses_it(data: object, versioned: bool) -> None:
    if versioned and isinstance(data, dict):
        data["version"] = 1
    try:
        plan = Plan.from_json(json.dumps(data))
    except PlanError:
        return
    assert Plan.from_json(plan.to_json()) == plan


def test_cannot_be_changed() -> None:
    plan = Plan.of(FULL)
    before = plan.to_json()
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.choices = ()  # type: ignore[misc]
    plan.chosen("block")["stage1"] = "original"
    plan.to_dict()["block"]["stage1"] = "original"
    assert plan.to_json() == before


def test_does_not_follow_the_dictionary_it_was_made_from() -> None:
    data = {"block": {"stage1": "separable"}}
    plan = Plan.of(data)
    data["block"]["stage2"] = "separable"
    assert plan.chosen("block") == {"stage1": "separable"}


def test_through_a_phase_is_the_part_done_by_then() -> None:
    plan = Plan.of(FULL)
    structure = Plan.of({kind: FULL[kind] for kind in ("width", "block")})
    prune = Plan.of({kind: FULL[kind] for kind in ("width", "block", "prune")})
    assert plan.through(Phase.STRUCTURE) == structure
    assert plan.through(Phase.PRUNE) == prune
    assert plan.through(Phase.QUANTIZE) == plan


@given(chosen)
def test_phases_build_up(said: Chosen) -> None:
    plan = Plan.of(said)
    assert plan.through(Phase.PRUNE).through(Phase.STRUCTURE) == plan.through(Phase.STRUCTURE)
    assert set(plan.through(Phase.STRUCTURE).choices) <= set(plan.through(Phase.PRUNE).choices)


def test_describes_itself_in_words() -> None:
    assert Plan().describe() == "the untouched baseline"
    assert Plan.of(FULL).describe() == (
        "width 0.5 in stages 1-2 and 0.25 in stage 3; block separable in stage 1; "
        "prune 0.25 in stage 2; bits w8a8 in head and w8a32 in stem"
    )


def test_describes_places_from_input_to_output() -> None:
    places = ("head", "stage10", "stage2", "stem", "stage1", "stage9", "stage4")
    plan = Plan.of({"bits": dict.fromkeys(places, "w8a8")})
    assert plan.describe() == "bits w8a8 in stem, stages 1-2, stage 4, stages 9-10, head"
