"""What is known to go wrong on some machines, tried on this one. Each check runs for some seconds.

A check returns sentences about what is wrong, none if nothing is. What it finds may end its
process: `examine` runs each in one of its own.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ...extras import missing_packages
from ...spaces.technique import Value

_DRAWS = 20
_SEED = 0
_LARGEST_ERROR = 1e-3
"""Of a file's scores, as a share of the largest score: rounding makes a tenth of it."""

_EIGHT_BITS: dict[str, tuple[Value, ...]] = {
    "block": (),
    "prune": (),
    "width": (),
    "bits": ("w32a32", "w8a8"),
}

SKIPPED = "skipped: "
"""How the only sentence begins of a check that cannot be run here."""


@dataclass(frozen=True)
class Check:
    """One self-check.

    Attributes:
        name: as shown.
        title: what is tried, in words.
        run: gives what is wrong; may be given the URL of the storage.
        advice: what to do if it fails.
    """

    name: str
    title: str
    run: Callable[[str], list[str]]
    advice: str


def _convolutions(url: str) -> list[str]:
    from ...objectives.training.convolution_checks import check_convolutions

    return check_convolutions(_DRAWS, _SEED)


def _training(url: str) -> list[str]:
    """Train the smallest ResNet on digits, then score it, and once more at 8 bits."""
    from ...objectives.data import DataRequest
    from ...objectives.evaluation.evaluator import Evaluator
    from ...objectives.evaluation.task_spec import TaskSpec
    from ...objectives.training.cache import Cache
    from ...objectives.training.recipe import Recipe, Recipes

    recipes = Recipes(baseline=Recipe(epochs=6, max_lr=0.1))
    spec = TaskSpec("resnet8", DataRequest("digits"), recipes, options=_EIGHT_BITS)
    with tempfile.TemporaryDirectory() as folder:
        task, space = spec.load()
        evaluator = Evaluator(task, space, Cache(Path(folder)))
        baseline = evaluator.baseline_score.accuracy
        rounded = evaluator.evaluate(space.without_training()).accuracy
    guessing = 100 / task.classes
    return [
        f"{name} has {accuracy:.1f} %, little more than guessing"
        for name, accuracy in (("a trained network", baseline), ("the same at 8 bits", rounded))
        if accuracy < 3 * guessing
    ]


def _int8_file(url: str) -> list[str]:
    """Write a network of 8 bits as an ONNX file, and compare its scores with the network's."""
    if missing := missing_packages("onnx"):
        return [f"{SKIPPED}{', '.join(missing)} not installed"]
    from ...spaces.apply import apply_phase
    from ...spaces.graph.tracing import example_images
    from ...spaces.models import build_model, find_model
    from ...spaces.pruning.trace_groups import trace_with_groups
    from ...spaces.space import Space
    from ...spaces.technique import ApplyContext, Phase, no_training
    from ..onnx.running import OnnxModel
    from ..onnx.saturation import can_saturate
    from ..onnx.writing import write_onnx

    torch.manual_seed(_SEED)
    network = build_model(find_model("resnet8"), 10, 3).eval()
    images = torch.rand(64, 3, 32, 32)
    pair = example_images(3, 32, "cpu")
    blueprint = trace_with_groups(network, pair)
    space = Space.of(blueprint, _EIGHT_BITS)
    examples = [(images, torch.zeros(64, dtype=torch.long))]
    context = ApplyContext(pair, examples, no_training)
    plan = space.without_training()
    rounded = apply_phase(network, blueprint, plan, Phase.QUANTIZE, context).eval()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "model.onnx"
        write_onnx(rounded, pair, path)
        expected, outputs = rounded(images), OnnxModel(path)(images)
        saturates = can_saturate(path)
    # Of the mean: a sum on the edge between two levels may fall to either side.
    error = float((outputs - expected).abs().mean() / expected.abs().max())
    faults = (
        [f"an 8-bit file's scores are off by {100 * error:.2g} %"] if error > _LARGEST_ERROR else []
    )
    return faults + (
        ["an 8-bit file holds pairs of weights that can saturate"] if saturates else []
    )


def _storage(url: str) -> list[str]:
    """Write a trial to a storage beside the user's, and read the user's if there is one."""
    import optuna

    from ...errors import StorageError
    from ..study.storage import open_storage, shown_url, sqlite_path

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = sqlite_path(url)
    beside = Path.cwd() if path is None else path.absolute().parent
    faults = list[str]()
    try:
        with tempfile.TemporaryDirectory(dir=beside, ignore_cleanup_errors=True) as folder:
            study = optuna.create_study(storage=open_storage(f"sqlite:///{folder}/check.db"))
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
            if len(study.trials) != 1:
                faults.append(f"a trial that was written beside {shown_url(url)} is not there")
    except (OSError, StorageError) as error:
        faults.append(f"no study can be written beside {shown_url(url)}: {error}")
    if path is None or path.exists():
        try:
            optuna.get_all_study_names(open_storage(url, must_exist=True))
        except StorageError as error:
            faults.append(str(error))
    return faults


CHECKS = (
    Check(
        "convolutions",
        "gradients of convolutions that some processors get wrong",
        _convolutions,
        "please report it with this page; until then train on a GPU or another processor",
    ),
    Check(
        "training",
        "a small network, trained and scored at 8 bits",
        _training,
        "please report it with this page",
    ),
    Check(
        "int8 file",
        "an 8-bit ONNX file beside its network",
        _int8_file,
        "files made here may answer otherwise than was scored: please report it with this page",
    ),
    Check(
        "storage",
        "a study, written and read",
        _storage,
        "choose a folder that can be written to, or another --storage",
    ),
)


def main(name: str, url: str) -> None:
    """Run a check and print what it found as JSON, for `examine`."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no part of the answer
    torch.set_num_threads(1)  # on a busy machine several wait for each other
    (check,) = (check for check in CHECKS if check.name == name)
    faults = check.run(url)
    with os.fdopen(answer, "w") as out:
        json.dump(faults, out)
    sys.stdout.flush()
