"""What a study was asked, in words, from all that it has kept."""

import json
import math
from dataclasses import dataclass
from typing import Any

import optuna

from ...errors import StorageError
from ..formatting import short
from ..results.summary import Answer
from ..study.config import StudyConfig
from ..study.saved_config import read_asked
from ..study.storage import IDENTITY, VERSIONS
from ..study.timings import read_hardware
from ..study.trial_record import How


@dataclass(frozen=True)
class Asked:
    """The question.

    Attributes:
        model, data: by name.
        identity: what must be the same for the study to go on.
        config: of the last run; None in studies from before it was kept.
    """

    model: str
    data: str
    identity: dict[str, Any]
    config: StudyConfig | None


def asked_of(study: optuna.Study) -> Asked:
    """What a study was asked."""
    identity: dict[str, Any] = json.loads(study.user_attrs[IDENTITY])
    try:
        config = read_asked(study)
    except StorageError:
        config = None
    return Asked(str(identity["model"]), str(identity["data"]), identity, config)


def facts(study: optuna.Study, found: Answer, asked: Asked) -> list[tuple[str, str]]:
    """What was asked and how it was answered: label and text, line by line."""
    base, config = found.baseline, asked.config
    cost = base.cost
    said = [
        (
            "Model",
            f"{asked.model}: {cost.params:,} params, {cost.macs:,} MACs, {short(cost.bytes)}B",
        ),
        ("Data", f"{asked.data}, {asked.identity['classes']} classes{_tested_on(found)}"),
        ("Baseline", f"{base.accuracy:.2f} % on the search split"),
        ("Budgets", ", ".join(one.budget.text for one in found.verdicts)),
        ("Space", _space(asked.identity.get("space", {}))),
        ("Trials", _trials(found)),
    ]
    if config is not None:
        again = f"; up to {config.finalists} finalists a budget" if config.finalists else ""
        said.append(("Search", f"sampler {config.sampler}, {config.trials} trainings{again}"))
        seeds = f"{config.seed} for the study, {config.data.split_seed} for the split"
        said.append(("Seeds", seeds))
    said += _when(study)
    versions = json.loads(study.user_attrs.get(VERSIONS, "{}"))
    if versions:
        said.append(("Versions", ", ".join(f"{name} {one}" for name, one in versions.items())))
    if hardware := read_hardware(study):
        said.append(("Ran on", "; ".join(hardware)))
    return said


def _tested_on(found: Answer) -> str:
    if found.images:
        return f"; {found.images.text}"
    images = {one.paired.images for one in found.tested.values() if one.paired}
    return f"; {max(images):,} test images" if images else ""


def _space(options: dict[str, list[object]]) -> str:
    searched = [len(one) for one in options.values() if len(one) > 1]
    return f"{short(math.prod(searched))} plans, from {len(searched)} decisions"


def _trials(found: Answer) -> str:
    names = {
        How.EVALUATED: "trained",
        How.HOPELESS: "stopped early",
        How.SHARED: "more scored at other bit-widths",
        How.BEATEN: "beaten before training",
        How.REPEATED: "repeated",
        How.FAILED: "failed",
        How.STOPPED: "interrupted",
        How.RUNNING: "running",
    }
    counts = ((found.count(how), name) for how, name in names.items())
    return ", ".join(f"{count} {name}" for count, name in counts if count)


def _when(study: optuna.Study) -> list[tuple[str, str]]:
    trials = study.get_trials(deepcopy=False)
    began = [one.datetime_start for one in trials if one.datetime_start]
    return [("Begun", f"{min(began):%Y-%m-%d %H:%M}")] if began else []
