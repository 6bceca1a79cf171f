"""Image folders: layouts, sizes, conversions, streaming, and each error."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from paredown.errors import DataError
from paredown.objectives.data import (
    DataRequest,
    ImageSet,
    MemoryImages,
    Splits,
    StreamedImages,
    load_data,
)
from PIL import Image

MakeFolder = Callable[..., Path]
TWO = {"cat": 6, "dog": 8}


def load(root: Path, **options: object) -> Splits:
    return load_data(DataRequest(str(root), **options))  # type: ignore[arg-type]


def parts(splits: Splits) -> tuple[ImageSet, ImageSet, ImageSet]:
    return splits.train, splits.search, splits.test


def everything(images: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = zip(*images.batches(5), strict=True)
    return torch.cat(pixels), torch.cat(labels)


def only_image(root: Path, **options: object) -> torch.Tensor:
    """The single image of test/a, as loaded."""
    return everything(load(root, **options).test)[0][0]


def save_everywhere(root: Path, image: Image.Image, suffix: str, **options: object) -> Path:
    """A split folder in which every image is this one."""
    for part, count in (("train", 1), ("val", 1), ("test", 1)):
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image.save(folder / f"{number}{suffix}", **options)  # type: ignore[arg-type]
    return root


def test_class_folders_are_split_three_ways(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 10, "cat": 20, "Ant": 10})
    splits = load(root)
    assert splits.classes == ("Ant", "cat", "dog")
    assert [len(part) for part in parts(splits)] == [24, 8, 8]
    assert [torch.bincount(part.labels).tolist() for part in parts(splits)] == [
        [6, 12, 6],
        [2, 4, 2],
        [2, 4, 2],
    ]
    assert (splits.name, splits.size, splits.channels) == ("pets", 8, 3)
    assert (splits.augmentation.crop, splits.augmentation.flip) == (1, True)


def test_pixels_and_labels_are_those_of_the_files(make_folder: MakeFolder) -> None:
    root = make_folder(TWO)
    expected = {
        np.asarray(Image.open(file)).transpose(2, 0, 1).tobytes(): label
        for label, name in enumerate(("cat", "dog"))
        for file in (root / name).iterdir()
    }
    results = {}
    for part in parts(load(root)):
        for pixels, label in zip(*everything(part), strict=True):
            results[pixels.numpy().tobytes()] = label.item()
    assert results == expected


def test_train_and_test_folders_are_used(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 10, "train/dog": 10, "test/cat": 1, "test/dog": 2})
    splits = load(root)
    assert [len(part) for part in parts(splits)] == [18, 2, 3]
    assert splits.test.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["search", "val"])
def test_a_search_folder_is_used(make_folder: MakeFolder, name: str) -> None:
    counts = {f"{part}/{pet}": 2 for part in ("train", name, "test") for pet in ("cat", "dog")}
    splits = load(make_folder({**counts, f"{name}/dog": 3}))
    assert [len(part) for part in parts(splits)] == [4, 5, 4]


def test_a_class_may_be_called_train_and_have_folders(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 6, "car/red": 3, "car/blue": 3})
    assert load(root).classes == ("car", "train")


def test_hidden_and_other_files_are_ignored(make_folder: MakeFolder) -> None:
    root = make_folder({**TWO, ".cache": 3, "cat/.thumbnails": 2})
    (root / "cat/._000.png").write_bytes(b"not an image")
    (root / "cat/notes.txt").write_text("not an image")
    (root / "labels.csv").write_text("not an image")
    splits = load(root)
    assert splits.classes == ("cat", "dog")
    assert sum(map(len, parts(splits))) == 14


def test_every_extension_counts(make_folder: MakeFolder) -> None:
    root = make_folder(TWO, suffix=".png")
    names = ("a.JPG", "b.jpeg", "c.bmp", "d.gif", "e.webp", "f.ppm", "g.tif", "h.TIFF")
    for name in names:
        Image.new("RGB", (8, 8), (200, 10, 10)).save(root / "cat" / name)
    assert sum(map(len, parts(load(root)))) == 14 + len(names)


def test_the_seed_decides_the_split(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 20, "dog": 20})
    prints = [load(root, seed=seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_streamed_is_what_memory_is(make_folder: MakeFolder) -> None:
    root = make_folder(TWO, size=(11, 9), suffix=".jpg")
    memory, streamed = load(root, size=6), load(root, size=6, max_memory_bytes=0)
    for item, other in zip(parts(memory), parts(streamed), strict=True):
        assert isinstance(item, MemoryImages)
        assert isinstance(other, StreamedImages)
        for mine, theirs in zip(everything(item), everything(other), strict=True):
            assert torch.equal(mine, theirs)
        order = [torch.Generator().manual_seed(4) for _ in range(2)]
        for batch, same in zip(
            item.batches(4, shuffle=order[0]), other.batches(4, shuffle=order[1]), strict=True
        ):
            assert torch.equal(batch[0], same[0])
            assert torch.equal(batch[1], same[1])


def test_memory_holds_what_the_limit_allows(make_folder: MakeFolder) -> None:
    root, needed = make_folder(TWO), 14 * 3 * 8 * 8
    assert isinstance(load(root, max_memory_bytes=needed).train, MemoryImages)
    assert isinstance(load(root, max_memory_bytes=needed - 1).train, StreamedImages)


@pytest.mark.parametrize("limit", [0, 2**20])
def test_a_fingerprint_follows_the_files(make_folder: MakeFolder, limit: int) -> None:
    root = make_folder(TWO)
    before = load(root, max_memory_bytes=limit).fingerprint
    assert load(root, max_memory_bytes=limit).fingerprint == before
    assert load(root, size=7, max_memory_bytes=limit).fingerprint != before
    Image.new("RGB", (8, 8)).save(root / "cat/000.png")
    changed = load(root, max_memory_bytes=limit).fingerprint
    assert changed != before
    if limit:
        return
    (root / "cat/000.png").rename(root / "cat/renamed.png")
    assert load(root, max_memory_bytes=limit).fingerprint != changed


def test_small_squares_keep_their_size_and_others_become_224(make_folder: MakeFolder) -> None:
    assert load(make_folder(TWO, size=(128, 128), root="own")).size == 128
    assert load(make_folder(TWO, size=(129, 129), root="large")).size == 224
    assert load(make_folder(TWO, size=(8, 9), root="oblong")).size == 224
    mixed = make_folder({"cat": 6}, size=(8, 8), root="mixed")
    assert load(make_folder({"dog": 6}, size=(9, 9), root="mixed")).size == 224
    assert load(mixed, size=16).augmentation.crop == 2


def test_the_shorter_side_is_fitted_and_the_centre_kept(tmp_path: Path) -> None:
    # Left quarter red, middle half green, right quarter blue: twice as wide as high.
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :8, 0] = pixels[:, 8:24, 1] = pixels[:, 24:, 2] = 255
    root = save_everywhere(tmp_path, Image.fromarray(pixels), ".png")
    for size in (8, 16, 48):
        image = only_image(root, size=size)
        assert image.shape == (3, size, size)
        assert (image[1, :, 1:-1] == 255).all()
        assert (image[0, :, 1:-1] == 0).all()


def test_resizing_agrees_with_torchvision(tmp_path: Path) -> None:
    from paredown._torchvision import torchvision

    waves = 127 + 120 * np.sin(np.arange(60)[:, None] / 9) * np.cos(np.arange(100) / 7)
    image = Image.fromarray(waves.astype(np.uint8)).convert("RGB")
    ours = only_image(save_everywhere(tmp_path, image, ".png"), size=30)
    transforms = torchvision.transforms
    resize = transforms.Compose([transforms.Resize(30), transforms.CenterCrop(30)])
    theirs = torch.from_numpy(np.array(resize(image))).permute(2, 0, 1)
    assert (ours.int() - theirs.int()).abs().max() <= 1


def test_grey_images_become_colour_and_colour_grey(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    image = only_image(save_everywhere(tmp_path / "grey", grey, ".png"))
    assert torch.equal(image, torch.arange(64, dtype=torch.uint8).view(1, 8, 8).expand(3, 8, 8))
    root = save_everywhere(tmp_path / "red", Image.new("RGB", (8, 8), (255, 0, 0)), ".png")
    assert (only_image(root, channels=1) == 76).all()  # 0.299 x 255
    assert load(root, channels=1).normalisation.mean == (0.5,)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_unusual_modes_become_eight_bits(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 200 * 256 + 17, dtype=np.uint16))
    else:
        image = Image.new("L", (8, 8), 200).convert("RGB").convert(mode)
    suffix = ".tif" if mode == "CMYK" else ".png"
    loaded = only_image(save_everywhere(tmp_path, image, suffix)).float()
    assert loaded.shape == (3, 8, 8)
    assert loaded.mean().item() == pytest.approx(200, abs=60 if mode == "1" else 5)


def test_floating_point_pixels_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder(TWO)
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(root / "cat/float.tif")
    with pytest.raises(DataError, match=r"cat/float.tif: expected integer pixels"):
        load(root)


def test_pillows_warnings_stay_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow warns of a "decompression bomb" above this number of pixels.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    palette = Image.new("P", (8, 8))
    root = save_everywhere(tmp_path, palette, ".png", transparency=b"\x00\x10")
    for limit in (0, 2**20):
        assert only_image(root, max_memory_bytes=limit).shape == (3, 8, 8)


def truncate(file: Path) -> None:
    """Cut the end off, past the headers."""
    file.write_bytes(file.read_bytes()[:-100])


def test_a_truncated_image_is_named(make_folder: MakeFolder) -> None:
    root = make_folder(TWO, size=(32, 32), suffix=".jpg")
    truncate(root / "dog/003.jpg")
    with pytest.raises(DataError) as raised:
        load(root)
    first, fault = str(raised.value).splitlines()
    assert first == "1 of 14 images cannot be read:"
    assert fault.startswith(f"  - {root / 'dog/003.jpg'}: image file is truncated")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named_while_streaming(make_folder: MakeFolder, workers: int) -> None:
    root = make_folder(TWO, size=(32, 32), suffix=".jpg")
    truncate(root / "dog/003.jpg")
    train = load(root, max_memory_bytes=0).train
    assert isinstance(train, StreamedImages)
    every = StreamedImages(train.source, train.all_labels, workers=workers)
    with pytest.raises(DataError) as raised:
        list(every.batches(4))
    assert str(raised.value).startswith(f"{root / 'dog/003.jpg'}: image file is truncated")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("limit", [0, 2**20])
def test_many_broken_images_are_counted(make_folder: MakeFolder, limit: int) -> None:
    root = make_folder({"cat": 12, "dog": 12})
    for number in range(12):
        (root / f"cat/{number:03}.png").write_bytes(b"not an image")
    with pytest.raises(DataError) as raised:
        load(root, max_memory_bytes=limit)
    lines = str(raised.value).splitlines()
    assert lines[0] == "12 of 24 images cannot be read:"
    assert lines[1] == f"  - {root / 'cat/000.png'}: not an image that Pillow can read"
    assert lines[-1] == "  and 2 more"
    assert len(lines) == 12


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} has no class folders"):
        load(tmp_path)


def test_images_without_class_folders(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="cat has no class folders"):
        load(make_folder(TWO) / "cat")


def test_class_folders_without_any_image(make_folder: MakeFolder) -> None:
    with pytest.raises(
        DataError, match=r"no images in the 2 folders of .*pets; expected files that end in .jpg"
    ):
        load(make_folder({"cat": 0, "dog": 0}))


def test_an_empty_class_is_named(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"class folders without images in .*pets: bat, eel$"):
        load(make_folder({**TWO, "eel": 0, "bat": 0}))


def test_one_class(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="only one class, 'cat'; a classifier needs two"):
        load(make_folder({"cat": 6}))


def test_too_few_images_of_a_class(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="at least 6, but class 'eel' has 2"):
        load(make_folder({**TWO, "eel": 2}))


def test_classes_that_differ_between_parts(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 2, "train/dog": 2, "test/cat": 2, "test/eel": 2})
    with pytest.raises(
        DataError, match=r"differ between parts: only in train/: dog; only in test/: eel"
    ):
        load(root)


@pytest.mark.parametrize("names", [("train", "val"), ("train",), ("test",)])
def test_parts_that_are_missing(make_folder: MakeFolder, names: tuple[str, ...]) -> None:
    root = make_folder({f"{name}/{pet}": 2 for name in names for pet in ("cat", "dog")})
    with pytest.raises(DataError, match="expected both train/ and test/"):
        load(root)


def test_two_search_parts(make_folder: MakeFolder) -> None:
    names = ("train", "test", "val", "search")
    root = make_folder({f"{name}/{pet}": 2 for name in names for pet in ("cat", "dog")})
    with pytest.raises(DataError, match="has search/ and val/; expected only one of them"):
        load(root)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_folder_that_may_not_be_read(make_folder: MakeFolder) -> None:
    root = make_folder(TWO)
    (root / "cat").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot read"):
            load(root)
    finally:
        (root / "cat").chmod(0o755)
