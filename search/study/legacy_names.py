"""Names that 0.4 and the first builds of 0.5 wrote, read as those of today.

Studies, study files and exported folders of theirs still open. Only today's names are written.
"""

from collections.abc import Mapping
from typing import Any

TRIAL = {
    "how": "status",
    "why": "reason",
    "removed": "pruned_share",
    "rungs": "checkpoints",
    "drop_at_least_pp": "drop_lower_bound_pp",
}
"""Of a trial's user attributes."""

TRIAL_STATUS = {
    "shared": "reused_weights",
    "hopeless": "early_stopped",
    "beaten": "dominated",
}
"""Values of a trial's status."""

STUDY = {
    "asked": "config",
    "tested": "test_scores",
    "spent_seconds": "timings",
    "ran_on": "hardware",
}
"""Of a study's user attributes."""

CONFIG = {"per": "granularity"}
"""Of a study file, and of the configuration that a study keeps."""

RETRAINING = {"searched": "search_drop"}
"""Of an entry of a study's finalists."""

ABLATION_ROW = {"words": "description"}
"""Of a row of a study's ablations."""

MANIFEST = {"word": "certainty"}
"""Of an exported folder's `manifest.json`."""


def current(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping under today's names; where it has both names, today's holds."""
    return {
        names.get(key, key): value
        for key, value in data.items()
        if key not in names or names[key] not in data
    }


def trial_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trial's user attributes under today's names."""
    if TRIAL.keys().isdisjoint(attributes):
        return attributes
    data = current(attributes, TRIAL)
    if "status" in data:
        data["status"] = TRIAL_STATUS.get(data["status"], data["status"])
    return data


def study_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A study's user attributes under today's names."""
    data = current(attributes, STUDY)
    if "config" in data:
        data["config"] = current(data["config"], CONFIG)
    return data
