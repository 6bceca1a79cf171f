"""Measure the cost of evaluating plans in a separate process: seconds, CPU seconds and memory.

The default search on digits, with a child process and without, in turn, each in an empty folder
with an empty cache. Memory is the peak of the proportional set size (a page shared by two processes
counts half for each) over all processes of the command. Linux only. Run it as `python
benchmarks/isolation.py`; see README.md beside it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from paredown.benchmarks.common import environment, table, write_result

APART, HERE = "in a process of its own", "in the searching process"
_COMMAND = {
    APART: "from paredown.search.cli import main; main()",
    HERE: (
        "from paredown.search.isolation import starting, in_process; "
        "starting.ProcessBackend = in_process.InProcessBackend; "
        "from paredown.search.cli import main; main()"
    ),
}


@dataclass(frozen=True)
class Run:
    """One search: wall-clock seconds, CPU seconds, and peak memory in MiB."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def search(how: str, trials: int) -> Run:
    """Run and monitor the default search."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND[how], "search", "--trials", str(trials)],
            cwd=folder,
            env=os.environ | {"PAREDOWN_CACHE": str(Path(folder) / "cache")},
            stdout=subprocess.DEVNULL,
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, sum(map(memory, family(process.pid))))
            time.sleep(0.25)
        seconds, after = time.perf_counter() - began, os.times()
        if process.returncode not in (0, 3):
            raise RuntimeError(f"the search ended with {process.returncode}")
    cpu = after.children_user + after.children_system
    return Run(seconds, cpu - before.children_user - before.children_system, peak)


def family(process: int) -> list[int]:
    """A process and all its descendants."""
    results = [process]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                results += family(int(child))
    return results


def memory(process: int) -> float:
    """The proportional set size of a process, in MiB; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure the cost of evaluating in a separate process."
    )
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = {APART: [], HERE: []}
    for number in range(arguments.repetitions):
        for how in (APART, HERE) if number % 2 else (HERE, APART):
            runs[how].append(search(how, arguments.trials))
            print(how, runs[how][-1], flush=True)
    figures = {
        name: {how: median(getattr(run, name) for run in ran) for how, ran in runs.items()}
        for name in ("seconds", "cpu_seconds", "peak_mib")
    }
    ratios = {name: by_how[APART] / by_how[HERE] for name, by_how in figures.items()}
    rows = [
        [name, *(f"{by_how[how]:.1f}" for how in runs), f"{ratios[name]:.3f}"]
        for name, by_how in figures.items()
    ]
    print(table(["median", *runs, "ratio"], rows))
    data = {
        "surroundings": environment("optuna", "cloudpickle"),
        "trials": arguments.trials,
        "repetitions": arguments.repetitions,
        "runs": {how: [asdict(run) for run in ran] for how, ran in runs.items()},
        "ratios": ratios,
    }
    print(f"written to results/{write_result('isolation', data).name}")


if __name__ == "__main__":
    main()
