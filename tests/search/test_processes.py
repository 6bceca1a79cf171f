"""What only a process of its own can show: kills, interrupts, the dashboard over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from paredown.search.study.trial_record import TrialRecord, TrialStatus, read_records
from paredown.tests.matrix import represented

URL = "sqlite:///paredown.db"
# A shell starts background jobs with interrupts ignored, and tests may be one.
MAIN = """
import signal
from paredown.search.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
COMMAND = [sys.executable, "-c", MAIN]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the real command; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read a process's lines until one holds some words; fails if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"the command ended without saying {text!r}: {process.communicate()[1]}")


def records() -> list[TrialRecord]:
    return read_records(optuna.load_study(study_name="tiny", storage=URL).trials)


def evaluated() -> list[TrialRecord]:
    return [record for record in records() if record.status is TrialStatus.EVALUATED]


def test_a_killed_search_loses_at_most_the_running_trial(folder: Path, start: Start) -> None:
    process = start("search", "tiny.toml", "--trials", "30")
    wait_for(process, "3/30")
    process.kill()
    process.communicate()
    remaining = evaluated()
    assert len(remaining) >= 3

    again = subprocess.run(
        [*COMMAND, "search", "tiny.toml", "--trials", str(len(remaining) + 2), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode in (0, 3), again.stderr
    assert json.loads(again.stdout)["trials"]["evaluated"] == len(remaining) + 2
    assert "resuming after" in again.stderr
    finished = evaluated()
    assert finished[: len(remaining)] == remaining
    assert not [record for record in records() if record.status is TrialStatus.RUNNING]
    plans = [record.plan for record in finished]
    assert len(plans) == len(set(plans)), "nothing was trained twice"


@pytest.mark.parametrize("how", represented([signal.SIGINT, signal.SIGTERM], signal.SIGINT.__eq__))
def test_an_interrupt_ends_tidily(how: signal.Signals, folder: Path, start: Start) -> None:
    process = start("search", "tiny.toml", "--trials", "30")
    wait_for(process, "2/30")
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. Run the same command to resume." in err
    assert "Traceback" not in err
    assert "budget" in out, "what was found so far is shown"
    assert not [record for record in records() if record.status is TrialStatus.RUNNING]


def test_two_workers_share_a_study(folder: Path, start: Start) -> None:
    first = start("search", "tiny.toml", "--trials", "8")
    wait_for(first, "1/8")
    second = start("search", "tiny.toml", "--trials", "8")
    for process in (first, second):
        _, err = process.communicate(timeout=120)
        assert process.returncode in (0, 3), err
    assert len(evaluated()) in (8, 9), "each may have had one under way at the end"


def test_the_dashboard_answers_on_this_machine_alone(folder: Path, start: Start) -> None:
    subprocess.run([*COMMAND, "search", "tiny.toml", "--trials", "2"], check=False)
    process = start("dashboard", "tiny", "--port", "0")
    try:
        address = wait_for(process, "http://").split()[0]
        assert address.startswith("http://127.0.0.1:")
        base = address.split("/dashboard")[0]
        page = _get(address)
        assert "<html" in page.lower()
        (summary,) = json.loads(_get(f"{base}/api/studies"))["study_summaries"]
        assert summary["study_name"] == "tiny"
        assert address.endswith(f"/studies/{summary['study_id']}")
        detail = json.loads(_get(f"{base}/api/studies/{summary['study_id']}?after=0"))
        assert detail["objective_names"] == ["effective params", "effective FLOPs"]
        assert "resnet8" in detail["note"]["body"]
        for word in ("digits", "1 pp, 30 pp", "Baseline"):
            assert word in detail["note"]["body"]
        trial = detail["trials"][1]
        assert len(trial["constraints"]) == 1
        assert "w8a8" in trial["note"]["body"]
        port = int(base.rsplit(":", 1)[1])
        busy = subprocess.run(
            [*COMMAND, "dashboard", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert busy.returncode == 2
        assert f"cannot listen on port {port}" in busy.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=15)
    assert process.returncode == 0


def _get(address: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.matrix
def test_an_interrupt_while_the_baseline_trains_ends_tidily(folder: Path, start: Start) -> None:
    study = Path("tiny.toml").read_text().replace("epochs = 4", "epochs = 2000")
    Path("tiny.toml").write_text(study)
    process = start("search", "tiny.toml")
    wait_for(process, "stored in")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. Run the same command to resume." in err
    assert "error" not in err
