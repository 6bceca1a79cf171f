"""The images of a folder, by part and class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, first_names

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".tif", ".tiff")
"""Extensions of image files, case-insensitive."""

WHOLE = "whole"
_SHOWN = 10
_SEARCH_NAMES = ("search", "val", "valid", "validation")
_PART_NAMES = ("train", "test", *_SEARCH_NAMES)


@dataclass(frozen=True)
class Listing:
    """The image files of a part.

    Args:
        classes: class names in alphabetical order.
        files: sorted by class and name.
        labels: for each file, the index of its class.
    """

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]


def find_images(root: Path) -> Mapping[str, Listing]:
    """List the parts of an image folder: "train", "test" and optionally "search", or only "whole".

    Parts are folders of these names with class folders inside; "val", "valid" and "validation" are
    synonyms of "search". A folder "train" that directly contains images is a class.

    Raises:
        DataError: parts or classes are missing or empty, or classes differ between parts.
    """
    names = [name for name in _PART_NAMES if _holds_classes(root / name)]
    if not names:
        return {WHOLE: _listing(root)}
    if "train" not in names or "test" not in names:
        raise DataError(
            f"{root} has {_folders(names)} with class folders inside; expected both train/ and "
            "test/ (and optionally search/ or val/), or only class folders"
        )
    listings = {_part(name): _listing(root / name) for name in names}
    if len(listings) < len(names):
        raise DataError(
            f"{root} has {_folders(names[2:])}; expected only one of them, as the search part"
        )
    for name in names:
        _check_same_classes(root, listings["train"].classes, name, listings[_part(name)].classes)
    return listings


def _part(name: str) -> str:
    return "search" if name in _SEARCH_NAMES else name


def _listing(folder: Path) -> Listing:
    images = {child.name: _images_below(child) for child in _folders_in(folder)}
    if not images:
        raise DataError(f"{folder} has no class folders; expected one folder of images per class")
    if not any(images.values()):
        raise DataError(
            f"no images in the {len(images)} folders of {folder}; expected files that end in "
            f"{' '.join(EXTENSIONS)}"
        )
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise DataError(f"class folders without images in {folder}: {first_names(empty, _SHOWN)}")
    if len(images) == 1:
        raise DataError(
            f"{folder} has only one class, {next(iter(images))!r}; a classifier needs two or more"
        )
    return Listing(
        classes=tuple(images),
        files=tuple(file for files in images.values() for file in files),
        labels=tuple(label for label, files in enumerate(images.values()) for _ in files),
    )


def _check_same_classes(
    root: Path, expected: tuple[str, ...], name: str, actual: tuple[str, ...]
) -> None:
    if actual == expected:
        return
    only = {
        "train": [each for each in expected if each not in actual],
        name: [each for each in actual if each not in expected],
    }
    differences = [
        f"only in {part}/: {first_names(names, _SHOWN)}" for part, names in only.items() if names
    ]
    raise DataError(f"the classes of {root} differ between parts: {'; '.join(differences)}")


def _holds_classes(folder: Path) -> bool:
    if not folder.is_dir() or not _folders_in(folder):
        return False
    return not any(_is_image(child) for child in folder.iterdir())


def _folders_in(folder: Path) -> list[Path]:
    """List folders in the order of torchvision's ImageFolder, so that labels are equal."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and not _hidden(child))


def _images_below(folder: Path) -> list[Path]:
    children = sorted(child for child in folder.iterdir() if not _hidden(child))
    images = [child for child in children if _is_image(child)]
    for child in children:
        if child.is_dir():
            images += _images_below(child)
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not _hidden(path) and path.is_file()


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _folders(names: list[str]) -> str:
    return " and ".join(f"{name}/" for name in names)
