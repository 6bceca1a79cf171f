"""Take third-party networks from a search to verified files.

A ResNet-20 with option A shortcuts in a file of its own, torchvision's densenet121 and
mobilenet_v2, and a network of timm, on a few of CIFAR-10's images as class folders at 32 px: a
search of two trials with one epoch each, then `paredown report` and `paredown export` of its
winner. The point is that each completes; the accuracies are those of a few images and one epoch.
DenseNet's blocks are not replaced, since fitting its hundred and twenty convolutions takes long.

    python benchmarks/bring_your_own.py --data cifar10-jpeg.zip --weights resnet20.safetensors
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.benchmarks.common import environment, table, write_result

OPTION_A = Path(__file__).parent.parent / "tests" / "search" / "option_a.py"
STUDY = """
data = "images"
max_drop = [90]
trials = {trials}
finalists = 0
seed = 0
granularity = "network"

[space]
block = ["original", "separable"]
prune = [0.0, 0.25]
bits = ["w32a32", "w8a8"]

[baseline]
epochs = 10
max_lr = 0.05
batch_size = 32

[train]
epochs = 1
max_lr = 0.02

[fine_tune]
epochs = 1
max_lr = 0.01
"""


@dataclass(frozen=True)
class Case:
    """A network: the value of --model, whether it has weights, and whether blocks are replaced."""

    model: str
    has_weights: bool = False
    blocks: bool = True

    @property
    def study(self) -> str:
        """The text of its study file."""
        return "own.toml" if self.blocks else "as-they-are.toml"


CASES = (
    Case("option_a.py:resnet20", has_weights=True),
    Case("mobilenet_v2"),
    Case("timm:resnet10t"),
    Case("densenet121", blocks=False),
)


def study(trials: int, blocks: bool) -> str:
    """The study without its model."""
    text = STUDY.format(trials=trials)
    return text if blocks else text.replace('["original", "separable"]', '["original"]')


def unpack(archive: str, folder: Path, train: int, test: int) -> None:
    """Extract the first images of each class."""
    most, taken = {"train": train, "test": test}, Counter[str]()
    with zipfile.ZipFile(archive) as images:
        for name in sorted(images.namelist()):
            part, label = [*name.split("/"), ""][:2]
            if name.endswith(".jpg") and taken[f"{part}/{label}"] < most.get(part, 0):
                taken[f"{part}/{label}"] += 1
                images.extract(name, folder)


def commanded(folder: Path, *words: str) -> tuple[dict[str, Any], float]:
    """Run a `paredown` command in a folder; its JSON and seconds. Exits if the command fails."""
    began = time.monotonic()
    text = done(*words, "--json", folder=folder)
    return json.loads(text), time.monotonic() - began


def done(*words: str, folder: Path) -> str:
    """Run a `paredown` command in a folder; its output. Exits if the command fails."""
    command = [str(Path(sys.executable).with_name("paredown")), *words]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return ran.stdout


def through(case: Case, folder: Path, weights: str) -> dict[str, Any]:
    """Search, report and export one network."""
    name = case.model.replace(":", "-").replace(".", "-")
    provided = ("--weights", weights) if case.has_weights else ()
    search = ("search", case.study, "--name", name, "--model", case.model, *provided)
    results, searching = commanded(folder, *search)
    done("report", name, folder=folder)
    manifest, exporting = commanded(folder, "export", name, "--format", "onnx")
    (won,) = results["budgets"]
    return {
        "params": results["baseline"]["params"],
        "baseline": results["baseline"]["accuracy"],
        "trials": results["trials"],
        "compression": won["compression"],
        "accuracy": won["accuracy"],
        "agreement": manifest["files"]["model.onnx"]["checked"]["agreement"],
        "bytes": manifest["files"]["model.onnx"]["checked"]["bytes"],
        "search_seconds": searching,
        "export_seconds": exporting,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Take third-party networks from a search to files."
    )
    parser.add_argument("--data", required=True, help="cifar10-jpeg.zip")
    parser.add_argument("--weights", required=True, help="weights of the ResNet-20 on these images")
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--images", type=int, default=30, help="images of each class to use")
    parser.add_argument("--models", nargs="*", help="models to run")
    arguments = parser.parse_args()
    results = dict[str, dict[str, Any]]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        unpack(arguments.data, folder / "images", arguments.images, arguments.images)
        shutil.copy(OPTION_A, folder)
        for file, blocks in (("own.toml", True), ("as-they-are.toml", False)):
            text = f'model = "resnet20"\n{study(arguments.trials, blocks)}'
            (folder / file).write_text(text, encoding="utf-8")
        for case in CASES:
            if arguments.models and case.model not in arguments.models:
                continue
            data = results[case.model] = through(
                case, folder, str(Path(arguments.weights).resolve())
            )
            print(
                f"{case.model}: {data['compression']:.1f}x compression, the file gives the same "
                f"class to {data['agreement']:.1f} % of images, {data['search_seconds']:.0f} + "
                f"{data['export_seconds']:.0f} seconds",
                flush=True,
            )
            remaining = {"surroundings": environment("timm", "onnxruntime"), "networks": results}
            write_result("bring_your_own", remaining)
    head = ["network", "params", "baseline %", "winner %", "compression", "same class %", "seconds"]
    rows = [
        [
            name,
            f"{data['params']:,}",
            f"{data['baseline']:.1f}",
            f"{data['accuracy']:.1f}",
            f"{data['compression']:.1f}x",
            f"{data['agreement']:.1f}",
            f"{data['search_seconds'] + data['export_seconds']:.0f}",
        ]
        for name, data in results.items()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
