"""Judges: what they are shown, how they stop a plan, and that looking changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import DataRequest, load_data
from paredown.objectives.evaluation.checkpoints import LENIENT, Hopeless, Judge, Rung
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import Phase
from torch import nn

PLAN = Plan.of({"block": {"stage2": "ghost"}, "prune": {"stage3": 0.5}})
STAGES = ["assemble 0", "train 1", "train 2", "train 3", "prune 0", "fine-tune 1", "fine-tune 2"]

Make = Callable[..., Evaluator]


class EveryEpoch(Judge):
    """Looks at everything, and stops a plan at one rung, if that is named."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        self.asked, self.seen = list[tuple[str, int, int]](), list[tuple[Plan, Rung]]()

    def wants(self, stage: str, epoch: int, epochs: int) -> bool:
        self.asked.append((stage, epoch, epochs))
        return True

    def stops(self, plan: Plan, reached: Rung) -> bool:
        self.seen.append((plan, reached))
        return reached.name == self.last


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """make(judge) -> an evaluator of a ResNet-8 on digits; its cache has the baseline alone."""
    recipe = Recipe(epochs=3, max_lr=0.05, batch_size=64, distill=0.5)
    recipes = Recipes(recipe, recipe, Recipe(epochs=2, max_lr=0.02, batch_size=64))
    task = Task("resnet8", load_data(DataRequest("digits")), recipes)
    space = Space.of(trace_with_groups(task.build(), example_images(1, 8)))
    filled = tmp_path_factory.mktemp("filled")
    _ = Evaluator(task, space, Cache(filled)).baseline

    def make(judge: Judge = LENIENT) -> Evaluator:
        folder = tmp_path_factory.mktemp("rungs") / "networks"
        return Evaluator(task, space, Cache(Path(shutil.copytree(filled, folder))), judge=judge)

    return make


@pytest.fixture(scope="module")
def expected(make: Make) -> dict[str, torch.Tensor]:
    """The weights of the plan's network where nobody looked."""
    return state(make().network(PLAN))


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def drop(evaluator: Evaluator, network: nn.Module) -> float:
    splits = evaluator.task.splits
    before, after = (
        score(one, splits.search, splits.normalisation).accuracy
        for one in (evaluator.baseline, network)
    )
    return before - after


def test_a_judge_sees_every_rung_in_order_with_the_right_drop(make: Make) -> None:
    judge = EveryEpoch()
    evaluator = make(judge)
    outcome = evaluator.evaluate(PLAN)
    assert [rung.name for _, rung in judge.seen] == STAGES
    assert [f"{stage} {epoch}" for stage, epoch, _ in judge.asked] == STAGES
    assert [epochs for *_, epochs in judge.asked] == [0, 3, 3, 3, 0, 2, 2]
    assert all(plan == PLAN for plan, _ in judge.seen)
    assert outcome.rungs == tuple(rung for _, rung in judge.seen)
    by_name = {rung.name: rung.drop for rung in outcome.rungs}
    assert by_name["fine-tune 2"] == outcome.drop
    trained = evaluator.network(PLAN.through(Phase.STRUCTURE))
    assert by_name["train 3"] == pytest.approx(drop(evaluator, trained))
    assembled = make().assembled(PLAN)
    assert by_name["assemble 0"] == pytest.approx(drop(evaluator, assembled))
    assert {"assemble", "train", "prune", "fine-tune", "score"} == outcome.seconds.keys()


def test_what_comes_from_the_cache_has_no_rungs(make: Make) -> None:
    judge = EveryEpoch()
    evaluator = make(judge)
    evaluator.evaluate(PLAN.through(Phase.STRUCTURE))
    judge.seen.clear()
    outcome = evaluator.evaluate(PLAN)
    assert [rung.name for _, rung in judge.seen] == STAGES[4:]
    assert [rung.name for rung in outcome.rungs] == STAGES[4:]
    assert evaluator.evaluate(PLAN).rungs == ()


def test_looking_changes_nothing(make: Make) -> None:
    looked, unseen = make(EveryEpoch()), make()
    torch.manual_seed(0)
    one = looked.evaluate(PLAN)
    torch.manual_seed(1)
    other = unseen.evaluate(PLAN)
    assert (one.accuracy, one.drop, one.cost) == (other.accuracy, other.drop, other.cost)
    assert other.rungs == ()
    assert same(state(looked.network(PLAN)), state(unseen.network(PLAN)))


@pytest.mark.parametrize(
    ("last", "trained"),
    [("assemble 0", []), ("train 2", []), ("prune 0", ["train"]), ("fine-tune 1", ["train"])],
)
def test_a_judge_can_stop_a_plan(
    make: Make, expected: dict[str, torch.Tensor], last: str, trained: list[str]
) -> None:
    judge = EveryEpoch(last)
    evaluator = make(judge)
    with pytest.raises(Hopeless) as stopped:
        evaluator.evaluate(PLAN)
    assert stopped.value.rung.name == last
    assert stopped.value.rung == judge.seen[-1][1]
    assert f"stopped at {last} with a drop of " in str(stopped.value)
    spent = [name for name in stopped.value.seconds if name != "score"]
    assert spent == list(
        dict.fromkeys(name.split()[0] for name in STAGES[: STAGES.index(last) + 1])
    )
    assert all(seconds > 0 for seconds in stopped.value.seconds.values())
    # Nothing half-trained was kept: afterwards the plan is what it would have been.
    judge.last = ""
    judge.seen.clear()
    outcome = evaluator.evaluate(PLAN)
    done = 4 if trained else 0
    assert [rung.name for rung in outcome.rungs] == STAGES[done:]
    assert same(state(evaluator.network(PLAN)), expected)


def test_winners_are_tested_whatever_the_judge_says(make: Make) -> None:
    judge = EveryEpoch("train 1")
    evaluator = make(judge)
    assert evaluator.test(PLAN).rungs == ()
    assert judge.seen == []
    assert evaluator.judge is judge


def test_a_lenient_judge_looks_at_nothing() -> None:
    assert not LENIENT.wants("train", 1, 2)
    assert not LENIENT.stops(Plan(), Rung("train", 1, 100.0))
