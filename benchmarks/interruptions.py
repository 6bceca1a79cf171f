"""Kill 20 searches on digits, each once at a random moment, and check that they recover.

In turn the evaluating process is killed by SIGSEGV and by SIGKILL, and the search itself by
SIGKILL, at a moment drawn uniformly from the undisturbed duration of the search. The command is run
again only where the search itself was killed. Each study must end with all its trials, none of them
trained twice and none left running. Linux only. Run it as `python benchmarks/interruptions.py`; see
README.md beside it.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from paredown.benchmarks.common import environment, table, write_result
from paredown.search.study.trial_record import TrialStatus, read_records

WAYS = ("child by SIGSEGV", "child by SIGKILL", "search by SIGKILL")
_COMMAND = "from paredown.search.cli import main; main()"
STUDY = """
model = "resnet8"
data = "digits"
max_drop = [1, 30]
trials = {trials}
finalists = 1

[baseline]
epochs = 6
max_lr = 0.1

[train]
epochs = 4

[fine_tune]
epochs = 2
"""


def run(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the search."""
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "search", "study.toml"],
        cwd=folder,
        env=os.environ | {"PAREDOWN_CACHE": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def child_of(process: int) -> int | None:
    """The evaluating process of a search, if there is one."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def ended(way: str, moment: float, trials: int) -> Mapping[str, Any]:
    """Run one search, kill it at a given moment, and report the study."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.toml").write_text(STUDY.format(trials=trials))
        process, runs = run(folder), 1
        hit = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        if process.poll() is None:
            target = process.pid if way.startswith("search") else child_of(process.pid)
            if target is not None:
                os.kill(target, signal.SIGSEGV if "SIGSEGV" in way else signal.SIGKILL)
                hit = True
        _, err = process.communicate()
        text = err.decode(errors="replace")
        if way.startswith("search") and hit:
            process, runs = run(folder), 2
            text = process.communicate()[1].decode(errors="replace")
        url = f"sqlite:///{folder / 'paredown.db'}"
        every = read_records(optuna.load_study(study_name="study", storage=url).trials)
        trained = [record for record in every if record.took_training]
        plans = [record.plan for record in trained]
        return {
            "way": way,
            "moment_s": round(moment, 2),
            "hit": hit,
            "runs": runs,
            "code": process.returncode,
            "trained": len(trained),
            "trained twice": len(plans) - len(set(plans)),
            "left running": sum(record.status is TrialStatus.RUNNING for record in every),
            "why": [record.reason for record in every if record.status is TrialStatus.FAILED],
            "error": "" if process.returncode in (0, 3) else text[-500:],
        }


def holds(data: Mapping[str, Any], trials: int) -> bool:
    """Whether the study is complete."""
    whole = data["trained"] == trials and not data["trained twice"] and not data["left running"]
    return bool(whole and data["code"] in (0, 3))


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill searches at random moments.")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    undisturbed = ended("nothing", 10**6, arguments.trials)
    seconds = time.perf_counter() - began
    print(f"undisturbed: {seconds:.1f} s, {undisturbed['trained']} trained", flush=True)
    rng, results = random.Random(arguments.seed), list[Mapping[str, Any]]()
    for number in range(arguments.moments):
        # Imports take the first second; there is neither a study nor a child process yet.
        results.append(ended(WAYS[number % 3], rng.uniform(1, seconds), arguments.trials))
        print(results[-1], flush=True)
    rows = []
    for way in WAYS:
        of_it = [data for data in results if data["way"] == way]
        good = sum(holds(data, arguments.trials) for data in of_it)
        rows.append([way, str(len(of_it)), str(sum(data["hit"] for data in of_it)), str(good)])
    print(table(["killed", "searches", "killed in time", "complete"], rows))
    data = {
        "surroundings": environment("optuna", "cloudpickle"),
        "seed": arguments.seed,
        "trials": arguments.trials,
        "seconds undisturbed": round(seconds, 1),
        "searches": results,
    }
    print(f"written to results/{write_result('interruptions', data).name}")
    return 0 if all(holds(data, arguments.trials) for data in results) else 1


if __name__ == "__main__":
    sys.exit(main())
