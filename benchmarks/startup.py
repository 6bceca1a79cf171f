"""Time commands that compute next to nothing, mostly their imports.

Each command runs several times in a separate process. Measured are CPU seconds: user and system
time of the process and of the children that it waited for. `best`, `report` and `dashboard` read a
small study of digits that is made beforehand in a separate folder. `dashboard` is ended once it has
printed its address. Commands that train or write networks (`search`, `ablate`, `export`,
`evaluate`) are not measured.

Run it as `python benchmarks/startup.py`; see README.md beside it.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from paredown.benchmarks.common import environment, table, write_result

_RUN = (sys.executable, "-c", "from paredown.search.cli import main; main()")
_STUDY = "small"
_STUDY_FILE = """
title = "a small study"
model = "resnet8"
data = "digits"
max_drop = [30]
trials = 4
sampler = "random"

[baseline]
epochs = 2

[train]
epochs = 1

[fine_tune]
epochs = 1
"""
COMMANDS = (
    "--help",
    "studies",
    "models",
    "techniques",
    f"best {_STUDY} --json",
    f"best {_STUDY}",
    "count resnet18",
    "count mobilenet_v2",
    "count resnet101 --approach 13",
    f"search {_STUDY}.toml --dry-run",
    f"report {_STUDY} --force",
    f"dashboard {_STUDY} --port 0",
)
_INTERRUPTED = 130


@dataclass(frozen=True)
class Timing:
    """The timings of a command.

    Attributes:
        cpu_median, cpu_least: median and minimum of CPU seconds over all runs.
    """

    cpu_median: float
    cpu_least: float


def timed(command: str, folder: Path, times: int) -> Timing:
    """Run a command several times in a folder.

    Raises:
        RuntimeError: the command failed.
    """
    seconds = [_run(command, folder) for _ in range(times)]
    return Timing(round(median(seconds), 2), round(min(seconds), 2))


def _run(command: str, folder: Path) -> float:
    """The CPU seconds of a run."""
    with tempfile.TemporaryFile(mode="w+") as output:
        process = subprocess.Popen(
            [*_RUN, *command.split()],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        if process.stdout is None:
            raise RuntimeError("the command's output cannot be read")
        if command.startswith("dashboard"):
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
        process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode not in (0, _INTERRUPTED):
            raise RuntimeError(f"{command} ended with {process.returncode}: {output.read()}")
    return used.ru_utime + used.ru_stime


def make_study(folder: Path) -> None:
    """Make a small study of digits in a folder."""
    (folder / f"{_STUDY}.toml").write_text(_STUDY_FILE, encoding="utf-8")
    search = [*_RUN, "search", f"{_STUDY}.toml", "--name", _STUDY]
    subprocess.run(search, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all commands and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5, help="runs of each command")
    times = parser.parse_args(arguments).times
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["PAREDOWN_CACHE"] = str(folder / "cache")
        make_study(folder)
        timings = dict[str, Timing]()
        for command in COMMANDS:
            _run(command, folder)  # warm-up: writes bytecode and fills the file cache
            timings[command] = timed(command, folder, times)
            print(f"{command}: {timings[command].cpu_median:.2f} s", file=sys.stderr)
    commands = {name: asdict(timing) for name, timing in timings.items()}
    results = {"times": times, "commands": commands}
    path = write_result("startup", environment("optuna", "typer") | results)
    headings = ("CPU seconds", "median", "least")
    rows = [[name, f"{t.cpu_median:.2f}", f"{t.cpu_least:.2f}"] for name, t in timings.items()]
    print(table(headings, rows))
    print(path)


if __name__ == "__main__":
    main()
