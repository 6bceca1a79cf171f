"""Attribution of a plan's drop to its techniques, from a study's trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from ...spaces.plan import Choice, Plan
from ..study.trial_record import TrialRecord, scored

_FEWEST = 8
"""Fewest trials for a linear model."""
_FAR = 3.0
"""Drops are clipped at this multiple of the plan's drop, so that ruined networks do not dominate
the regression."""


@dataclass(frozen=True)
class Attribution:
    """The accuracy cost of a technique in a plan.

    Attributes:
        technique: the technique.
        points: the technique's part of the plan's drop, in percentage points.
        without: the trial of the same plan without the technique; None if estimated by a model.
        trials: number of trials the model was fitted to; 0 if the cost was measured.
    """

    technique: str
    points: float
    without: int | None
    trials: int


def costliest(missed: TrialRecord, records: Sequence[TrialRecord]) -> Attribution | None:
    """The technique that costs a plan the most accuracy; None if unknown.

    Where the same plan without a technique has been scored, the cost is the difference in drop.
    Otherwise costs are assumed to be additive: Bayesian ridge regression of the drop on the choices
    of all scored plans (MacKay, "Bayesian Interpolation", 1992).

    Args:
        missed: a trial whose drop is known.
        records: all trials of its study.
    """
    if missed.plan is None or missed.drop is None:
        return None
    known = [(record.number, record.plan, record.drop) for record in scored(records)]
    trials = [(number, plan, drop) for number, plan, drop in known if plan and drop is not None]
    measured = {plan: (number, drop) for number, plan, drop in trials}
    techniques = dict.fromkeys(choice.technique for choice in missed.plan.choices)
    rests = {technique: without(missed.plan, technique) for technique in techniques}
    modelled = dict[str, float]()
    if any(rest.choices and rest not in measured for rest in rests.values()):
        modelled = _modelled(missed.plan, missed.drop, [(plan, drop) for _, plan, drop in trials])
    attributions = list[Attribution]()
    for technique, rest in rests.items():
        if rest in measured:
            number, drop = measured[rest]
            attributions.append(Attribution(technique, missed.drop - drop, number, 0))
        elif not rest.choices:
            attributions.append(Attribution(technique, missed.drop, None, 0))
        elif technique in modelled:
            attributions.append(Attribution(technique, modelled[technique], None, len(trials)))
    most = max(attributions, key=lambda item: item.points, default=None)
    return most if most is not None and most.points > 0 else None


def without(plan: Plan, technique: str) -> Plan:
    """The plan without all choices of a technique, and without the options that modify it."""
    return Plan.with_meaning(choice for choice in plan.choices if choice.technique != technique)


def _modelled(plan: Plan, drop: float, trials: Sequence[tuple[Plan, float]]) -> dict[str, float]:
    """Technique -> the percentage points that a linear model attributes to its choices."""
    if len(trials) < _FEWEST:
        return {}
    from sklearn.linear_model import BayesianRidge  # deferred: the import takes a second

    choices: list[Choice] = list(dict.fromkeys(c for plan, _ in trials for c in plan.choices))
    has = numpy.array([[choice in plan.choices for choice in choices] for plan, _ in trials], float)
    drops = numpy.array([min(seen, _FAR * max(drop, 1.0)) for _, seen in trials])
    weights = BayesianRidge(fit_intercept=False).fit(has, drops).coef_
    costs = dict[str, float]()
    for choice, points in zip(choices, weights, strict=True):
        if choice in plan.choices:
            costs[choice.technique] = costs.get(choice.technique, 0.0) + float(points)
    return costs
