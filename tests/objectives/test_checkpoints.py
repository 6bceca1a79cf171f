"""Judges: what they are shown, how they stop a plan, and that looking changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import DataRequest, load_data
from paredown.objectives.evaluation.checkpoints import (
    NO_EARLY_STOPPING,
    Checkpoint,
    EarlyStopped,
    EarlyStopper,
)
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import Phase
from paredown.tests.matrix import represented
from torch import nn

PLAN = Plan.of({"block": {"stage2": "ghost"}, "prune": {"stage3": 0.5}})
STAGES = ["assemble 0", "train 1", "train 2", "train 3", "prune 0", "fine-tune 1", "fine-tune 2"]

Make = Callable[..., Evaluator]


class EveryEpoch(EarlyStopper):
    """Looks at everything, and stops a plan at one checkpoint, if that is named."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        self.asked, self.seen = list[tuple[str, int, int]](), list[tuple[Plan, Checkpoint]]()

    def should_check(self, stage: str, epoch: int, epochs: int) -> bool:
        self.asked.append((stage, epoch, epochs))
        return True

    def should_stop(self, plan: Plan, checkpoint: Checkpoint) -> bool:
        self.seen.append((plan, checkpoint))
        return checkpoint.name == self.last


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """make(judge) -> an evaluator of a ResNet-8 on digits; its cache has the baseline alone."""
    recipe = Recipe(epochs=3, max_lr=0.05, batch_size=64, distill=0.5)
    recipes = Recipes(recipe, recipe, Recipe(epochs=2, max_lr=0.02, batch_size=64))
    task = Task("resnet8", load_data(DataRequest("digits")), recipes)
    space = Space.of(trace_with_groups(task.build(), example_images(1, 8)))
    filled = tmp_path_factory.mktemp("filled")
    _ = Evaluator(task, space, Cache(filled)).baseline

    def make(early_stopper: EarlyStopper = NO_EARLY_STOPPING) -> Evaluator:
        folder = tmp_path_factory.mktemp("rungs") / "networks"
        return Evaluator(
            task, space, Cache(Path(shutil.copytree(filled, folder))), early_stopper=early_stopper
        )

    return make


@pytest.fixture(scope="module")
def expected(make: Make) -> dict[str, torch.Tensor]:
    """The weights of the plan's network where nobody looked."""
    return state(make().network(PLAN))


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(data: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return data.keys() == other.keys() and all(
        torch.equal(data[name], other[name]) for name in data
    )


def drop(evaluator: Evaluator, network: nn.Module) -> float:
    splits = evaluator.task.splits
    before, after = (
        score(module, splits.search, splits.normalisation).accuracy
        for module in (evaluator.baseline, network)
    )
    return before - after


def test_a_judge_sees_every_rung_in_order_with_the_right_drop(make: Make) -> None:
    early_stopper = EveryEpoch()
    evaluator = make(early_stopper)
    outcome = evaluator.evaluate(PLAN)
    assert [checkpoint.name for _, checkpoint in early_stopper.seen] == STAGES
    assert [f"{stage} {epoch}" for stage, epoch, _ in early_stopper.asked] == STAGES
    assert [epochs for *_, epochs in early_stopper.asked] == [0, 3, 3, 3, 0, 2, 2]
    assert all(plan == PLAN for plan, _ in early_stopper.seen)
    assert outcome.checkpoints == tuple(checkpoint for _, checkpoint in early_stopper.seen)
    by_name = {checkpoint.name: checkpoint.drop for checkpoint in outcome.checkpoints}
    assert by_name["fine-tune 2"] == outcome.drop
    trained = evaluator.network(PLAN.through(Phase.STRUCTURE))
    assert by_name["train 3"] == pytest.approx(drop(evaluator, trained))
    assembled = make().assembled(PLAN)
    assert by_name["assemble 0"] == pytest.approx(drop(evaluator, assembled))
    assert {"assemble", "train", "prune", "fine-tune", "score"} == outcome.seconds.keys()


@pytest.mark.matrix
def test_what_comes_from_the_cache_has_no_rungs(make: Make) -> None:
    early_stopper = EveryEpoch()
    evaluator = make(early_stopper)
    evaluator.evaluate(PLAN.through(Phase.STRUCTURE))
    early_stopper.seen.clear()
    outcome = evaluator.evaluate(PLAN)
    assert [checkpoint.name for _, checkpoint in early_stopper.seen] == STAGES[4:]
    assert [checkpoint.name for checkpoint in outcome.checkpoints] == STAGES[4:]
    assert evaluator.evaluate(PLAN).checkpoints == ()


def test_looking_changes_nothing(make: Make) -> None:
    looked, unseen = make(EveryEpoch()), make()
    torch.manual_seed(0)
    item = looked.evaluate(PLAN)
    torch.manual_seed(1)
    other = unseen.evaluate(PLAN)
    assert (item.accuracy, item.drop, item.cost) == (other.accuracy, other.drop, other.cost)
    assert other.checkpoints == ()
    assert same(state(looked.network(PLAN)), state(unseen.network(PLAN)))


@pytest.mark.parametrize(
    ("last", "trained"),
    represented(
        [("assemble 0", []), ("train 2", []), ("prune 0", ["train"]), ("fine-tune 1", ["train"])],
        lambda case: case[0] == "train 2",
    ),
)
def test_a_judge_can_stop_a_plan(
    make: Make, expected: dict[str, torch.Tensor], last: str, trained: list[str]
) -> None:
    early_stopper = EveryEpoch(last)
    evaluator = make(early_stopper)
    with pytest.raises(EarlyStopped) as stopped:
        evaluator.evaluate(PLAN)
    assert stopped.value.checkpoint.name == last
    assert stopped.value.checkpoint == early_stopper.seen[-1][1]
    assert f"stopped at {last} with a drop of " in str(stopped.value)
    spent = [name for name in stopped.value.seconds if name != "score"]
    assert spent == list(
        dict.fromkeys(name.split()[0] for name in STAGES[: STAGES.index(last) + 1])
    )
    assert all(seconds > 0 for seconds in stopped.value.seconds.values())
    # Nothing half-trained was kept: afterwards the plan is what it would have been.
    early_stopper.last = ""
    early_stopper.seen.clear()
    outcome = evaluator.evaluate(PLAN)
    done = 4 if trained else 0
    assert [checkpoint.name for checkpoint in outcome.checkpoints] == STAGES[done:]
    assert same(state(evaluator.network(PLAN)), expected)


def test_winners_are_tested_whatever_the_judge_says(make: Make) -> None:
    early_stopper = EveryEpoch("train 1")
    evaluator = make(early_stopper)
    assert evaluator.test(PLAN).checkpoints == ()
    assert early_stopper.seen == []
    assert evaluator.early_stopper is early_stopper


def test_a_lenient_judge_looks_at_nothing() -> None:
    assert not NO_EARLY_STOPPING.should_check("train", 1, 2)
    assert not NO_EARLY_STOPPING.should_stop(Plan(), Checkpoint("train", 1, 100.0))
