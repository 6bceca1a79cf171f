"""Names of 0.4 and the first builds of 0.5, translated to the current names when read.

Studies, study files and exported folders of these versions can be opened. Only current names are
written.
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
"""Keys of a trial's user attributes."""

TRIAL_STATUS = {
    "shared": "reused_weights",
    "hopeless": "early_stopped",
    "beaten": "dominated",
}
"""Values of a trial's attribute "status"."""

STUDY = {
    "asked": "config",
    "tested": "test_scores",
    "spent_seconds": "timings",
    "ran_on": "hardware",
}
"""Keys of a study's user attributes."""

CONFIG = {"per": "granularity"}
"""Keys of a study file, and of the configuration stored in a study."""

RETRAINING = {"searched": "search_drop"}
"""Keys of an entry of a study's retrainings."""

ABLATION_ROW = {"words": "description"}
"""Keys of a row of a study's ablations."""

MANIFEST = {"word": "certainty"}
"""Keys of an exported folder's `manifest.json`."""


def current(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping with current names; where it has both names, the current one takes precedence."""
    return {
        names.get(key, key): value
        for key, value in data.items()
        if key not in names or names[key] not in data
    }


def trial_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trial's user attributes with current names."""
    if TRIAL.keys().isdisjoint(attributes):
        return attributes
    data = current(attributes, TRIAL)
    if "status" in data:
        data["status"] = TRIAL_STATUS.get(data["status"], data["status"])
    return data


def study_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A study's user attributes with current names."""
    data = current(attributes, STUDY)
    if "config" in data:
        data["config"] = current(data["config"], CONFIG)
    return data
