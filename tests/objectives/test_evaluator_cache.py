"""The evaluator and its cache: what is restored is what was made, and no bad entry gets through."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from paredown.errors import TrainingDiverged
from paredown.objectives.data import Splits
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.outcome import Outcome
from paredown.objectives.training.recipe import Recipe
from paredown.spaces.plan import Plan
from paredown.spaces.technique import Phase
from paredown.tests.matrix import represented
from safetensors.torch import load_file, save_file
from torch import nn

UNTRAINED = {"train": Recipe(epochs=0), "fine_tune": Recipe(epochs=0)}

BLOCKS = {"block": {"stage2": "separable", "stage3": "nx1-1xn"}}
PRUNED = BLOCKS | {"prune": {"stage1": 0.25, "stage2": 0.5}}
WHOLE = PRUNED | {"bits": {"stem": "w16a16", "stage1": "w8a8", "stage3": "w8a8", "head": "w8a8"}}
BLOCK_PLAN, PRUNED_PLAN, WHOLE_PLAN = (Plan.of(chosen) for chosen in (BLOCKS, PRUNED, WHOLE))
CUT_PLAN = Plan.of({"prune": {"stage3": 0.5}})
BITS_PLAN = Plan.of({"bits": {"stage1": "w8a8", "stage2": "w16a16"}})

Make = Callable[..., Evaluator]


def stages(evaluator: Evaluator) -> list[str]:
    """The stages since the last time of asking."""
    seen: list[str] = vars(evaluator.timer.progress)["stages"]
    asked = seen.copy()
    seen.clear()
    return asked


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(data: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return data.keys() == other.keys() and all(
        torch.equal(data[name], other[name]) for name in data
    )


def networks(folder: Path) -> set[Path]:
    """The entries of a cache that are whole networks, and not fitted parts."""
    return {path for path in folder.iterdir() if "error" not in load_file(path)}


def worth(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome but how long it took."""
    return outcome.plan, outcome.cost, outcome.accuracy, outcome.drop


@pytest.mark.matrix
def test_the_same_seed_gives_the_same_outcomes_in_separate_caches(
    make_evaluator: Make, tmp_path: Path
) -> None:
    evaluator, two = make_evaluator(tmp_path / "one"), make_evaluator(tmp_path / "two")
    torch.manual_seed(1)
    first = [worth(evaluator.evaluate(plan)) for plan in (WHOLE_PLAN, CUT_PLAN)]
    torch.manual_seed(2)
    second = [worth(two.evaluate(plan)) for plan in (CUT_PLAN, WHOLE_PLAN)]  # any order
    assert first == second[::-1]
    assert same(state(evaluator.network(WHOLE_PLAN)), state(two.network(WHOLE_PLAN)))


@pytest.mark.parametrize("recipes", [{}, UNTRAINED], ids=["trained", "untrained"])
def test_what_is_restored_answers_to_the_bit_like_what_was_made(
    make_evaluator: Make, digits: Splits, tmp_path: Path, recipes: dict[str, Recipe]
) -> None:
    plan = Plan.of(WHOLE | {"width": {"stage3": 0.5}})
    trainer = make_evaluator(tmp_path, **recipes)
    trained = trainer.network(plan)
    assert "train" in stages(trainer)
    restorer = make_evaluator(tmp_path, **recipes)
    restored = restorer.network(plan)
    assert stages(restorer) == ["quantize"]
    assert same(state(restored), state(trained))
    pixels, _ = next(digits.search.batches(len(digits.search)))
    shown = digits.normalisation(pixels)
    with torch.no_grad():
        assert torch.equal(restored(shown), trained(shown))
    assert worth(restorer.evaluate(plan)) == worth(trainer.evaluate(plan))


@pytest.mark.parametrize(
    "prefix", represented([Plan(), PRUNED_PLAN.through(Phase.STRUCTURE)], lambda plan: plan.choices)
)
def test_work_goes_on_from_a_restored_prefix_as_from_a_trained_one(
    make_evaluator: Make, tmp_path: Path, prefix: Plan
) -> None:
    at_once = make_evaluator(tmp_path / "at once").network(PRUNED_PLAN)
    make_evaluator(tmp_path / "in parts").network(prefix)
    later = make_evaluator(tmp_path / "in parts").network(PRUNED_PLAN)
    assert same(state(at_once), state(later))


WILD = Recipe(epochs=3, max_lr=1e9, batch_size=64)


def test_training_that_diverges_is_told_and_not_kept(
    make_evaluator: Make, evaluator: Evaluator, own: Path
) -> None:
    before = networks(own)
    wild = make_evaluator(own, train=WILD)
    for _ in range(2):
        with pytest.raises(TrainingDiverged):
            wild.evaluate(BLOCK_PLAN)
        assert stages(wild)[-2:] == ["assemble", "train"]
    assert networks(own) == before
    assert wild.evaluate(BITS_PLAN).accuracy == evaluator.evaluate(BITS_PLAN).accuracy
    tuned = make_evaluator(own, fine_tune=WILD)
    with pytest.raises(TrainingDiverged):
        tuned.evaluate(PRUNED_PLAN)
    assert worth(make_evaluator(own).evaluate(PRUNED_PLAN)) == worth(
        evaluator.evaluate(PRUNED_PLAN)
    )


def test_a_baseline_that_diverges_is_told_and_not_kept(
    make_evaluator: Make, tmp_path: Path
) -> None:
    wild = make_evaluator(tmp_path, baseline=WILD)
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
    make_evaluator: Make, own: Path, damage: Callable[[Path], None]
) -> None:
    baseline = networks(own)
    evaluator = make_evaluator(own)
    expected = worth(evaluator.evaluate(BLOCK_PLAN))
    stages(evaluator)
    (entry,) = networks(own) - baseline
    damage(entry)
    assert worth(evaluator.evaluate(BLOCK_PLAN)) == expected
    assert stages(evaluator) == ["assemble", "train", "score"]
    assert worth(evaluator.evaluate(BLOCK_PLAN)) == expected
    assert stages(evaluator) == ["score"]  # and kept anew


@pytest.mark.parametrize("damage", [cut_short, last_shape_wrong, more_names])
def test_a_damaged_baseline_is_trained_again(
    make_evaluator: Make, own: Path, evaluator: Evaluator, damage: Callable[[Path], None]
) -> None:
    (entry,) = own.iterdir()
    damage(entry)
    again = make_evaluator(own)
    assert same(state(again.baseline), state(evaluator.baseline))
    assert stages(again) == ["baseline"]
    last = make_evaluator(own)
    assert same(state(last.baseline), state(evaluator.baseline))
    assert stages(last) == []


def test_damaged_pruned_entries_are_made_again(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    expected = worth(evaluator.evaluate(WHOLE_PLAN))
    stages(evaluator)
    for entry in own.iterdir():
        other_shapes(entry)
    assert worth(make_evaluator(own).evaluate(WHOLE_PLAN)) == expected


def test_without_a_cache_that_can_be_written_work_goes_on(
    make_evaluator: Make, evaluator: Evaluator, tmp_path: Path
) -> None:
    (tmp_path / "networks").write_text("a file where the folder should be")
    uncached = make_evaluator(tmp_path / "networks")
    assert worth(uncached.evaluate(CUT_PLAN)) == worth(evaluator.evaluate(CUT_PLAN))
    uncached.evaluate(CUT_PLAN)
    assert stages(uncached).count("fine-tune") == 2
