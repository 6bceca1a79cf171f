"""Exported files scored on any images."""

import contextlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import DataError, InputError
from ...objectives.accuracy.scoring import Metric
from ...objectives.data import DataRequest, ImageSet, SearchSource, Splits, load_data
from ...spaces.models import find_model
from ..onnx import can_saturate
from .checking import predict
from .formats import format_of
from .manifest import Manifest, read_manifest
from .rebuilding import WEIGHTS

SPLITS = ("test", "search", "train")


@dataclass(frozen=True)
class Evaluated:
    """What a file got right.

    Attributes:
        file: that was scored.
        data: the images' name.
        split: the part of them.
        images: how many.
        accuracy: percent.
        metric: what is meant by it, as in the study.
        can_saturate: x86 processors without VNNI may answer otherwise; never so in files that
            Paredown wrote since 0.5.
    """

    file: str
    data: str
    split: str
    images: int
    accuracy: float
    metric: Metric = Metric.PLAIN
    can_saturate: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def evaluate(file: Path, data: str, split: str, model: str | None = None) -> Evaluated:
    """Score an exported file; `manifest.json` beside it says how images are shown to it.

    Args:
        file: of an exported folder, or the folder, which stands for its first file.
        data: a registered data set, or a folder of images with the file's classes.
        split: one of `SPLITS`.
        model: what builds the network of a safetensors file, if that is code of your own.

    Raises:
        InputError: the file is not one that was exported, or the images do not fit it.
    """
    if split not in SPLITS:
        raise InputError(f"expected --split {', '.join(SPLITS)}, got {split!r}")
    if not file.exists():
        raise InputError(f"there is no {file}")
    folder = file if file.is_dir() else file.parent
    manifest = read_manifest(folder)
    if model is not None:
        manifest = replace(manifest, built_by=find_model(model))
    if file.is_dir():
        file = folder / next(iter(manifest.data["files"]), WEIGHTS)
    file_format = format_of(file)
    manifest.check_file(file)
    shown = manifest.normalisation
    request = DataRequest(
        data,
        size=manifest.size,
        channels=manifest.channels,
        seed=int(manifest.data["data"].get("split_seed", 0)),
        mean=shown.mean,
        std=shown.std,
    )
    splits = _splits_of(manifest, request)
    if splits.classes != manifest.classes:
        raise InputError(
            f"{file.name} tells {_named(manifest.classes)} apart, and {data} has "
            f"{_named(splits.classes)}"
        )
    images: ImageSet = getattr(splits, split)
    predictions = predict(file_format.read(file, manifest), images, shown, manifest.metric)
    return Evaluated(
        str(file),
        splits.name,
        split,
        len(predictions.labels),
        predictions.accuracy,
        manifest.metric,
        file_format.name == "onnx" and can_saturate(file),
    )


def _splits_of(manifest: Manifest, request: DataRequest) -> Splits:
    """The images, split as in the study if they are its own; the test part of others is whole."""
    data = manifest.data["data"]
    if data.get("search_from") == SearchSource.TEST:
        with contextlib.suppress(DataError):  # of others there may be too few to halve
            splits = load_data(replace(request, weights_given=True))
            if splits.test.fingerprint() == data.get("test_fingerprint"):
                return splits
    return load_data(request)


def _named(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:4]) + (", ..." if classes[4:] else "")
    return f"{len(classes)} classes ({shown})"
