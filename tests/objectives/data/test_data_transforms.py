"""Normalisation by its formula; augmentation by its properties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import DataError
from paredown.objectives.data import IMAGENET, Augmentation, Normalisation


def noise(*shape: int, low: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(0)
    return torch.randint(low, 256, shape, dtype=torch.uint8, generator=drawn)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_normalisation_follows_its_formula() -> None:
    batch = noise(5, 3, 4, 4)
    shown = IMAGENET(batch)
    assert shown.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip(IMAGENET.mean, IMAGENET.std, strict=True)):
        expected = (batch[:, channel].double() / 255 - mean) / std
        assert torch.allclose(shown[:, channel].double(), expected, atol=1e-6)


def test_normalisation_leaves_the_batch_alone() -> None:
    batch = noise(2, 3, 4, 4)
    before = batch.clone()
    IMAGENET(batch)
    assert torch.equal(batch, before)


def test_a_grey_batch_is_repeated_for_three_means() -> None:
    grey = noise(5, 1, 4, 4)
    assert torch.equal(IMAGENET(grey), IMAGENET(grey.repeat(1, 3, 1, 1)))
    assert IMAGENET(grey).is_contiguous()


def test_one_mean_serves_any_number_of_channels() -> None:
    batch = noise(2, 3, 4, 4)
    item, three = Normalisation((0.4,), (0.2,)), Normalisation((0.4,) * 3, (0.2,) * 3)
    assert torch.equal(item(batch), three(batch))
    assert item.for_channels(3) == three
    assert three.for_channels(3) is three


def test_for_grey_the_mean_is_that_of_the_luminance() -> None:
    batch = noise(64, 3, 8, 8).double() / 255
    mean = tuple(batch.mean((0, 2, 3)).tolist())
    grey = Normalisation(mean, (0.2, 0.3, 0.4)).for_channels(1)
    luminance = 0.299 * batch[:, 0] + 0.587 * batch[:, 1] + 0.114 * batch[:, 2]
    assert grey.mean == pytest.approx((luminance.mean().item(),))
    assert grey.std == pytest.approx((0.299 * 0.2 + 0.587 * 0.3 + 0.114 * 0.4,))


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5,), (0.1, 0.1)), ((), ()), ((0.5,), (0.0,)), ((0.5,), (-1.0,)), ((float("nan"),), (1,))],
)
def test_a_normalisation_that_cannot_be_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(DataError, match="mean"):
        Normalisation(mean, std)


def test_normalisation_refuses_what_it_was_not_made_for() -> None:
    with pytest.raises(ValueError, match="uint8"):
        IMAGENET(torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match="3 channels"):
        IMAGENET(noise(1, 2, 2, 2))


def test_no_crop_and_no_flip_is_the_identity() -> None:
    batch = noise(4, 3, 5, 6)
    assert torch.equal(Augmentation()(batch, seeded(0)), batch)


@given(st.integers(0, 4), st.booleans(), st.integers(0, 99), st.sampled_from([1, 3]))
def test_augmentation_keeps_shape_and_type_and_repeats(
    crop: int, flip: bool, seed: int, channels: int
) -> None:
    batch, augmentation = noise(6, channels, 5, 7), Augmentation(crop, flip)
    once = augmentation(batch, seeded(seed))
    assert once.shape == batch.shape
    assert once.dtype == batch.dtype
    assert torch.equal(once, augmentation(batch, seeded(seed)))


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    batch = noise(200, 1, 3, 4)
    flipped = Augmentation(flip=True)(batch, seeded(0))
    mirrored = (flipped == batch.flip(3)).flatten(1).all(1)
    same = (flipped == batch).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130


def test_the_same_flips_twice_are_the_identity() -> None:
    batch, augmentation = noise(20, 3, 4, 4), Augmentation(flip=True)
    assert torch.equal(augmentation(augmentation(batch, seeded(5)), seeded(5)), batch)


@given(st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_each_output_is_a_window_of_its_padded_image(crop: int, flip: bool, seed: int) -> None:
    batch = noise(4, 2, 5, 4, low=1)
    padded = torch.nn.functional.pad(batch, (crop,) * 4)
    for image, shown in zip(padded, Augmentation(crop, flip)(batch, seeded(seed)), strict=True):
        windows = [
            image[:, top : top + 5, left : left + 4]
            for top in range(2 * crop + 1)
            for left in range(2 * crop + 1)
        ]
        if flip:
            windows += [window.flip(2) for window in windows]
        assert any(torch.equal(shown, window) for window in windows)


def test_every_offset_is_drawn() -> None:
    batch = torch.zeros(500, 1, 3, 3, dtype=torch.uint8)
    batch[:, :, 1, 1] = 1
    shown = Augmentation(crop=1)(batch, seeded(0)).flatten(1)
    assert shown.sum(1).eq(1).all()  # the one bright pixel never leaves the window
    counts = torch.bincount(shown.argmax(1), minlength=9)
    assert counts.min() > 25
    assert counts.max() < 95


def test_a_crop_grows_with_the_images() -> None:
    assert Augmentation(4, True).at_size(224, native=32) == Augmentation(28, True)
    assert Augmentation(1).at_size(4, native=8) == Augmentation(1)
    assert Augmentation(0).at_size(224, native=32) == Augmentation(0)


def test_a_negative_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="crop"):
        Augmentation(-1)
