"""The library: parts are fitted once, whoever asks first, and plans assembled from it do well."""

import copy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import DataRequest, load_data
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training import block_fitting, block_library
from paredown.objectives.training.block_library import BlockLibrary
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.changed_parts import ReplacedPart, find_parts
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from paredown.tests.matrix import represented
from safetensors.torch import load_file, save_file
from torch import nn

OPTIONS: dict[str, list[str | float]] = {
    "block": ["original", "inverted", "inverted+early", "ghost", "nx1-1xn"],
    "width": [1.0, 0.5],
    "trunk": ["original", "thin"],
    "resolution": [1.0, 0.875],
    "prune": [0.0, 0.5],
}
BLOCK = Plan.of({"block": {"stage2": "inverted"}})
BLOCKS = Plan.of({"block": {"stage2": "inverted", "stage3": "ghost"}})
CUT = Plan.of({"width": dict.fromkeys(("stage1", "stage2", "stage3"), 0.5)})
SMALL = Plan.of({"block": {"stage2": "inverted"}, "resolution": {"input": 0.875}})

State = dict[str, torch.Tensor]
Make = Callable[..., Evaluator]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """make() -> an evaluator of a ResNet-8 on digits, with a cache that has the baseline alone.

    make(folder) -> one with its cache there.
    """
    splits = load_data(DataRequest("digits"))
    quick = Recipe(epochs=5, max_lr=0.1, batch_size=64)
    task = Task("resnet8", splits, Recipes(baseline=quick))
    space = Space.of(trace_with_groups(task.build(), example_images(1, 8)), OPTIONS)
    filled = tmp_path_factory.mktemp("filled")
    _ = Evaluator(task, space, Cache(filled)).baseline

    def make(folder: Path | None = None) -> Evaluator:
        folder = folder or tmp_path_factory.mktemp("library") / "networks"
        if not folder.exists():
            shutil.copytree(filled, folder)
        return Evaluator(task, space, Cache(folder))

    return make


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[block_fitting.FitSchedule]:
    """Written down: with what effort parts were fitted, in order."""
    done = list[block_fitting.FitSchedule]()

    def fit(
        part: nn.Module,
        inputs: torch.Tensor,
        wanted: torch.Tensor,
        effort: block_fitting.FitSchedule,
    ) -> float:
        done.append(effort)
        return block_fitting.fit(part, inputs, wanted, effort)

    monkeypatch.setattr(block_library, "fit", fit)
    return done


def state(network: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(data: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return data.keys() == other.keys() and all(
        torch.equal(data[name], other[name]) for name in data
    )


def entries(evaluator: Evaluator) -> dict[str, State]:
    return {path.name: load_file(path) for path in evaluator.cache.folder.glob("*.safetensors")}


def test_parts_are_fitted_once(make: Make, fits: list[block_fitting.FitSchedule]) -> None:
    evaluator = make()
    first = state(evaluator.assembled(BLOCK))
    assert fits == [block_fitting.FIT_ISOLATED, block_fitting.FIT_IN_NETWORK]
    fits.clear()
    assert same(state(evaluator.assembled(BLOCK)), first)
    assert fits == [block_fitting.FIT_IN_NETWORK]
    fits.clear()
    evaluator.assembled(BLOCKS)  # has the same blocks in stage 2
    assert fits == [
        block_fitting.FIT_IN_NETWORK,
        block_fitting.FIT_ISOLATED,
        block_fitting.FIT_IN_NETWORK,
    ]
    fits.clear()
    again = make(evaluator.cache.folder)  # as in another process
    assert same(state(again.assembled(BLOCK)), first)
    assert block_fitting.FIT_ISOLATED not in fits


@pytest.mark.matrix
def test_it_does_not_matter_who_asked_first(make: Make) -> None:
    plans = [BLOCK, BLOCKS, Plan.of({"block": {"stage2": "inverted"}, "width": {"stage3": 0.5}})]
    evaluator, two = make(), make()
    torch.manual_seed(1)
    first = [state(evaluator.assembled(plan)) for plan in plans]
    torch.manual_seed(2)
    second = [state(two.assembled(plan)) for plan in reversed(plans)]
    assert all(map(same, first, reversed(second)))
    remaining, others = entries(evaluator), entries(two)
    assert remaining.keys() == others.keys()
    assert all(same(remaining[name], others[name]) for name in remaining)


@pytest.mark.parametrize(
    "plan", represented([BLOCKS, CUT, SMALL], BLOCKS.__eq__), ids=lambda plan: plan.describe()
)
def test_assembled_networks_do_far_better_than_unfitted_ones(make: Make, plan: Plan) -> None:
    evaluator = make()
    splits, baseline = evaluator.task.splits, state(evaluator.baseline)

    def accuracy(network: nn.Module) -> float:
        return score(network, splits.search, splits.normalisation).accuracy

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(block_library, "fit", lambda *_: 0.0)
        unfitted = accuracy(make().assembled(plan))
    assembled = evaluator.assembled(plan)
    assert accuracy(assembled) > unfitted + 20
    assert not any(module.training for module in assembled.modules())
    assert same(state(evaluator.baseline), baseline)  # the teacher
    assert not any(module.training for module in evaluator.baseline.modules())


def test_a_linear_layer_learns_to_decide_by_the_channels_that_are_left(make: Make) -> None:
    thin = Plan.of({"trunk": {"stage3": "thin"}})

    def fit_others(part: nn.Sequential, *rest: Any) -> float:
        return 0.0 if isinstance(part[0], nn.Linear) else block_fitting.fit(part, *rest)

    def right(evaluator: Evaluator) -> float:
        splits = evaluator.task.splits
        return score(evaluator.assembled(thin), splits.search, splits.normalisation).accuracy

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(block_library, "fit", fit_others)
        without = right(make())
    assert right(make()) > without + 2


@pytest.mark.matrix
def test_parts_of_networks_on_smaller_images_are_others(
    make: Make, fits: list[block_fitting.FitSchedule]
) -> None:
    evaluator = make()
    evaluator.assembled(BLOCK)
    fits.clear()
    evaluator.assembled(SMALL)
    assert (
        fits.count(block_fitting.FIT_ISOLATED) == 1
    )  # the same weights to begin with, other features
    assert evaluator.assembled(SMALL).eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def other_names(path: Path) -> None:
    save_file({f"other.{name}": tensor for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize("damage", represented([cut_short, other_names], cut_short.__eq__))
def test_damaged_parts_are_fitted_again(
    make: Make, fits: list[block_fitting.FitSchedule], damage: Callable[[Path], None]
) -> None:
    evaluator = make()
    before = set(evaluator.cache.folder.iterdir())
    first = state(evaluator.assembled(BLOCK))
    parts = sorted(set(evaluator.cache.folder.iterdir()) - before)
    assert len(parts) == 1
    damage(parts[0])
    fits.clear()
    assert same(state(evaluator.assembled(BLOCK)), first)
    assert fits.count(block_fitting.FIT_ISOLATED) == 1
    fits.clear()
    evaluator.assembled(BLOCK)
    assert block_fitting.FIT_ISOLATED not in fits


@pytest.mark.matrix
def test_an_entry_of_other_shapes_counts_as_none(
    make: Make, fits: list[block_fitting.FitSchedule]
) -> None:
    evaluator = make()
    before = set(evaluator.cache.folder.iterdir())
    first = state(evaluator.assembled(BLOCK))
    damaged = next(iter(set(evaluator.cache.folder.iterdir()) - before))
    tensors = {name: torch.zeros(*t.shape, 2) for name, t in load_file(damaged).items()}
    evaluator.cache.put(damaged.stem, tensors)
    fits.clear()
    assert same(state(evaluator.assembled(BLOCK)), first)
    assert fits.count(block_fitting.FIT_ISOLATED) == 1


EARLY: dict[str, object] = {"block": {"stage1": "inverted", "stage2": "inverted+early"}}


@pytest.mark.parametrize(
    ("chosen", "stage1"),
    [
        (EARLY, ["layer1.0", "layer1.1", "layer1.2 layer2.0"]),
        (EARLY | {"depth": {"stage1": 0.5}}, ["layer1.0", "layer1.1 layer1.2 layer2.0"]),
    ],
    ids=["neighbours", "a block between them taken out"],
)
def test_parts_between_which_a_stride_moved_are_fitted_as_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, object],
    stage1: list[str],
) -> None:
    torch.manual_seed(0)
    network, images = build_model("resnet20", 10, 3).eval(), torch.randn(16, 3, 8, 8)
    blueprint, context = trace_with_groups(network, images[:2]), ApplyContext(images[:2])
    changed = copy.deepcopy(network)
    changed = apply_phase(changed, blueprint, Plan.of(chosen), Phase.STRUCTURE, context)
    parts = find_parts(blueprint, network, changed, context.kept_channels)
    fitted = list[str]()
    seen_at = block_fitting.features_at

    def seen(network: nn.Module, part: ReplacedPart, images: torch.Tensor) -> Any:
        fitted.append(" ".join(part.modules))
        return seen_at(network, part, images)

    monkeypatch.setattr(
        block_library, "features_at", seen
    )  # right before a part is fitted in its place
    BlockLibrary(Cache(tmp_path), "key", network, [images]).assemble(changed, parts)
    assert fitted == [*stage1, "layer2.1", "layer2.2"]


def test_plans_miss_more_the_more_they_change(make: Make) -> None:
    evaluator = make()
    assert evaluator.fitting_error(Plan()) == 0
    assert 0 < evaluator.fitting_error(BLOCK) < evaluator.fitting_error(BLOCKS)
    assert evaluator.fitting_error(CUT) > 0
    assert evaluator.fitting_error(Plan.of({"prune": {"stage1": 0.5}})) > 0
