"""How sure a drop is: intervals as published, as defined, and as they do on drawn answers."""

import math

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.accuracy.confidence import (
    BalancedDrop,
    Certainty,
    CorrectCounts,
    PairedDrop,
    UnpairedDifference,
)
from paredown.objectives.accuracy.scoring import Score
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm


@st.composite
def pairs(draw: st.DrawFn) -> PairedDrop:
    images = draw(st.integers(1, 20_000))
    lost = draw(st.integers(0, images))
    return PairedDrop(images, lost, draw(st.integers(0, images - lost)))


@pytest.mark.parametrize(
    ("found", "interval"),
    [
        # Fagerland, Lydersen and Laake (2014), table 6: airway hyper-responsiveness.
        (PairedDrop(21, lost=1, gained=7), (-51.7, -2.6)),
        # Nothing differs: z^2 / (n + z^2).
        (PairedDrop(100, 0, 0), (-100 * 3.8415 / 103.8415, 100 * 3.8415 / 103.8415)),
    ],
)
def test_intervals_are_the_published_ones(found: PairedDrop, interval: tuple[float, float]) -> None:
    assert found.interval == pytest.approx(interval, abs=0.05)


def score_by_search(paired: PairedDrop, true: float) -> float:
    """The same statistic from the likelihood itself, maximised numerically."""

    def surprise(gained: float) -> float:
        lost, same = gained + true, 1 - 2 * gained - true
        shares = [(paired.lost, lost), (paired.gained, gained)]
        shares.append((paired.images - paired.lost - paired.gained, same))
        return -sum(n * math.log(max(share, 1e-300)) for n, share in shares if n)

    low, high = max(0.0, -true), (1 - true) / 2
    gained = minimize_scalar(
        surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = (2 * gained + true - true**2) / paired.images
    return float((paired.drop / 100 - true) / math.sqrt(variance))


@pytest.mark.parametrize(
    "found",
    [PairedDrop(360, 9, 4), PairedDrop(10_000, 300, 210), PairedDrop(50, 3, 9)],
    ids=str,
)
def test_the_bounds_are_where_a_score_test_rejects(found: PairedDrop) -> None:
    low, high = found.interval
    assert score_by_search(found, low / 100) == pytest.approx(norm.ppf(0.975), abs=1e-3)
    assert score_by_search(found, high / 100) == pytest.approx(norm.ppf(0.025), abs=1e-3)
    assert score_by_search(found, found.upper_bound / 100) == pytest.approx(
        norm.ppf(0.05), abs=1e-3
    )


@given(pairs())
def test_bounds_are_in_order_and_turn_round_with_the_pair(found: PairedDrop) -> None:
    low, high = found.interval
    assert -100 <= low <= found.drop <= found.upper_bound <= high <= 100
    turned = PairedDrop(found.images, found.gained, found.lost)
    assert turned.interval == pytest.approx((-high, -low), abs=1e-6)
    assert PairedDrop.from_dict(found.to_dict()) == found


@given(pairs(), st.floats(0, 100))
def test_words_say_what_the_bounds_say(found: PairedDrop, points: float) -> None:
    certainty = found.certainty(Budget(points))
    assert (certainty is Certainty.WITHIN) == (found.upper_bound <= points + 1e-9)
    assert (certainty is Certainty.OVER) == (found.drop > points + 1e-9)


@given(pairs(), st.floats(0, 20))
def test_the_images_needed_are_just_enough(found: PairedDrop, points: float) -> None:
    budget, needed = Budget(points), found.images_needed(Budget(points))
    if needed is None:
        assert found.drop > points - 0.01
        return
    # As many whole copies of these answers as make at least, and fewer, than that many images.
    copies = needed / found.images
    for times in {math.ceil(copies), math.floor(copies)} - {0}:
        more = PairedDrop(found.images * times, found.lost * times, found.gained * times)
        enough = more.images >= needed
        assert (more.upper_bound <= points + 1e-6) or not enough
        assert (more.upper_bound > points - 1e-6) or enough
    assert needed > found.images or found.certainty(budget) is Certainty.WITHIN


def test_pairs_are_counted_from_answers() -> None:
    baseline = Score(torch.tensor([True, True, True, False, False, True]))
    plan = Score(torch.tensor([True, False, False, True, False, True]))
    paired = PairedDrop.between(baseline, plan)
    assert paired == PairedDrop(6, lost=2, gained=1, baseline_right=4)
    assert paired.drop == pytest.approx(baseline.accuracy - plan.accuracy)
    with pytest.raises(ValueError, match="for the same images"):
        PairedDrop.between(baseline, Score(torch.tensor([True])))


@pytest.mark.parametrize("images", [360, 2000])
@pytest.mark.parametrize(("lost", "gained"), [(0.03, 0.02), (0.05, 0.0), (0.02, 0.02)])
def test_intervals_cover_the_true_drop(images: int, lost: float, gained: float) -> None:
    """In small; `benchmarks/coverage.py` has the whole grid."""
    rng = numpy.random.default_rng(0)
    drawn = rng.multinomial(images, [lost, gained, 1 - lost - gained], size=2000)
    true, covered = 100 * (lost - gained), 0
    for (a, b), many in zip(*numpy.unique(drawn[:, :2], axis=0, return_counts=True), strict=True):
        low, high = PairedDrop(images, int(a), int(b)).interval
        covered += int(many) * (low <= true <= high)
    assert 0.93 <= covered / 2000 <= 0.97


@st.composite
def classes(draw: st.DrawFn) -> BalancedDrop:
    return BalancedDrop.of(draw(st.lists(pairs(), min_size=1, max_size=4)))


def test_balanced_pairs_are_counted_class_by_class() -> None:
    labels = torch.tensor([0, 0, 0, 0, 2, 2])
    baseline = Score(torch.tensor([True, True, True, False, True, False]), labels)
    plan = Score(torch.tensor([True, False, False, True, False, False]), labels)
    paired = PairedDrop.between(baseline, plan)
    classes = [PairedDrop(4, lost=2, gained=1, baseline_right=3), PairedDrop(2, 1, 0, 1)]
    assert paired == BalancedDrop.of(classes)
    assert (paired.images, paired.lost, paired.gained) == (6, 3, 1)
    assert paired.drop == pytest.approx(100 * (1 / 4 + 1 / 2) / 2)
    assert paired.drop == pytest.approx(baseline.accuracy - plan.accuracy)


def test_balanced_limits_are_recovered_from_those_of_the_classes() -> None:
    """Zou, Huang and Zhang: the limits' distances from the estimates, squared, weighted, added."""
    paired_drop, other = PairedDrop(200, 12, 5), PairedDrop(40, 3, 4)
    paired = BalancedDrop.of([paired_drop, other])
    low = math.sqrt(sum((each.drop - each.interval[0]) ** 2 / 4 for each in (paired_drop, other)))
    high = math.sqrt(sum((each.interval[1] - each.drop) ** 2 / 4 for each in (paired_drop, other)))
    assert paired.interval == pytest.approx((paired.drop - low, paired.drop + high))
    most = math.sqrt(sum((each.upper_bound - each.drop) ** 2 / 4 for each in (paired_drop, other)))
    assert paired.upper_bound == pytest.approx(paired.drop + most)
    alone = BalancedDrop.of([paired_drop])
    assert (*alone.interval, alone.upper_bound) == pytest.approx(
        (*paired_drop.interval, paired_drop.upper_bound)
    )


@given(classes())
def test_balanced_bounds_are_in_order_and_turn_round(found: BalancedDrop) -> None:
    low, high = found.interval
    assert -100 <= low <= found.drop + 1e-9
    assert found.drop - 1e-9 <= found.upper_bound <= high + 1e-9 <= 100 + 1e-9
    turned = BalancedDrop.of(
        [PairedDrop(paired.images, paired.gained, paired.lost) for paired in found.classes]
    )
    assert turned.interval == pytest.approx((-high, -low), abs=1e-6)
    assert PairedDrop.from_dict(found.to_dict()) == found


@given(classes(), st.floats(0, 20))
def test_the_images_needed_of_a_balanced_drop_are_enough(
    found: BalancedDrop, points: float
) -> None:
    budget, needed = Budget(points), found.images_needed(Budget(points))
    if needed is None:
        assert found.drop > points - 0.01
        return
    times = math.ceil(needed / found.images)
    more = BalancedDrop.of(
        [
            PairedDrop(*(times * n for n in (paired.images, paired.lost, paired.gained)))
            for paired in found.classes
        ]
    )
    assert more.upper_bound <= points + 1e-6
    assert needed > found.images or found.certainty(budget) is Certainty.WITHIN


@pytest.mark.parametrize(
    "shares",
    [
        [(300, 0.03, 0.02), (60, 0.1, 0.02)],
        [(36, 0.03, 0.02)] * 10,
        [(400, 0.02, 0.02), (100, 0.05, 0.0), (25, 0.2, 0.1)],
    ],
    ids=["two", "ten small ones", "three"],
)
def test_balanced_intervals_cover_the_true_drop(shares: list[tuple[int, float, float]]) -> None:
    """No less than they promise; more where few answers differ."""
    rng = numpy.random.default_rng(0)
    times, covered = 400, 0
    true = 100 * sum(lost - gained for _, lost, gained in shares) / len(shares)
    for _ in range(times):
        drawn = [
            PairedDrop(n, *map(int, rng.multinomial(n, [lost, gained, 1 - lost - gained])[:2]))
            for n, lost, gained in shares
        ]
        low, high = BalancedDrop.of(drawn).interval
        covered += low <= true <= high
    assert covered / times >= 0.93


# Newcombe (1998), table II, method 10: both counts and the limits.
NEWCOMBE = [
    ((56, 70), (48, 80), (0.0524, 0.3339)),
    ((9, 10), (3, 10), (0.1705, 0.8090)),
    ((6, 7), (2, 7), (0.0582, 0.8062)),
    ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ((10, 10), (0, 20), (0.6791, 1.0000)),
    ((10, 10), (0, 10), (0.6075, 1.0000)),
]


@pytest.mark.parametrize(("first", "second", "limits"), NEWCOMBE)
def test_unpaired_intervals_are_the_published_ones(
    first: tuple[int, int], second: tuple[int, int], limits: tuple[float, float]
) -> None:
    unpaired_difference = UnpairedDifference(CorrectCounts((first,)), CorrectCounts((second,)))
    assert unpaired_difference.interval == pytest.approx(
        [100 * limit for limit in limits], abs=0.006
    )
    low, high = unpaired_difference.interval
    turned = UnpairedDifference(unpaired_difference.second, unpaired_difference.first)
    assert turned.interval == pytest.approx((-high, -low))


def test_balanced_unpaired_limits_are_recovered_from_wilsons_of_the_classes() -> None:
    first, second = CorrectCounts(((90, 100), (15, 30))), CorrectCounts(((160, 200), (12, 40)))
    below = above = 0.0
    for counts, is_first in ((first.counts, True), (second.counts, False)):
        for right, images in counts:
            wilson = binomtest(right, images).proportion_ci(0.95, method="wilson")
            down, up = right / images - wilson.low, wilson.high - right / images
            below += ((down if is_first else up) / len(counts)) ** 2
            above += ((up if is_first else down) / len(counts)) ** 2
    unpaired_difference = UnpairedDifference(first, second)
    assert unpaired_difference.points == pytest.approx(100 * ((0.9 + 0.5) / 2 - (0.8 + 0.3) / 2))
    low = unpaired_difference.points - 100 * math.sqrt(below)
    high = unpaired_difference.points + 100 * math.sqrt(above)
    assert unpaired_difference.interval == pytest.approx((low, high))


@pytest.mark.parametrize("classes", [1, 4])
def test_unpaired_intervals_cover_the_true_difference(classes: int) -> None:
    rng, covered = numpy.random.default_rng(0), 0
    shares = (numpy.linspace(0.95, 0.7, classes), numpy.linspace(0.9, 0.75, classes))
    true = 100 * float(shares[0].mean() - shares[1].mean())
    for _ in range(2000):
        drawn = [
            CorrectCounts(tuple((int(right), images) for right in rng.binomial(images, share)))
            for share, images in zip(shares, (100, 250), strict=True)
        ]
        low, high = UnpairedDifference(*drawn).interval
        covered += low <= true <= high
    assert 0.93 <= covered / 2000 <= 0.97


def test_what_the_baseline_gets_right_comes_with_the_pairs_and_is_kept() -> None:
    correct = torch.tensor([True, True, True, False, True, False])
    for labels in (None, torch.tensor([0, 0, 0, 0, 2, 2])):
        baseline = Score(correct, labels)
        paired = PairedDrop.between(baseline, Score(~correct, labels))
        assert paired.baseline == CorrectCounts.of(baseline)
        assert paired.baseline.accuracy == pytest.approx(baseline.accuracy)
        read = PairedDrop.from_dict(paired.to_dict())
        assert (read, read.baseline) == (paired, paired.baseline)
        assert CorrectCounts.from_list(paired.baseline.to_list()) == paired.baseline
        older = {name: item for name, item in paired.to_dict().items() if name != "baseline_right"}
        read = PairedDrop.from_dict(older)
        assert read.baseline is None
        assert read.interval == paired.interval
