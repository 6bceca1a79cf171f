"""Measure the cost of evaluating plans in a separate process: seconds, CPU seconds and memory.

The default search on digits, with a child process and without, in turn, each in an empty folder
with an empty cache. Memory is the peak of the proportional set size (a page shared by two processes
counts half for each) over all processes of the command. On a machine that does other work too, give
`--at-once`: both run side by side, so that both are slowed alike; then memory is not comparable, as
they share pages. Linux only. Run it as `python benchmarks/isolation.py`; see README.md beside it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
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
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND[how], "search", "--trials", str(trials)],
            cwd=folder,
            env=os.environ | {"PAREDOWN_CACHE": str(Path(folder) / "cache")},
            stdout=subprocess.DEVNULL,
        )
        peak = 0.0
        # Its usage includes that of the children that it waited for.
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, sum(map(memory, family(process.pid))))
            time.sleep(0.25)
        seconds, (_, status, usage) = time.perf_counter() - began, ended
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            raise RuntimeError(f"the search ended with {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)


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
    parser.add_argument("--at-once", action="store_true", help="run both side by side")
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = {APART: [], HERE: []}
    for number in range(arguments.repetitions):
        order = (APART, HERE) if number % 2 else (HERE, APART)
        with ThreadPoolExecutor(len(order) if arguments.at_once else 1) as pool:
            for how, run in zip(
                order, pool.map(search, order, [arguments.trials] * len(order)), strict=True
            ):
                runs[how].append(run)
                print(how, run, flush=True)
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
        "at_once": arguments.at_once,
        "runs": {how: [asdict(run) for run in ran] for how, ran in runs.items()},
        "ratios": ratios,
    }
    print(f"written to results/{write_result('isolation', data).name}")


if __name__ == "__main__":
    main()
