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
    return next(one for one in self_checks.CHECKS if one.name == name)


def test_the_screen_holds_what_an_issue_report_should(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    ran = run("doctor")
    assert ran.code == 0, ran.out
    for said in (
        paredown.__version__,
        torch.__version__,
        f"{os.cpu_count()} cores",
        "sqlite:///paredown.db (not there yet)",
        os.environ["PAREDOWN_CACHE"],
        "ONEDNN_MAX_CPU_ISA",
        "✓ storage: a study, written and read",
        "Nothing is wrong",
    ):
        assert said in ran.out
    assert not Path("paredown.db").exists(), "nothing is left behind"


def test_json_has_facts_and_checks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    ran = run("doctor", "--json")
    said = json.loads(ran.out)
    facts = {one["name"]: one["value"] for one in said["environment"]}
    assert facts["paredown"] == paredown.__version__
    (found,) = said["checks"]
    assert found["name"] == "storage"
    assert found["passed"] is True


def test_a_storage_that_is_none_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check("storage"),))
    Path("paredown.db").write_text("not a database")
    ran = run("doctor")
    assert ran.code == 1
    assert "paredown.db is not a file that Optuna made" in " ".join(ran.out.split())
    assert "choose a folder" in ran.out


def test_a_check_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    # In the child, the check of that name is not there: its process ends with an error.
    monkeypatch.setattr(examine, "CHECKS", (Check("no such check", "", _nothing_wrong, ""),))
    (found,) = examine.examine("sqlite:///paredown.db")
    assert "its process was ended by its own code, with exit code 1" in found.faults[0]


@pytest.mark.parametrize("name", ["convolutions", "training", "int8 file"])
def test_this_machine_passes(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "CHECKS", (check(name),))
    (found,) = examine.examine("sqlite:///paredown.db")
    assert found.faults == ()
    assert not found.skipped
