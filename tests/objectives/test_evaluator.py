"""The evaluator on real digits: outcomes are true, work is shared, and nothing is disturbed."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from paredown.errors import PlanError
from paredown.objectives.data import ImageSet, MemoryImages, Splits
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.outcome import Outcome
from paredown.objectives.training.recipe import Recipe
from paredown.spaces.plan import Plan
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

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


def test_the_baseline_is_trained_once(make_evaluator: Make, tmp_path: Path) -> None:
    evaluator = make_evaluator(tmp_path)
    assert evaluator.baseline is evaluator.baseline
    assert stages(evaluator) == ["baseline"]
    assert vars(evaluator.timer.progress)["promised"] == [3]
    assert vars(evaluator.timer.progress)["epochs"] == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 1
    another = make_evaluator(tmp_path)
    assert same(state(another.baseline), state(evaluator.baseline))
    assert stages(another) == []
    assert not another.baseline.training


def test_the_baseline_has_learnt_and_drops_nothing(evaluator: Evaluator, digits: Splits) -> None:
    outcome = evaluator.evaluate(Plan())
    assert outcome.drop == 0
    assert outcome.accuracy == evaluator.baseline_score.accuracy
    assert outcome.accuracy == pytest.approx(accuracy(evaluator.baseline, digits, digits.search))
    assert outcome.accuracy > 60  # of ten classes
    assert evaluator.test(Plan()).drop == 0
    assert evaluator.evaluate(Plan()).plan == Plan()


@pytest.mark.parametrize("plan", [BLOCK_PLAN, CUT_PLAN, BITS_PLAN, WHOLE_PLAN])
def test_outcomes_are_what_the_network_is_worth(
    evaluator: Evaluator, digits: Splits, plan: Plan
) -> None:
    outcome = evaluator.evaluate(plan)
    network = evaluator.network(plan)
    value = accuracy(network, digits, digits.search)
    before = accuracy(evaluator.baseline, digits, digits.search)
    assert outcome.plan == plan
    assert outcome.accuracy == pytest.approx(value)
    assert outcome.drop == pytest.approx(before - value)
    assert outcome.accuracy > 60  # after one epoch: weights were inherited
    # What was predicted, and what torch counts on the built network.
    assert outcome.cost == evaluator.predicted_cost(plan)
    assert outcome.cost.params == sum(parameter.numel() for parameter in network.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 1, 8, 8))
    assert outcome.cost.flops == counter.get_total_flops()
    assert not network.training


def test_winners_are_scored_on_the_test_split(evaluator: Evaluator, digits: Splits) -> None:
    outcome = evaluator.test(WHOLE_PLAN)
    value = accuracy(evaluator.network(WHOLE_PLAN), digits, digits.test)
    before = accuracy(evaluator.baseline, digits, digits.test)
    assert outcome.accuracy == pytest.approx(value)
    assert outcome.drop == pytest.approx(before - value)
    assert outcome.cost == evaluator.predicted_cost(WHOLE_PLAN)


@pytest.mark.matrix
def test_the_second_time_costs_no_training(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    first = evaluator.evaluate(PRUNED_PLAN)
    # The first score is the baseline's.
    assert stages(evaluator) == ["score", "assemble", "train", "prune", "fine-tune", "score"]
    assert vars(evaluator.timer.progress)["promised"] == [0, 0, 1, 0, 1, 0]
    assert vars(evaluator.timer.progress)["epochs"] == [1, 1]
    second = evaluator.evaluate(PRUNED_PLAN)
    assert stages(evaluator) == ["score"]
    assert worth(first) == worth(second)
    assert set(first.seconds) == {"assemble", "train", "prune", "fine-tune", "score"}
    assert all(seconds > 0 for seconds in first.seconds.values())
    assert set(second.seconds) == {"score"}


def test_plans_share_what_they_begin_with(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    plans = [
        PRUNED_PLAN,
        WHOLE_PLAN,
        BLOCK_PLAN,
        Plan.of(BLOCKS | {"prune": {"stage1": 0.5}}),
        Plan.of(BLOCKS | {"bits": {"stage1": "w8a8"}}),
    ]
    first = [worth(evaluator.evaluate(plan)) for plan in plans]
    seen = stages(evaluator)
    assert seen.count("train") == 1
    assert seen.count("fine-tune") == 2
    assert "baseline" not in seen
    assert [worth(evaluator.evaluate(plan)) for plan in plans] == first
    assert set(stages(evaluator)) == {"quantize", "score"}  # none took another's place


def test_bits_alone_cost_no_training(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    evaluator.evaluate(BITS_PLAN)
    assert stages(evaluator) == ["score", "quantize", "score"]
    evaluator.evaluate(CUT_PLAN)
    assert stages(evaluator) == ["prune", "fine-tune", "score"]
    for width in ("w8a8", "w16a16"):
        evaluator.evaluate(Plan.of({"prune": {"stage3": 0.5}, "bits": {"stage2": width}}))
        assert stages(evaluator) == ["quantize", "score"]


@pytest.mark.matrix
def test_recipes_decide_what_is_done_again(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    evaluator.evaluate(PRUNED_PLAN)
    stages(evaluator)
    longer = Recipe(epochs=2, max_lr=0.02, batch_size=64)
    tuned = make_evaluator(own, fine_tune=longer)
    tuned.evaluate(PRUNED_PLAN)
    assert stages(tuned) == ["score", "prune", "fine-tune", "score"]
    taught = make_evaluator(own, train=longer)
    taught.evaluate(PRUNED_PLAN)
    assert stages(taught) == ["score", "assemble", "train", "prune", "fine-tune", "score"]
    other = make_evaluator(own, baseline=longer)
    other.evaluate(BLOCK_PLAN)
    assert stages(other) == ["baseline", "score", "assemble", "train", "score"]
    seeded = make_evaluator(own, seed=1)
    seeded.evaluate(BLOCK_PLAN)
    assert stages(seeded) == ["baseline", "score", "assemble", "train", "score"]
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


def test_the_baseline_is_never_changed(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
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


def test_random_numbers_outside_are_skipped(make_evaluator: Make, own: Path) -> None:
    evaluator = make_evaluator(own)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for _ in range(2):  # trained, then from the cache
        evaluator.evaluate(WHOLE_PLAN)
        assert torch.equal(torch.get_rng_state(), before)


def test_given_weights_are_the_baseline(
    make_evaluator: Make, evaluator: Evaluator, baseline_file: Path, tmp_path: Path
) -> None:
    provided = make_evaluator(tmp_path / "networks", weights=baseline_file)
    assert same(state(provided.baseline), state(evaluator.baseline))
    assert provided.evaluate(BITS_PLAN).accuracy == evaluator.evaluate(BITS_PLAN).accuracy
    assert stages(provided) == ["score", "quantize", "score"]
    assert not (tmp_path / "networks").exists()  # nothing was trained


def test_the_seed_decides_training_whatever_the_baseline(
    make_evaluator: Make, baseline_file: Path, tmp_path: Path
) -> None:
    module, two = (
        make_evaluator(tmp_path, seed, baseline_file).network(CUT_PLAN) for seed in (0, 1)
    )
    assert not same(state(module), state(two))


def test_the_baseline_teaches(
    make_evaluator: Make, baseline_file: Path, tmp_path: Path, digits: Splits
) -> None:
    assert isinstance(digits.train, MemoryImages)
    wrong = MemoryImages(digits.train.images, (digits.train.labels + 1) % 10)
    mislabelled = dataclasses.replace(digits, train=wrong)

    def results(distill: float) -> float:
        recipe = Recipe(epochs=3, max_lr=0.05, batch_size=64, distill=distill)
        taught = make_evaluator(tmp_path, weights=baseline_file, splits=mislabelled, train=recipe)
        return taught.evaluate(BLOCK_PLAN).accuracy

    assert results(distill=1) > 60 > 20 > results(distill=0)


def test_search_and_test_images_have_no_part_in_networks(
    make_evaluator: Make, baseline_file: Path, tmp_path: Path, digits: Splits
) -> None:
    black = MemoryImages(torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.arange(20) % 10)
    without = dataclasses.replace(digits, search=black, test=black)
    module = make_evaluator(tmp_path, 0, baseline_file).network(WHOLE_PLAN)
    two = make_evaluator(tmp_path, 0, baseline_file, without).network(WHOLE_PLAN)
    assert same(state(module), state(two))


def test_pruned_networks_have_statistics_of_their_own(
    make_evaluator: Make, own: Path, digits: Splits
) -> None:
    evaluator = make_evaluator(own, fine_tune=Recipe(epochs=0))
    network = evaluator.network(Plan.of({"prune": {"stage1": 0.5}}))
    norm = network.get_submodule("layer2.0.bn1")
    assert norm.num_batches_tracked == len(digits.train) // 128
    (pixels, _), *_ = digits.train.batches(len(digits.train))
    seen = list[torch.Tensor]()
    network.get_submodule("layer2.0.conv1").register_forward_hook(
        lambda _, __, output: seen.append(output)
    )
    with torch.no_grad():
        network(digits.normalisation(pixels))
    assert isinstance(norm.running_var, torch.Tensor)
    torch.testing.assert_close(norm.running_var, seen[0].var((0, 2, 3)), rtol=0.05, atol=0)


def test_networks_are_the_callers_own(evaluator: Evaluator) -> None:
    expected = state(evaluator.network(BLOCK_PLAN))
    module = evaluator.network(BLOCK_PLAN)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert same(state(evaluator.network(BLOCK_PLAN)), expected)
