"""Image sets: batches, subsets and fingerprints, in memory and streamed."""

import pickle

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import DataError
from paredown.objectives.data import ImageSet, MemoryImages, ResizedImages, StreamedImages


def numbered(count: int, shape: tuple[int, int, int] = (1, 2, 2)) -> torch.Tensor:
    """Images whose pixels are all their number."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, *shape).contiguous()


class Numbered:
    """A source of numbered images, of which one may be broken."""

    shape = (1, 2, 2)

    def __init__(self, broken: int | None = None, lengths: int = 4) -> None:
        self.broken, self.lengths = broken, lengths

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        if index == self.broken:
            raise DataError(f"image-{index}.png: truncated")
        return np.full(self.shape, index, dtype=np.uint8)

    def identity(self, index: int) -> str:
        return f"image-{index}.png {self.lengths}"


def sets(count: int, workers: int = 0) -> list[ImageSet]:
    labels = torch.arange(count) % 3
    return [
        MemoryImages(numbered(count), labels),
        StreamedImages(Numbered(), labels, workers=workers),
        ResizedImages(MemoryImages(numbered(count), labels), 4),
    ]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(images: ImageSet, batch_size: int, **options: object) -> list[int]:
    """The numbers of the images in the order in which the batches bring them."""
    results = []
    for pixels, labels in images.batches(batch_size, **options):  # type: ignore[arg-type]
        assert pixels.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert pixels.shape == (len(labels), *images.shape)
        assert torch.equal(labels, pixels[:, 0, 0, 0].long() % 3)
        results += pixels[:, 0, 0, 0].tolist()
    return results


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 9), st.booleans())
def test_batches_bring_each_image_once(
    count: int, batch_size: int, seed: int, shuffled: bool
) -> None:
    for images in sets(count):
        order = seeded(seed) if shuffled else None
        results = numbers(images, batch_size, shuffle=order)
        assert sorted(results) == list(range(count))
        if not shuffled:
            assert results == list(range(count))


@given(st.integers(0, 20), st.integers(1, 7))
def test_drop_last_leaves_only_whole_batches(count: int, batch_size: int) -> None:
    for images in sets(count):
        whole = count // batch_size * batch_size
        assert numbers(images, batch_size, drop_last=True) == list(range(whole))


def test_the_order_depends_on_the_generator_alone() -> None:
    memory, streamed, resized = sets(30)
    first = numbers(memory, 7, shuffle=seeded(1))
    torch.manual_seed(123)
    assert numbers(memory, 5, shuffle=seeded(1)) == first
    assert numbers(streamed, 7, shuffle=seeded(1)) == first
    assert numbers(resized, 7, shuffle=seeded(1)) == first
    assert numbers(memory, 7, shuffle=seeded(2)) != first


def test_one_generator_gives_each_epoch_another_order() -> None:
    generator = seeded(0)
    images = sets(30)[0]
    epochs = [numbers(images, 8, shuffle=generator) for _ in range(2)]
    assert epochs[0] != epochs[1]


def test_workers_give_what_one_process_gives_and_leave_the_global_generator_alone() -> None:
    alone, helped = sets(20)[1], sets(20, workers=2)[1]
    before = torch.get_rng_state()
    assert numbers(helped, 6, shuffle=seeded(3)) == numbers(alone, 6, shuffle=seeded(3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_met_while_streaming_is_named(workers: int) -> None:
    images = StreamedImages(Numbered(broken=5), torch.zeros(8, dtype=torch.int64), workers=workers)
    batches = images.batches(2)
    next(batches)
    with pytest.raises(DataError) as raised:
        list(batches)
    assert str(raised.value) == "image-5.png: truncated"


def test_a_streamed_set_can_be_sent_to_another_process() -> None:
    images = sets(6)[1]
    assert numbers(pickle.loads(pickle.dumps(images)), 4) == list(range(6))


@given(st.lists(st.integers(0, 9), max_size=12))
def test_a_subset_is_the_images_at_these_positions(indices: list[int]) -> None:
    for images in sets(10):
        part = images.subset(indices)
        assert numbers(part, 4) == indices
        assert part.labels.tolist() == [index % 3 for index in indices]
        assert len(part) == len(indices)


def test_a_subset_of_a_subset_counts_from_the_subset() -> None:
    for images in sets(10):
        assert numbers(images.subset([9, 8, 7]).subset(torch.tensor([2, 0])), 4) == [7, 9]


def test_fingerprints_stay_and_tell_sets_apart() -> None:
    for item, again in zip(sets(10), sets(10), strict=True):
        assert item.fingerprint() == item.fingerprint() == again.fingerprint()
    different = [images.fingerprint() for images in sets(10)]
    different += [images.subset(range(9)).fingerprint() for images in sets(10)]
    different += [images.subset([1, 0, *range(2, 10)]).fingerprint() for images in sets(10)]
    assert len(set(different)) == len(different)
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in different)


def test_a_fingerprint_is_the_same_in_every_run() -> None:
    assert sets(10)[0].fingerprint() == "13b005ac5e7d35ca"


@given(st.integers(0, 15), st.integers(1, 255))
def test_one_pixel_changes_the_fingerprint(position: int, change: int) -> None:
    pixels, labels = numbered(4), torch.tensor([0, 1, 2, 0])
    changed = pixels.clone()
    changed.view(-1)[position] += change
    before = MemoryImages(pixels, labels)
    assert MemoryImages(changed, labels).fingerprint() != before.fingerprint()


def test_a_label_a_shape_or_a_file_changes_the_fingerprint() -> None:
    pixels, labels = numbered(4), torch.tensor([0, 1, 2, 0])
    memory = MemoryImages(pixels, labels).fingerprint()
    assert MemoryImages(pixels, torch.tensor([0, 1, 2, 1])).fingerprint() != memory
    assert MemoryImages(pixels.view(4, 1, 1, 4), labels).fingerprint() != memory
    streamed = StreamedImages(Numbered(), labels).fingerprint()
    assert StreamedImages(Numbered(lengths=5), labels).fingerprint() != streamed
    assert StreamedImages(Numbered(), labels + 1).fingerprint() != streamed


def test_resizing_keeps_flat_images_flat_and_a_gradient_rising() -> None:
    ramp = torch.arange(0, 256, 32, dtype=torch.uint8).expand(1, 1, 8, 8).contiguous()
    for size in (4, 16):
        ((pixels, _),) = ResizedImages(MemoryImages(ramp, torch.tensor([0])), size).batches(1)
        assert pixels.shape == (1, 1, size, size)
        steps = pixels[0, 0].int().diff(dim=1)
        assert (steps >= 0).all()
        assert (pixels == pixels[:, :, :1]).all()


def test_wrong_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="expected images of uint8"):
        MemoryImages(torch.zeros(2, 1, 2, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="expected labels"):
        MemoryImages(numbered(2), torch.zeros(3))
    with pytest.raises(ValueError, match="at least 1"):
        sets(2)[0].batches(0)


def test_a_set_says_what_it_is() -> None:
    assert repr(sets(3)[0]) == "<MemoryImages: 3 of 1x2x2>"
