"""Total time and hardware of a study's runs, as stored in the study."""

import json
import os
from collections.abc import Iterable, Mapping

import optuna

from .attributes import HARDWARE, TIMINGS
from .legacy_names import study_attributes
from .profiler import part_of
from .trial_record import TrialRecord


def add_timings(study: optuna.Study, seconds: Mapping[str, float], hardware: str) -> None:
    """Add the time of a run to that of earlier runs.

    Args:
        study: the study.
        seconds: part -> seconds of the run.
        hardware: device that evaluated plans, from `objectives.training.device.hardware`.
    """
    total = read_timings(study)
    for part, took in seconds.items():
        total[part] = total.get(part, 0.0) + took
    rounded = {part: round(took, 3) for part, took in total.items()}
    study.set_user_attr(TIMINGS, json.dumps(rounded))
    here, known = f"{hardware}, {os.cpu_count()} cores", read_hardware(study)
    if here not in known:
        study.set_user_attr(HARDWARE, [*known, here])


def read_timings(study: optuna.Study) -> dict[str, float]:
    """Read part -> seconds over all ended runs; empty in studies that do not store it.

    Of two runs that end at the same moment, one may be missing.
    """
    stored = json.loads(study_attributes(study.user_attrs).get(TIMINGS, "{}"))
    return {str(part): float(took) for part, took in stored.items()}


def read_hardware(study: optuna.Study) -> list[str]:
    """Read the hardware of a study's runs, without duplicates."""
    return [str(item) for item in study_attributes(study.user_attrs).get(HARDWARE, [])]


def training_timings(records: Iterable[TrialRecord]) -> dict[str, float]:
    """Part -> seconds of the trials, without baseline, sampler and storage."""
    total = dict[str, float]()
    for record in records:
        for stage, took in record.seconds.items():
            trains = record.plan is not None and record.plan.trains_at_last
            part = part_of(stage, trains_at_last=trains)
            total[part] = total.get(part, 0.0) + took
    return total
