"""The first plans of a search: the best bargains first, as an exhaustive search finds them."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.cost.cost import Cost, count
from paredown.search.runner.initial_plans import Offer, bargains, first_designs
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Dimension, Space


@pytest.fixture(scope="module")
def space() -> Space:
    blueprint = trace_with_groups(build_model("resnet8", 10, 3), example_images(3, 16))
    blocks, ratios, bits = ("original", "ghost", "separable"), (0.0, 0.5), ("w32a32", "w8a8")
    return Space.of(blueprint, {"block": blocks, "prune": ratios, "bits": bits})


def cost_in(space: Space, plan: Plan) -> Cost:
    return count(predict_graph(space.blueprint, plan))


def dimensions(*many: int) -> list[Dimension]:
    return [
        Dimension("width", f"stage{n}", (1.0, *(0.9 - 0.1 * i for i in range(options))))
        for n, options in enumerate(many)
    ]


@given(st.integers(0, 10_000))
def test_what_is_taken_is_on_the_front_of_all_combinations(seed: int) -> None:
    rng = random.Random(seed)
    offers = [
        Offer(dimension, option, rng.uniform(0.01, 1), rng.uniform(0.01, 1))
        for dimension in dimensions(3, 2, 3)
        for option in dimension.options[1:]
    ]
    by_dimension = [[o for o in offers if o.dimension == d] for d in dimensions(3, 2, 3)]
    every = [
        (sum(o.saved for o in chosen if o), sum(o.fitting_error for o in chosen if o))
        for chosen in itertools.product(*([None, *some] for some in by_dimension))
    ]
    taken = dict[str, Offer]()
    for offer in bargains(offers):
        taken[offer.dimension.name] = offer
        saved = sum(offer.saved for offer in taken.values())
        missed = sum(offer.fitting_error for offer in taken.values())
        assert not any(s >= saved and m < missed - 1e-9 for s, m in every)


def test_an_offer_that_saves_less_and_misses_more_is_never_taken() -> None:
    (dimension,) = dimensions(3)
    good, bad, best = (
        Offer(dimension, option, saved, missed)
        for option, saved, missed in zip(
            dimension.options[1:], (1.0, 0.5, 2.0), (0.1, 0.2, 0.9), strict=True
        )
    )
    assert list(bargains([bad, best, good])) == [good, best]


def test_designs_begin_with_the_baseline_and_get_smaller(space: Space) -> None:
    def missed(plan: Plan) -> float:
        return 0.1 * len(plan.choices)

    designs = first_designs(space, lambda plan: cost_in(space, plan), missed)
    assert designs[0] == Plan()
    assert designs[1] == space.without_training()
    assert len(set(designs)) == len(designs) == 5
    sizes = [cost_in(space, plan).params_effective for plan in designs]
    assert sizes == sorted(sizes, reverse=True)
    for plan in designs:
        space.check(plan)


def test_only_what_saves_is_asked_what_it_misses(space: Space) -> None:
    asked = list[Plan]()

    def missed(plan: Plan) -> float:
        asked.append(plan)
        return 1.0

    first_designs(space, lambda plan: cost_in(space, plan), missed)
    whole = cost_in(space, Plan()).objectives
    for plan in asked:
        assert len({choice.technique for choice in plan.choices}) == 1
        assert cost_in(space, plan).objectives < whole
        assert "bits" not in {choice.technique for choice in plan.choices}
    assert len(asked) == len(set(asked))
