"""Self-checks for problems known from some machines. Each takes some seconds.

A check returns the problems found, one sentence each. A problem may crash the process: `examine`
runs each check in a separate one.
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
"""Largest error of a file's scores, relative to the largest score; rounding causes a tenth of
it."""

_EIGHT_BITS: dict[str, tuple[Value, ...]] = {
    "block": (),
    "prune": (),
    "width": (),
    "bits": ("w32a32", "w8a8"),
}

SKIPPED = "skipped: "
"""Prefix of the only sentence of a check that cannot be run on this machine."""


@dataclass(frozen=True)
class Check:
    """One self-check.

    Attributes:
        name: name in the output.
        title: description of the check.
        run: URL of the storage -> problems found, one sentence each; called once, in its own
            process.
        advice: what to do if the check fails.
    """

    name: str
    title: str
    run: Callable[[str], list[str]]
    advice: str


def _convolutions(url: str) -> list[str]:
    from ...objectives.training.convolution_checks import check_convolutions

    return check_convolutions(_DRAWS, _SEED)


def _training(url: str) -> list[str]:
    """Train the smallest ResNet on digits, and score it in float and at 8 bits."""
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
        f"{name} has {accuracy:.1f} % accuracy, little more than chance"
        for name, accuracy in (
            ("a trained network", baseline),
            ("the trained network at 8 bits", rounded),
        )
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
    # The mean, not the maximum: a sum at the edge between two levels may be rounded either way.
    error = float((outputs - expected).abs().mean() / expected.abs().max())
    faults = (
        [f"scores of an 8-bit file are off by {100 * error:.2g} %"]
        if error > _LARGEST_ERROR
        else []
    )
    return faults + (["an 8-bit file has pairs of weights that can saturate"] if saturates else [])


def _storage(url: str) -> list[str]:
    """Write a trial to a new storage in the user's folder, and read the user's if it exists."""
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
                faults.append(f"a trial written to the folder of {shown_url(url)} cannot be read")
    except (OSError, StorageError) as error:
        faults.append(f"no study can be written to the folder of {shown_url(url)}: {error}")
    if path is None or path.exists():
        try:
            optuna.get_all_study_names(open_storage(url, must_exist=True))
        except StorageError as error:
            faults.append(str(error))
    return faults


CHECKS = (
    Check(
        "convolutions",
        "gradients of convolutions that are wrong on some processors",
        _convolutions,
        "please report this output; until then train on a GPU or another processor",
    ),
    Check(
        "training",
        "train a small network, and score it at 8 bits",
        _training,
        "please report this output",
    ),
    Check(
        "int8 file",
        "compare an 8-bit ONNX file with its network",
        _int8_file,
        "files exported here may differ from the scored networks: please report this output",
    ),
    Check(
        "storage",
        "write and read a study",
        _storage,
        "use a writable folder, or another --storage",
    ),
)


def main(name: str, url: str) -> None:
    """Run a check and print its problems as JSON, for `examine`."""
    answer = os.dup(1)
    os.dup2(2, 1)  # output of libraries must not mix with the JSON
    torch.set_num_threads(1)  # on a busy machine, several threads would wait for each other
    (check,) = (check for check in CHECKS if check.name == name)
    faults = check.run(url)
    with os.fdopen(answer, "w") as out:
        json.dump(faults, out)
    sys.stdout.flush()
