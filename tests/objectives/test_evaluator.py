"""The evaluator on real digits: outcomes are true, work is shared, and nothing is disturbed."""

import copy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from paredown.errors import PlanError, TrainingDiverged
from paredown.objectives.cache import Cache
from paredown.objectives.data import DataRequest, ImageSet, Splits, load_data
from paredown.objectives.evaluator import Evaluator
from paredown.objectives.outcome import Outcome
from paredown.objectives.progress import Progress
from paredown.objectives.task import Recipes, Task
from paredown.objectives.training import Recipe
from paredown.spaces.grouping import trace_with_groups
from paredown.spaces.kind import Phase
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from paredown.spaces.tracing import example_images
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

RECIPES = Recipes(
    baseline=Recipe(epochs=3, max_lr=0.1, batch_size=64),
    train=Recipe(epochs=1, max_lr=0.05, batch_size=64, distill=0.5),
    fine_tune=Recipe(epochs=1, max_lr=0.02, batch_size=64, distill=0.5),
)
BLOCKS = {"block": {"stage2": "separable", "stage3": "nx1-1xn"}}
PRUNED = BLOCKS | {"prune": {"stage1": 0.25, "stage2": 0.5}}
WHOLE = PRUNED | {"bits": {"stem": "w8a32", "stage1": "w8a8", "stage3": "w8a8", "head": "w8a8"}}
BLOCK_PLAN, PRUNED_PLAN, WHOLE_PLAN = (Plan.of(chosen) for chosen in (BLOCKS, PRUNED, WHOLE))
CUT_PLAN = Plan.of({"prune": {"stage3": 0.5}})
BITS_PLAN = Plan.of({"bits": {"stage1": "w8a8", "stage2": "w8a32"}})


class Stages(Progress):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.stages, self.promised, self.epochs = list[str](), list[int](), list[int]()

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stages.append(name)
        self.promised.append(epochs)

    def epoch(self, done: int, loss: float) -> None:
        self.epochs.append(done)


def told(evaluator: Evaluator) -> Stages:
    assert isinstance(evaluator.progress, Stages)
    return evaluator.progress


def stages(evaluator: Evaluator) -> list[str]:
    """The stages since the last time of asking."""
    seen = told(evaluator).stages.copy()
    told(evaluator).stages.clear()
    return seen


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def worth(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome but how long it took."""
    return outcome.plan, outcome.cost, outcome.accuracy, outcome.drop


def scores(network: nn.Module, splits: Splits, images: ImageSet) -> torch.Tensor:
    """What a network says of images, [images, classes]."""
    with torch.no_grad():
        rows = [network(splits.normalisation(pixels)) for pixels, _ in images.batches(100)]
    return torch.cat(rows)


def accuracy(network: nn.Module, splits: Splits, images: ImageSet) -> float:
    right = scores(network, splits, images).argmax(1) == images.labels
    return 100 * int(right.sum()) / len(images)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_data(DataRequest("digits"))


@pytest.fixture(scope="module")
def space(splits: Splits) -> Space:
    network = Task("resnet8", splits).build()
    return Space.of(trace_with_groups(network, example_images(1, 8)))


Make = Callable[..., Evaluator]


@pytest.fixture(scope="module")
def make(splits: Splits, space: Space) -> Make:
    """make(folder, recipes, seed, weights) -> an evaluator with its own cache and record."""

    def make(
        folder: Path, recipes: Recipes = RECIPES, seed: int = 0, weights: Path | None = None
    ) -> Evaluator:
        task = Task("resnet8", splits, recipes, seed, weights)
        return Evaluator(task, space, Cache(folder), Stages())

    return make


@pytest.fixture(scope="module")
def filled(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the baseline alone. Copy it, do not change it."""
    folder = tmp_path_factory.mktemp("filled")
    evaluator = make(folder)
    assert not evaluator.baseline.training
    assert stages(evaluator) == ["baseline"]
    assert told(evaluator).promised == [3]
    assert told(evaluator).epochs == [1, 2, 3]
    assert len(list(folder.iterdir())) == 1
    return folder


@pytest.fixture(scope="module")
def evaluator(make: Make, filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """An evaluator whose cache fills up as tests use it."""
    folder = tmp_path_factory.mktemp("shared") / "networks"
    shutil.copytree(filled, folder)
    return make(folder)


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> Path:
    """A cache of the test's own, with the baseline in it."""
    return Path(shutil.copytree(filled, tmp_path / "networks"))


def test_the_baseline_has_learnt_and_drops_nothing(evaluator: Evaluator, splits: Splits) -> None:
    outcome = evaluator.evaluate(Plan())
    assert outcome.drop == 0
    assert outcome.accuracy == evaluator.baseline_score.accuracy
    assert outcome.accuracy == pytest.approx(accuracy(evaluator.baseline, splits, splits.search))
    assert outcome.accuracy > 60  # of ten classes
    assert evaluator.test(Plan()).drop == 0
    assert evaluator.evaluate(Plan()).plan == Plan()


@pytest.mark.parametrize("plan", [BLOCK_PLAN, CUT_PLAN, BITS_PLAN, WHOLE_PLAN])
def test_outcomes_are_what_the_network_is_worth(
    evaluator: Evaluator, splits: Splits, plan: Plan
) -> None:
    outcome = evaluator.evaluate(plan)
    network = evaluator.network(plan)
    found = accuracy(network, splits, splits.search)
    before = accuracy(evaluator.baseline, splits, splits.search)
    assert outcome.plan == plan
    assert outcome.accuracy == pytest.approx(found)
    assert outcome.drop == pytest.approx(before - found)
    assert outcome.accuracy > 25  # better than chance: weights were inherited
    # What was foretold, and what torch counts on the built network.
    assert outcome.cost == evaluator.foretold_cost(plan)
    assert outcome.cost.params == sum(parameter.numel() for parameter in network.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 1, 8, 8))
    assert outcome.cost.flops == counter.get_total_flops()
    assert not network.training


def test_winners_are_scored_on_the_test_split(evaluator: Evaluator, splits: Splits) -> None:
    outcome = evaluator.test(WHOLE_PLAN)
    found = accuracy(evaluator.network(WHOLE_PLAN), splits, splits.test)
    before = accuracy(evaluator.baseline, splits, splits.test)
    assert outcome.accuracy == pytest.approx(found)
    assert outcome.drop == pytest.approx(before - found)
    assert outcome.cost == evaluator.foretold_cost(WHOLE_PLAN)


def test_the_second_time_costs_no_training(make: Make, own: Path) -> None:
    evaluator = make(own)
    first = evaluator.evaluate(PRUNED_PLAN)
    assert stages(evaluator) == ["structure", "train", "prune", "fine-tune", "score"]
    assert told(evaluator).promised == [0, 1, 0, 1, 0]
    assert told(evaluator).epochs == [1, 1]
    second = evaluator.evaluate(PRUNED_PLAN)
    assert stages(evaluator) == ["score"]
    assert worth(first) == worth(second)
    assert set(first.seconds) == {"structure", "train", "prune", "fine-tune", "score"}
    assert all(seconds > 0 for seconds in first.seconds.values())
    assert set(second.seconds) == {"score"}


def test_plans_share_what_they_begin_with(make: Make, own: Path) -> None:
    evaluator = make(own)
    for chosen in (
        PRUNED,
        WHOLE,
        BLOCKS,
        BLOCKS | {"prune": {"stage1": 0.5}},
        BLOCKS | {"bits": {"stage1": "w8a8"}},
    ):
        evaluator.evaluate(Plan.of(chosen))
    seen = stages(evaluator)
    assert seen.count("train") == 1
    assert seen.count("fine-tune") == 2
    assert "baseline" not in seen


def test_bits_alone_cost_no_training(make: Make, own: Path) -> None:
    evaluator = make(own)
    evaluator.evaluate(BITS_PLAN)
    assert stages(evaluator) == ["quantize", "score"]
    evaluator.evaluate(CUT_PLAN)
    assert stages(evaluator) == ["prune", "fine-tune", "score"]
    for width in ("w8a8", "w8a32"):
        evaluator.evaluate(Plan.of({"prune": {"stage3": 0.5}, "bits": {"stage2": width}}))
        assert stages(evaluator) == ["quantize", "score"]


def test_recipes_decide_what_is_done_again(make: Make, own: Path) -> None:
    evaluator = make(own)
    evaluator.evaluate(PRUNED_PLAN)
    stages(evaluator)
    longer = Recipe(epochs=2, max_lr=0.02, batch_size=64)
    tuned = make(own, Recipes(RECIPES.baseline, RECIPES.train, longer))
    tuned.evaluate(PRUNED_PLAN)
    assert stages(tuned) == ["prune", "fine-tune", "score"]
    taught = make(own, Recipes(RECIPES.baseline, longer, RECIPES.fine_tune))
    taught.evaluate(PRUNED_PLAN)
    assert stages(taught) == ["structure", "train", "prune", "fine-tune", "score"]
    other = make(own, Recipes(longer, RECIPES.train, RECIPES.fine_tune))
    other.evaluate(BLOCK_PLAN)
    assert stages(other) == ["baseline", "structure", "train", "score"]
    seeded = make(own, seed=1)
    seeded.evaluate(BLOCK_PLAN)
    assert stages(seeded) == ["baseline", "structure", "train", "score"]
    assert not same(state(seeded.network(BLOCK_PLAN)), state(evaluator.network(BLOCK_PLAN)))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"block": {"stage9": "separable"}}, "stage9: no such place"),
        ({"block": {"head": "separable"}}, "head: no such place"),
        ({"width": {"stage1": 0.3}}, "stage1: 0.3 is not among"),
        ({"prune": {"stage1": 0.9}}, "stage1: 0.9 is not among"),
    ],
)
def test_plans_outside_the_space_are_refused(
    evaluator: Evaluator, chosen: dict[str, object], message: str
) -> None:
    stages(evaluator)
    for ask in (evaluator.evaluate, evaluator.test, evaluator.network):
        with pytest.raises(PlanError, match=message):
            ask(Plan.of(chosen))
    assert "train" not in stages(evaluator)


def test_the_baseline_is_never_changed(make: Make, own: Path) -> None:
    evaluator = make(own)
    before = state(evaluator.baseline)
    for plan in (Plan(), WHOLE_PLAN, CUT_PLAN, BITS_PLAN, Plan.of({"width": {"stage1": 0.5}})):
        for _ in range(2):  # trained, then from the cache
            network = evaluator.network(plan)
            assert network is not evaluator.baseline
            with torch.no_grad():
                for tensor in network.state_dict().values():
                    tensor.zero_()
            assert same(state(evaluator.baseline), before)
    assert not any(module.training for module in evaluator.baseline.modules())


def test_random_numbers_outside_are_left_alone(make: Make, own: Path) -> None:
    evaluator = make(own)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for _ in range(2):  # trained, then from the cache
        evaluator.evaluate(WHOLE_PLAN)
        assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_the_same_outcomes_in_separate_caches(
    make: Make, tmp_path: Path
) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    torch.manual_seed(1)
    first = [worth(one.evaluate(plan)) for plan in (WHOLE_PLAN, CUT_PLAN)]
    torch.manual_seed(2)
    second = [worth(two.evaluate(plan)) for plan in (CUT_PLAN, WHOLE_PLAN)]  # any order
    assert first == second[::-1]
    assert same(state(one.network(WHOLE_PLAN)), state(two.network(WHOLE_PLAN)))


UNTRAINED = Recipes(RECIPES.baseline, Recipe(epochs=0), Recipe(epochs=0))


@pytest.mark.parametrize("recipes", [RECIPES, UNTRAINED], ids=["trained", "untrained"])
def test_what_is_restored_answers_to_the_bit_like_what_was_made(
    make: Make, splits: Splits, tmp_path: Path, recipes: Recipes
) -> None:
    plan = Plan.of(WHOLE | {"width": {"stage3": 0.5}})
    trainer = make(tmp_path, recipes)
    trained = trainer.network(plan)
    assert "train" in stages(trainer)
    restorer = make(tmp_path, recipes)
    restored = restorer.network(plan)
    assert stages(restorer) == ["quantize"]
    assert same(state(restored), state(trained))
    assert torch.equal(
        scores(restored, splits, splits.search), scores(trained, splits, splits.search)
    )
    assert worth(restorer.evaluate(plan)) == worth(trainer.evaluate(plan))


@pytest.mark.parametrize("prefix", [Plan(), PRUNED_PLAN.through(Phase.STRUCTURE)])
def test_work_goes_on_from_a_restored_prefix_as_from_a_trained_one(
    make: Make, tmp_path: Path, prefix: Plan
) -> None:
    at_once = make(tmp_path / "at once").network(PRUNED_PLAN)
    make(tmp_path / "in parts").network(prefix)
    later = make(tmp_path / "in parts").network(PRUNED_PLAN)
    assert same(state(at_once), state(later))


def test_given_weights_are_the_baseline(
    make: Make, evaluator: Evaluator, tmp_path: Path, splits: Splits
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file({n: t.contiguous() for n, t in evaluator.baseline.state_dict().items()}, weights)
    given = make(tmp_path / "networks", weights=weights)
    assert same(state(given.baseline), state(evaluator.baseline))
    assert given.evaluate(BITS_PLAN).accuracy == evaluator.evaluate(BITS_PLAN).accuracy
    assert stages(given) == ["quantize", "score"]
    assert not (tmp_path / "networks").exists()  # nothing was trained


WILD = Recipe(epochs=3, max_lr=1e9, batch_size=64)


def test_training_that_diverges_is_told_and_not_kept(make: Make, own: Path) -> None:
    before = sorted(own.iterdir())
    wild = make(own, Recipes(RECIPES.baseline, WILD, RECIPES.fine_tune))
    for _ in range(2):
        with pytest.raises(TrainingDiverged):
            wild.evaluate(BLOCK_PLAN)
        assert stages(wild) == ["structure", "train"]
    assert sorted(own.iterdir()) == before
    assert wild.evaluate(BITS_PLAN).accuracy == make(own).evaluate(BITS_PLAN).accuracy
    tuned = make(own, Recipes(RECIPES.baseline, RECIPES.train, WILD))
    with pytest.raises(TrainingDiverged):
        tuned.evaluate(PRUNED_PLAN)
    assert worth(make(own).evaluate(PRUNED_PLAN)) == worth(make(own).evaluate(PRUNED_PLAN))


def test_a_baseline_that_diverges_is_told_and_not_kept(make: Make, tmp_path: Path) -> None:
    wild = make(tmp_path, Recipes(WILD, RECIPES.train, RECIPES.fine_tune))
    for _ in range(2):
        with pytest.raises(TrainingDiverged):
            wild.evaluate(Plan())
    assert list(tmp_path.iterdir()) == []


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def other_shapes(path: Path) -> None:
    save_file(
        {name: torch.zeros(*tensor.shape, 2) for name, tensor in load_file(path).items()}, path
    )


def other_types(path: Path) -> None:
    save_file({name: tensor.double() for name, tensor in load_file(path).items()}, path)


def last_shape_wrong(path: Path) -> None:
    tensors = {name: tensor + 1 for name, tensor in load_file(path).items()}
    tensors["linear.weight"] = torch.zeros(11, 64)
    save_file(tensors, path)


def missing_names(path: Path) -> None:
    save_file(dict(list(load_file(path).items())[1:]), path)


def more_names(path: Path) -> None:
    save_file(load_file(path) | {"unknown.weight": torch.zeros(3)}, path)


def no_tensors(path: Path) -> None:
    save_file({}, path)


DAMAGES = [
    cut_short,
    other_shapes,
    other_types,
    last_shape_wrong,
    missing_names,
    more_names,
    no_tensors,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_are_trained_again(
    make: Make, own: Path, damage: Callable[[Path], None]
) -> None:
    baseline = set(own.iterdir())
    evaluator = make(own)
    expected = worth(evaluator.evaluate(BLOCK_PLAN))
    stages(evaluator)
    (entry,) = set(own.iterdir()) - baseline
    damage(entry)
    assert worth(evaluator.evaluate(BLOCK_PLAN)) == expected
    assert stages(evaluator) == ["structure", "train", "score"]
    assert worth(evaluator.evaluate(BLOCK_PLAN)) == expected
    assert stages(evaluator) == ["score"]  # and kept anew


@pytest.mark.parametrize("damage", [cut_short, last_shape_wrong, more_names])
def test_a_damaged_baseline_is_trained_again(
    make: Make, own: Path, evaluator: Evaluator, damage: Callable[[Path], None]
) -> None:
    (entry,) = own.iterdir()
    damage(entry)
    again = make(own)
    assert same(state(again.baseline), state(evaluator.baseline))
    assert stages(again) == ["baseline"]
    last = make(own)
    assert same(state(last.baseline), state(evaluator.baseline))
    assert stages(last) == []


def test_damaged_pruned_entries_are_made_again(make: Make, own: Path) -> None:
    evaluator = make(own)
    expected = worth(evaluator.evaluate(WHOLE_PLAN))
    stages(evaluator)
    for entry in own.iterdir():
        other_shapes(entry)
    assert worth(make(own).evaluate(WHOLE_PLAN)) == expected


def test_without_a_cache_that_can_be_written_work_goes_on(
    make: Make, evaluator: Evaluator, tmp_path: Path
) -> None:
    (tmp_path / "networks").write_text("a file where the folder should be")
    uncached = make(tmp_path / "networks")
    assert worth(uncached.evaluate(CUT_PLAN)) == worth(evaluator.evaluate(CUT_PLAN))
    uncached.evaluate(CUT_PLAN)
    assert stages(uncached).count("fine-tune") == 2


def test_networks_are_the_callers_own(evaluator: Evaluator) -> None:
    expected = state(evaluator.network(BLOCK_PLAN))
    one = evaluator.network(BLOCK_PLAN)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.zero_()
    assert same(state(evaluator.network(BLOCK_PLAN)), expected)
    assert same(state(copy.deepcopy(evaluator.network(BLOCK_PLAN))), expected)
