"""Early stopping of plans whose drop at a checkpoint predicts that they will miss every budget.

Optuna's pruners do not support multi-objective studies, and compare a trial with others at the same
step. Here the criterion is whether the final drop will be within the largest budget. It is
predicted from the drop at a checkpoint by linear regression over the plans that were trained to
their ends, on an asinh scale that compresses large drops; the residuals give the uncertainty.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from ...objectives.accuracy.budget import Budget
from ...objectives.evaluation.checkpoints import Checkpoint, EarlyStopper
from ...objectives.training.recipe import Recipes
from ...spaces.plan import Plan
from ...spaces.technique import Phase
from ..study.trial_record import TrialRecord

_FEWEST = 8
"""Fewest fully trained plans before early stopping begins."""

MIN_CHANCE = 0.05
"""A plan is stopped if its probability of meeting the largest budget is below this."""

_PART_OF_TRAINING = 0.6
"""Position of the checkpoint during training. Earlier, the high learning rate of the one-cycle
schedule makes drops uninformative."""


@dataclass(frozen=True)
class DropPrediction:
    """The predictive distribution of the final drop: a t distribution, on the scale of
    `DropRegression`."""

    mean: float
    scale: float
    freedom: int

    def chance_within(self, value: float) -> float:
        """The probability that the final drop is at most this value."""
        return float(stdtr(self.freedom, (value - self.mean) / self.scale))

    def exceeded_with(self, probability: float) -> float:
        """The value that the final drop exceeds with this probability."""
        return self.mean + self.scale * float(stdtrit(self.freedom, 1 - probability))


class DropRegression:
    """Linear regression of final drops on drops at one checkpoint.

    Args:
        pairs: (drop at the checkpoint, final drop), in percentage points.
        unit: scale of asinh(drop / unit): linear well below it, logarithmic above.
    """

    def __init__(self, pairs: Sequence[tuple[float, float]], unit: float) -> None:
        self._unit = unit
        points = np.arcsinh(np.array(pairs, dtype=np.float64) / unit)
        self._x, self._y = points[:, 0], points[:, 1]
        self._spread = float(((self._x - self._x.mean()) ** 2).sum())
        # A smaller drop at the checkpoint must not predict a larger final drop.
        slope = float(((self._x - self._x.mean()) * self._y).sum()) / max(self._spread, 1e-12)
        self._slope = max(slope, 0.0)
        missed = self._y - self._line(self._x)
        self._freedom = len(self._x) - 2
        # Drops are discrete (one image): a perfect fit of few pairs is chance, not certainty.
        self._noise = max(float((missed**2).sum()) / self._freedom, 0.05**2)

    def _line(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._y.mean() + self._slope * (x - self._x.mean()))

    def predict(self, drop: float) -> DropPrediction:
        """The predicted final drop of a plan with this drop at the checkpoint."""
        x = math.asinh(drop / self._unit)
        far = (x - float(self._x.mean())) ** 2 / max(self._spread, 1e-12)
        scale = math.sqrt(self._noise * (1 + 1 / len(self._x) + far))
        return DropPrediction(float(self._line(np.array(x))), scale, self._freedom)

    def chance_within(self, drop: float, budget: float) -> float:
        """Probability that a plan with this drop at the checkpoint meets a budget."""
        return self.predict(drop).chance_within(math.asinh(budget / self._unit))

    def lower_bound(self, drop: float, certainty: float) -> float:
        """Lower bound of the final drop, in percentage points, with this certainty."""
        return self._unit * math.sinh(self.predict(drop).exceeded_with(certainty))


class BudgetEarlyStopper(EarlyStopper):
    """Stops plans that will most likely miss the largest budget.

    Args:
        budgets: the study's budgets, smallest first.
        recipes: training recipes; their epochs determine the checkpoints.
    """

    def __init__(self, budgets: Sequence[Budget], recipes: Recipes) -> None:
        self._largest = budgets[-1].max_drop
        self._unit = max(self._largest, 1.0)
        epochs = {"train": recipes.train.epochs, "fine-tune": recipes.fine_tune.epochs}
        self._checkpoints = {
            stage: {math.ceil(_PART_OF_TRAINING * many), many} for stage, many in epochs.items()
        }
        self._pairs = dict[tuple[str, bool], list[tuple[float, float]]]()

    def learn(self, records: Iterable[TrialRecord]) -> None:
        """Collect the pairs of drops at checkpoints and final drops from a study's trials."""
        ends, ways = dict[Plan, float](), dict[Plan, dict[str, float]]()
        for record in records:
            if record.plan is not None and record.drop is not None:
                network = record.plan.through(Phase.PRUNE)
                ends[network] = min(ends.get(network, math.inf), record.drop)
                ways.setdefault(network, {}).update(record.checkpoints)
        self._pairs = {}
        for network, checkpoints in ways.items():
            for checkpoint, drop in checkpoints.items():
                pairs = self._pairs.setdefault((checkpoint, _prunes(network)), [])
                pairs.append((drop, ends[network]))

    def should_check(self, stage: str, epoch: int, epochs: int) -> bool:
        return epoch == 0 or epoch in self._checkpoints.get(stage, ())

    def should_stop(self, plan: Plan, checkpoint: Checkpoint) -> bool:
        regression = self._regression(plan, checkpoint)
        return (
            regression is not None
            and regression.chance_within(checkpoint.drop, self._largest) < MIN_CHANCE
        )

    def drop_lower_bound(self, plan: Plan, checkpoint: Checkpoint) -> float:
        """Lower bound of a stopped plan's final drop, with certainty 1 - `MIN_CHANCE`."""
        regression = self._regression(plan, checkpoint)
        return (
            checkpoint.drop
            if regression is None
            else regression.lower_bound(checkpoint.drop, 1 - MIN_CHANCE)
        )

    def _regression(self, plan: Plan, checkpoint: Checkpoint) -> DropRegression | None:
        pairs = self._pairs.get((checkpoint.name, _prunes(plan)), [])
        return DropRegression(pairs, self._unit) if len(pairs) >= _FEWEST else None


def _prunes(plan: Plan) -> bool:
    return plan.through(Phase.PRUNE) != plan.through(Phase.STRUCTURE)
