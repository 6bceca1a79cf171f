"""`paredown doctor` says what a machine is, and finds what is wrong with it."""

import json
import os
from pathlib import Path

import paredown
import pytest
import torch
from paredown.search.doctor import examine, self_checks
from paredown.search.doctor.self_checks import Check

from .conftest import Run


def _nothing_wrong(url: str) -> list[str]:
    return []


def check(name: str) -> Check:
    return next(check for check in self_checks.CHECKS if check.name == name)


def test_the_screen_holds_what_an_issue_report_should(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    ran = run("doctor")
    assert ran.code == 0, ran.out
    for text in (
        paredown.__version__,
        torch.__version__,
        f"{os.cpu_count()} cores",
        "sqlite:///paredown.db (does not exist yet)",
        os.environ["PAREDOWN_CACHE"],
        "ONEDNN_MAX_CPU_ISA",
        "✓ storage: write and read a study",
        "No problems found",
    ):
        assert text in ran.out
    assert not Path("paredown.db").exists(), "nothing is left behind"


def test_json_has_facts_and_checks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    ran = run("doctor", "--json")
    data = json.loads(ran.out)
    facts = {item["name"]: item["value"] for item in data["environment"]}
    assert facts["paredown"] == paredown.__version__
    (results,) = data["checks"]
    assert results["name"] == "storage"
    assert results["passed"] is True


def test_a_storage_that_is_none_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    Path("paredown.db").write_text("not a database")
    ran = run("doctor")
    assert ran.code == 1
    assert "paredown.db is not an Optuna storage" in " ".join(ran.out.split())
    assert "use a writable folder" in ran.out


def test_a_check_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    # In the child, the check of that name is not there: its process ends with an error.
    monkeypatch.setattr(examine, "CHECKS", (Check("no such check", "", _nothing_wrong, ""),))
    (finding,) = examine.examine("sqlite:///paredown.db")
    assert "its process exited with code 1" in finding.faults[0]


@pytest.mark.parametrize("name", ["convolutions", "training", "int8 file"])
def test_this_machine_passes(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check(name),))
    (finding,) = examine.examine("sqlite:///paredown.db")
    assert finding.faults == ()
    assert not finding.skipped
