"""The configuration section of the report, from a study's attributes."""

import json
import math
from dataclasses import dataclass
from typing import Any

import optuna

from ...errors import StorageError
from ..formatting import short
from ..results.summary import StudySummary
from ..study.attributes import IDENTITY, VERSIONS
from ..study.config import StudyConfig
from ..study.saved_config import read_saved_config
from ..study.timings import read_hardware
from ..study.trial_record import TrialStatus


@dataclass(frozen=True)
class SavedStudy:
    """A study's stored identity and configuration.

    Attributes:
        model, data: names of the model and the data set.
        identity: the study's identity.
        config: configuration of the latest run; None in studies that do not store it.
    """

    model: str
    data: str
    identity: dict[str, Any]
    config: StudyConfig | None


def saved_study(study: optuna.Study) -> SavedStudy:
    """Read a study's identity and configuration."""
    identity: dict[str, Any] = json.loads(study.user_attrs[IDENTITY])
    try:
        config = read_saved_config(study)
    except StorageError:
        config = None
    return SavedStudy(str(identity["model"]), str(identity["data"]), identity, config)


def facts(study: optuna.Study, summary: StudySummary, saved: SavedStudy) -> list[tuple[str, str]]:
    """The lines of the configuration section: (label, text)."""
    base, config = summary.baseline, saved.config
    cost = base.cost
    parts = [
        (
            "Model",
            f"{saved.model}: {cost.params:,} params, {cost.macs:,} MACs, {short(cost.bytes)}B",
        ),
        ("Data", f"{saved.data}, {saved.identity['classes']} classes{_tested_on(summary)}"),
        ("Baseline", f"{base.accuracy:.2f} % on the search split"),
        ("Budgets", ", ".join(result.budget.text for result in summary.results)),
        ("Search space", _space(saved.identity.get("space", {}))),
        ("Trials", _trials(summary)),
    ]
    if config is not None:
        finalists = f", up to {config.finalists} finalists per budget" if config.finalists else ""
        parts.append(("Search", f"sampler {config.sampler}, {config.trials} trials{finalists}"))
        seeds = f"{config.seed} for the study, {config.data.split_seed} for the split"
        parts.append(("Seeds", seeds))
    parts += _when(study)
    versions = json.loads(study.user_attrs.get(VERSIONS, "{}"))
    if versions:
        parts.append(("Versions", ", ".join(f"{name} {item}" for name, item in versions.items())))
    if hardware := read_hardware(study):
        parts.append(("Hardware", "; ".join(hardware)))
    return parts


def _tested_on(summary: StudySummary) -> str:
    if summary.images:
        return f"; {summary.images.text}"
    images = {
        test_score.paired.images for test_score in summary.test_scores.values() if test_score.paired
    }
    return f"; {max(images):,} test images" if images else ""


def _space(options: dict[str, list[object]]) -> str:
    searched = [len(item) for item in options.values() if len(item) > 1]
    return f"{short(math.prod(searched))} plans, from {len(searched)} decisions"


def _trials(summary: StudySummary) -> str:
    names = {
        TrialStatus.EVALUATED: "trained",
        TrialStatus.EARLY_STOPPED: "stopped early",
        TrialStatus.REUSED_WEIGHTS: "more scored at other bit-widths",
        TrialStatus.DOMINATED: "dominated before training",
        TrialStatus.REPEATED: "repeated",
        TrialStatus.FAILED: "failed",
        TrialStatus.STOPPED: "interrupted",
        TrialStatus.RUNNING: "running",
    }
    counts = ((summary.count(status), name) for status, name in names.items())
    return ", ".join(f"{count} {name}" for count, name in counts if count)


def _when(study: optuna.Study) -> list[tuple[str, str]]:
    trials = study.get_trials(deepcopy=False)
    began = [trial.datetime_start for trial in trials if trial.datetime_start]
    return [("Started", f"{min(began):%Y-%m-%d %H:%M}")] if began else []
