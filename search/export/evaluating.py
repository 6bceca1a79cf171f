"""Scoring of exported files on any images."""

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
    """The score of a file.

    Attributes:
        file: path of the file.
        data: name of the data set.
        split: the scored split.
        images: number of images.
        accuracy: in percent.
        metric: the study's accuracy metric.
        can_saturate: whether outputs may differ on x86 processors without VNNI; never for files
            written since 0.5.
    """

    file: str
    data: str
    split: str
    images: int
    accuracy: float
    metric: Metric = Metric.PLAIN
    can_saturate: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON values."""
        return asdict(self)


def evaluate(file: Path, data: str, split: str, model: str | None = None) -> Evaluated:
    """Score an exported file, with the preprocessing of the `manifest.json` beside it.

    Args:
        file: a file of an exported folder, or the folder, for its first file.
        data: a registered data set, or a folder of images with the file's classes.
        split: one of `SPLITS`.
        model: reference to the function that builds the network of a safetensors file, for a user's
            own model.

    Raises:
        InputError: the file was not exported by Paredown, or the images do not fit it.
    """
    if split not in SPLITS:
        raise InputError(f"expected --split {', '.join(SPLITS)}, got {split!r}")
    if not file.exists():
        raise InputError(f"no such file: {file}")
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
            f"the network of {file.name} has {_named(manifest.classes)}, but {data} has "
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
    """The data set; split as in the study if it is the study's own."""
    data = manifest.data["data"]
    if data.get("search_from") == SearchSource.TEST:
        with contextlib.suppress(DataError):  # other data sets may have too few images to halve
            splits = load_data(replace(request, weights_given=True))
            if splits.test.fingerprint() == data.get("test_fingerprint"):
                return splits
    return load_data(request)


def _named(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:4]) + (", ..." if classes[4:] else "")
    return f"{len(classes)} classes ({shown})"
