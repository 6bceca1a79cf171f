"""Maximization of the acquisition function over candidates."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .acquisition import Fronts, improves, ranking
from .candidates import exclude_known, neighbours, spread_candidates
from .drop_model import DropModel, DropTransform, HyperparameterCache
from .encoding import SearchSpaceEncoder
from .gp import Inputs
from .history import History
from .objective_cache import ObjectiveCache, ObjectiveSurrogate
from .parameter_encoding import Array
from .problem import SamplingProblem

_ROUNDS = 3
"""Rounds of candidates, each around the best of the last; the first round has half of them."""
_ELITE = 40
_RECONSIDERED = 500
_NEAR_FEASIBLE = 20
_CALIBRATION = 96
"""Uniform samples whose exact objectives initialize the surrogate of the objectives."""


@dataclass(frozen=True)
class _State:
    """The history and the models of one proposal."""

    history: History
    drops: DropModel
    fronts: Fronts
    features: Array
    log_objectives: Array

    def order(
        self, features: Array, log_objectives: Array, log_prices: Array | float = 0.0
    ) -> tuple[NDArray[np.intp], Array]:
        """Indices of points, best first, and their acquisition per evaluation cost."""
        log_within, deviation = self.drops.predict(Inputs(features, log_objectives))
        acquisition = self.fronts.acquisition(log_objectives, log_within)
        acquisition = np.where(improves(acquisition), acquisition - log_prices, acquisition)
        return ranking(acquisition, log_within, deviation), acquisition


class AcquisitionOptimizer:
    """Chooses a study's next point; caches objectives and hyperparameters between calls.

    Args:
        problem: the study's sampling problem.
        encoder: encoder of its search space.
        costs: cache of exact objectives.
        rng: draws the calibration samples.
        candidates: number of candidates per proposal.
        costed: number of candidates whose objectives are computed exactly.
    """

    def __init__(
        self,
        problem: SamplingProblem,
        encoder: SearchSpaceEncoder,
        costs: ObjectiveCache,
        rng: np.random.Generator,
        candidates: int,
        costed: int,
    ) -> None:
        self._problem, self._encoder, self._costs = problem, encoder, costs
        self._candidates, self._costed = candidates, max(costed, 2)
        self._scale = DropTransform(problem.budgets, problem.step)
        self._weights = HyperparameterCache()
        self._calibration = encoder.sample(rng, _CALIBRATION)

    def choose(self, history: History, rng: np.random.Generator) -> Array | None:
        """The untried point with the largest acquisition; None if no untried point was found.

        Raises:
            CannotFit: too few observations for a model.
            numpy.linalg.LinAlgError: the kernel matrix is singular.
        """
        state = self._state(history)
        rows = self._shortlist(state, rng)
        if not len(rows):
            return None
        return np.asarray(rows[self._best(state, rows)])

    def _state(self, history: History) -> _State:
        rows = history.evaluated_rows
        features, log_objectives = self._encoder.features(rows), self._costs.exact(rows)
        model = DropModel(
            Inputs(features, log_objectives),
            history.drops,
            history.is_censored,
            self._scale,
            self._weights,
        )
        known = np.where(history.is_censored, np.inf, history.drops)
        fronts = Fronts.of(log_objectives, known, self._problem.budgets)
        if history.pending:
            pending = np.array(history.pending)
            inputs = Inputs(self._encoder.features(pending), self._costs.exact(pending))
            fronts = fronts.with_fantasies(inputs.log_objectives, model.predict(inputs)[0])
            model = model.fantasize(inputs)
        return _State(history, model, fronts, features, log_objectives)

    def _best(self, state: _State, rows: Array) -> int:
        """Index of the best row by exact objectives and acquisition per evaluation cost."""
        features, log_objectives = self._encoder.features(rows), self._costs.exact(rows)
        prices = np.log([self._costs.evaluation_cost(row) for row in rows])
        order, _ = state.order(features, log_objectives, prices)
        return int(order[0])

    def _shortlist(self, state: _State, rng: np.random.Generator) -> Array:
        """Rows to compute exact objectives for, chosen by the surrogate of the objectives.

        After half of them the surrogate is refitted to the exact objectives so far.
        """
        surrogate = self._surrogate(state, np.zeros((0, len(self._encoder.encoders))))
        pool, features = self._pool(state, surrogate, rng)
        picked, keys = list[int](), set(state.history.tried)
        within = np.arange(len(pool))
        for until in (self._costed // 2, self._costed):
            order, _ = state.order(features[within], surrogate(features[within]))
            within = within[order]
            for place in self._new(pool, within, keys):
                if len(picked) == until:
                    break
                picked.append(place)
                keys.add(self._costs.key(pool[place]))
            if len(picked) < until:
                break
            surrogate = self._surrogate(state, pool[picked])
            within = within[:_RECONSIDERED]
        return pool[picked]

    def _new(self, pool: Array, order: NDArray[np.intp], keys: set[Hashable]) -> Iterator[int]:
        for place in order:
            if self._costs.key(pool[place]) not in keys:
                yield int(place)

    def _surrogate(self, state: _State, more: Array) -> ObjectiveSurrogate:
        """The surrogate fitted to the calibration samples, the observed points and more rows."""
        rows = np.concatenate([self._calibration, more])
        return ObjectiveSurrogate(
            np.concatenate([self._encoder.features(rows), state.features]),
            np.concatenate([self._costs.exact(rows), state.log_objectives]),
        )

    def _pool(
        self, state: _State, surrogate: ObjectiveSurrogate, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Untried rows and their features: all of a small space, else rounds of candidates."""
        encoder, tried = self._encoder, state.history.rows
        if encoder.all_points is not None:
            pool = exclude_known(encoder.all_points, tried)
            return pool, encoder.features(pool)
        sizes = [self._candidates // 2] + [self._candidates // (2 * (_ROUNDS - 1))] * (_ROUNDS - 1)
        latest = pool = exclude_known(
            spread_candidates(encoder, self._parents(state), sizes[0], rng), tried
        )
        for size in sizes[1:]:
            if not len(latest):
                break
            features = encoder.features(latest)
            order, _ = state.order(features, surrogate(features))
            best = latest[order[:_ELITE]]
            more = neighbours(encoder, best, size, rng, size // 4)
            latest = exclude_known(np.concatenate([best, more]), tried)
            pool = np.concatenate([pool, more])
        pool = exclude_known(pool, tried)
        return pool, encoder.features(pool)

    def _parents(self, state: _State) -> Array:
        """Parents of candidates: each budget's front, and the points nearest to feasibility."""
        drops, rows = state.history.drops, state.history.evaluated_rows
        near = np.argsort(np.abs(drops - max(self._problem.budgets)), kind="stable")
        chosen = set(near[:_NEAR_FEASIBLE].tolist())
        for budget in self._problem.budgets:
            within = np.flatnonzero((drops <= budget) & ~state.history.is_censored)
            log_objectives = state.log_objectives[within]
            beats = (log_objectives[:, None, :] <= log_objectives[None, :, :]).all(axis=2) & (
                log_objectives[:, None, :] < log_objectives[None, :, :]
            ).any(axis=2)
            chosen.update(within[~beats.any(axis=0)].tolist())
        return rows[sorted(chosen)]
