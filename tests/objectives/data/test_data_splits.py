"""Splits: disjoint, complete, stratified, repeatable; and what they refuse."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import DataError
from paredown.objectives.data import (
    IMAGENET,
    Augmentation,
    MemoryImages,
    Normalisation,
    Splits,
    split_three,
    split_two,
)

Counts = list[int]


def with_counts(counts: Counts) -> MemoryImages:
    """A set with that many images per class; an image's two pixels are its number."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    number = torch.arange(len(labels))
    pixels = torch.stack([number // 256, number % 256], 1).to(torch.uint8)
    return MemoryImages(pixels.view(-1, 1, 1, 2), labels)


def numbers(part: MemoryImages) -> list[int]:
    return (part.images[:, 0, 0, 0].int() * 256 + part.images[:, 0, 0, 1]).tolist()


def assert_partition(whole: MemoryImages, *parts: MemoryImages) -> None:
    assert sorted(number for part in parts for number in numbers(part)) == numbers(whole)
    for part in parts:
        assert torch.equal(part.labels, whole.labels[numbers(part)])


def assert_stratified(whole: MemoryImages, part: MemoryImages, share: float) -> None:
    expected = torch.bincount(whole.labels) * share
    got = torch.bincount(part.labels, minlength=len(expected))
    assert ((got - expected).abs() < 2 + expected * 0.05).all()
    assert got.min() >= 1


@settings(max_examples=40)
@given(st.lists(st.integers(6, 60), min_size=2, max_size=6), st.integers(0, 2**40))
def test_three_parts_are_disjoint_and_stratified(counts: Counts, seed: int) -> None:
    whole = with_counts(counts)
    train, search, test = split_three(whole, seed)
    assert_partition(whole, train, search, test)
    for part, share in ((train, 0.6), (search, 0.2), (test, 0.2)):
        assert_stratified(whole, part, share)


@settings(max_examples=40)
@given(st.lists(st.integers(10, 60), min_size=2, max_size=6), st.integers(0, 99))
def test_two_parts_are_disjoint_and_stratified(counts: Counts, seed: int) -> None:
    whole = with_counts(counts)
    train, search = split_two(whole, seed)
    assert_partition(whole, train, search)
    for part, share in ((train, 0.9), (search, 0.1)):
        assert_stratified(whole, part, share)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=5),
    st.sampled_from([0.1, 0.15, 0.25, 0.3]),
    st.sampled_from([0.1, 0.2, 0.35]),
)
def test_either_every_part_has_every_class_or_there_is_an_error(
    extra: Counts, search_share: float, test_share: float
) -> None:
    whole = with_counts([4 + count for count in extra])
    try:
        parts = split_three(whole, 0, search_share, test_share)
    except DataError:
        return
    for part in parts:
        assert torch.bincount(part.labels, minlength=len(extra)).min() >= 1


def test_the_seed_decides() -> None:
    whole = with_counts([20, 20])
    once, again, other = (split_three(whole, seed) for seed in (1, 1, 2))
    assert [numbers(part) for part in once] == [numbers(part) for part in again]
    assert numbers(once[0]) != numbers(other[0])


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError) as raised:
        split_three(with_counts([20, 5, 3]), 0, classes=("cat", "dog", "eel"))
    assert str(raised.value) == (
        "too few images to split into 3 parts: each class needs at least 6, "
        "but class 'dog' has 5, class 'eel' has 3"
    )


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(DataError, match=r"at least 10, but class 'eel' has 0"):
        split_two(with_counts([20, 20]), 0, classes=("cat", "dog", "eel"))


def test_many_short_classes_are_counted() -> None:
    with pytest.raises(DataError, match=r"class '9' has 1 and 5 more$"):
        split_three(with_counts([1] * 15), 0)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="two or more classes, got 1"):
        split_three(with_counts([50]), 0)


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="shares"):
        split_three(with_counts([50, 50]), 0, 0.5, 0.5)
    with pytest.raises(ValueError, match="search_share"):
        split_two(with_counts([50, 50]), 0, 0.0)


def some_splits() -> Splits:
    train, search, test = split_three(with_counts([10, 10]), 0)
    return Splits(train, search, test, ("a", "b"), "some", IMAGENET, Augmentation(1))


def test_splits_know_their_shape() -> None:
    assert (some_splits().channels, some_splits().size) == (1, 2)


def test_parts_of_different_shape_are_refused() -> None:
    other = MemoryImages(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.zeros(1))
    with pytest.raises(ValueError, match="images of one shape"):
        dataclasses.replace(some_splits(), test=other)


def test_the_fingerprint_covers_what_a_network_meets() -> None:
    splits = some_splits()
    assert some_splits().fingerprint == splits.fingerprint
    assert dataclasses.replace(splits, name="renamed").fingerprint == splits.fingerprint
    changed = [
        dataclasses.replace(splits, train=splits.train.subset([0, 1])),
        dataclasses.replace(splits, search=splits.test, test=splits.search),
        dataclasses.replace(splits, classes=("a", "c")),
        dataclasses.replace(splits, normalisation=Normalisation((0.5,), (0.5,))),
        dataclasses.replace(splits, augmentation=Augmentation(2)),
    ]
    assert len({splits.fingerprint, *(each.fingerprint for each in changed)}) == 6
