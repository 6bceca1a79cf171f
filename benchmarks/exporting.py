"""Go from a search to verified files, by the commands that a user types.

ResNet-20, on digits by the default study and on a folder of CIFAR-10's images by exporting.toml
with given weights: `paredown search`, then `paredown export` of a budget's winner to every
installed format. The targets: each file's accuracies within half a point of the network's, and the
numbers that the ONNX file stores within 5 % of the predicted bytes.

    python benchmarks/exporting.py --data path/to/cifar10 --weights resnet20.safetensors
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.benchmarks.common import environment, table, write_result
from paredown.benchmarks.shipping import MOST_BYTES, MOST_POINTS
from paredown.search.onnx import initializer_bytes

STUDY = Path(__file__).parent / "exporting.toml"


@dataclass(frozen=True)
class Case:
    """A study and the budget whose winner is exported.

    Attributes:
        name: name in the table.
        search: arguments of `paredown search`.
        max_drop: the budget, in percentage points.
    """

    name: str
    search: tuple[str, ...]
    max_drop: str


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Digits, and the data set of the command line."""
    yield Case("digits", ("digits", "--trials", str(arguments.trials)), "2")
    if arguments.data:
        provided = ("--data", arguments.data, "--weights", arguments.weights)
        yield Case("CIFAR-10", (str(STUDY), *provided), "2")


def commanded(folder: Path, *words: str) -> str:
    """Run a `paredown` command in a folder; its output. Exits if the command fails."""
    command = [str(Path(sys.executable).with_name("paredown")), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: a smaller budget has no winner
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def exported(case: Case, folder: Path) -> dict[str, Any]:
    """Search, export and measure; returns JSON-ready results."""
    began = time.perf_counter()
    commanded(folder, "search", *case.search, "--name", case.name)
    searched = time.perf_counter()
    output = folder / "exported" / case.name
    budget = ("--max-drop", case.max_drop)
    words = ("export", case.name, *budget, "--output", str(output), "--json")
    data = json.loads(commanded(folder, *words))
    ended = time.perf_counter()
    stored = initializer_bytes(output / "model.onnx")
    remaining = ("plan", "max_drop", "accuracy", "certainty", "seeds", "data", "files")
    return {name: data[name] for name in remaining} | {
        "foretold_bytes": data["cost"]["bytes"],
        "onnx_bytes": stored,
        "excess": stored / data["cost"]["bytes"] - 1,
        "search_seconds": round(searched - began, 1),
        "export_seconds": round(ended - searched, 1),
    }


def holds(results: dict[str, Any]) -> bool:
    """Whether both targets are met."""
    return abs(results["excess"]) <= MOST_BYTES and all(
        abs(item["checked"]["accuracy"][split] - item["checked"]["network"][split]) <= MOST_POINTS
        for item in results["files"].values()
        for split in ("search", "test")
    )


def lines(name: str, results: dict[str, Any]) -> Iterator[Sequence[str]]:
    """The rows of the table, one per file."""
    for file, item in results["files"].items():
        seen = item["checked"]
        excess = f"{results['excess']:+.1%}" if file.endswith(".onnx") else ""
        yield (
            f"{name}, {file}",
            *(
                f"{seen['accuracy'][split]:.2f} ({seen['network'][split]:.2f})"
                for split in ("search", "test")
            ),
            f"{seen['agreement']:.2f}",
            f"{seen['logit_difference']:.1e}",
            f"{seen['bytes']:,} ({seen['baseline_bytes']:,})",
            excess,
            f"{seen['milliseconds']:.2f} ({seen['baseline_milliseconds']:.2f})",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Go from a search to verified files.")
    parser.add_argument("--data", help="folder with train/ and test/, or a set")
    parser.add_argument("--weights", help="weights of the ResNet-20 on that data")
    parser.add_argument("--trials", type=int, default=12, help="trials of the search on digits")
    arguments = parser.parse_args()
    if bool(arguments.data) != bool(arguments.weights):
        parser.error("--data and --weights go together")
    if arguments.data:
        images = Path(arguments.data)  # a folder, or else the name of a set
        arguments.data = str(images.resolve()) if images.exists() else arguments.data
        arguments.weights = str(Path(arguments.weights).resolve())
    results, held = dict[str, dict[str, Any]](), dict[str, bool]()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(arguments):
            results[case.name] = exported(case, Path(folder))
            held[case.name] = holds(results[case.name])
            print(f"{case.name}: {'holds' if held[case.name] else 'DOES NOT HOLD'}")
    head = ["file", "search %", "test %", "same class %", "logits", "bytes", "tensors", "ms"]
    print(table(head, [line for name, data in results.items() for line in lines(name, data)]))
    data = {"surroundings": environment("onnx", "onnxruntime"), "exported": results}
    data["holds"] = held
    print(f"written to results/{write_result('exporting', data).name}")


if __name__ == "__main__":
    main()
