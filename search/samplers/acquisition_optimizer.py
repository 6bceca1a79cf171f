"""Chooses the point that promises most, by a model of the drop and known objectives."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .acquisition import Fronts, gains_something, ranking
from .candidates import around, spread, without
from .drop_model import Drops, Scale, Weights
from .encoding import Coding
from .gp import Inputs
from .history import History
from .objective_cache import Costs, Guess
from .parameter_encoding import Array
from .problem import Question

_ROUNDS = 3
"""Rounds of candidates, each around the best of the one before; the first takes half of them."""
_ELITE = 40
_RECONSIDERED = 500
_NEAR_FEASIBLE = 20
_CALIBRATION = 96
"""Even samples whose objectives are asked once, so that others can be guessed."""


@dataclass(frozen=True)
class _State:
    """What is known before a point is chosen."""

    history: History
    drops: Drops
    fronts: Fronts
    features: Array
    figures: Array

    def order(
        self, features: Array, figures: Array, log_prices: Array | float = 0.0
    ) -> tuple[NDArray[np.intp], Array]:
        """The order of points, the best first, and what they promise for their price."""
        log_within, deviation = self.drops.predict(Inputs(features, figures))
        promise = self.fronts.promise(figures, log_within)
        promise = np.where(gains_something(promise), promise - log_prices, promise)
        return ranking(promise, log_within, deviation), promise


class Chooser:
    """Chooses a study's next point; remembers objectives and the model's weights."""

    def __init__(
        self,
        question: Question,
        coding: Coding,
        costs: Costs,
        rng: np.random.Generator,
        candidates: int,
        costed: int,
    ) -> None:
        self._question, self._coding, self._costs = question, coding, costs
        self._candidates, self._costed = candidates, max(costed, 2)
        self._scale = Scale(question.budgets, question.step)
        self._weights = Weights()
        self._calibration = coding.sample(rng, _CALIBRATION)

    def choose(self, history: History, rng: np.random.Generator) -> Array | None:
        """The point that promises most among those not tried yet; None if none was found.

        Raises:
            CannotFit: too little is known for a model.
            numpy.linalg.LinAlgError: the observed points cannot be told apart.
        """
        state = self._state(history)
        rows = self._shortlist(state, rng)
        if not len(rows):
            return None
        return np.asarray(rows[self._best(state, rows)])

    def _state(self, history: History) -> _State:
        rows = history.seen_rows
        features, figures = self._coding.features(rows), self._costs.exact(rows)
        drops = Drops(
            Inputs(features, figures),
            history.drops,
            history.is_bound,
            self._scale,
            self._weights,
        )
        known = np.where(history.is_bound, np.inf, history.drops)
        fronts = Fronts.of(figures, known, self._question.budgets)
        if history.pending:
            pending = np.array(history.pending)
            inputs = Inputs(self._coding.features(pending), self._costs.exact(pending))
            fronts = fronts.with_believed(inputs.figures, drops.predict(inputs)[0])
            drops = drops.believe(inputs)
        return _State(history, drops, fronts, features, figures)

    def _best(self, state: _State, rows: Array) -> int:
        """Which of the costed rows to take, prices considered."""
        features, figures = self._coding.features(rows), self._costs.exact(rows)
        prices = np.log([self._costs.price(row) for row in rows])
        order, _ = state.order(features, figures, prices)
        return int(order[0])

    def _shortlist(self, state: _State, rng: np.random.Generator) -> Array:
        """The rows worth their exact objectives: chosen by a guess, halfway by a better one."""
        guess = self._guess(state, np.zeros((0, len(self._coding.axes))))
        pool, features = self._pool(state, guess, rng)
        picked, keys = list[int](), set(state.history.tried)
        within = np.arange(len(pool))
        for until in (self._costed // 2, self._costed):
            order, _ = state.order(features[within], guess(features[within]))
            within = within[order]
            for place in self._new(pool, within, keys):
                if len(picked) == until:
                    break
                picked.append(place)
                keys.add(self._costs.key(pool[place]))
            if len(picked) < until:
                break
            guess = self._guess(state, pool[picked])
            within = within[:_RECONSIDERED]
        return pool[picked]

    def _new(self, pool: Array, order: NDArray[np.intp], keys: set[Hashable]) -> Iterator[int]:
        for place in order:
            if self._costs.key(pool[place]) not in keys:
                yield int(place)

    def _guess(self, state: _State, more: Array) -> Guess:
        """Objectives guessed from calibration, from all that was observed and from more rows."""
        rows = np.concatenate([self._calibration, more])
        return Guess(
            np.concatenate([self._coding.features(rows), state.features]),
            np.concatenate([self._costs.exact(rows), state.figures]),
        )

    def _pool(self, state: _State, guess: Guess, rng: np.random.Generator) -> tuple[Array, Array]:
        """All rows of a small space, or rounds of candidates; with their features."""
        coding, tried = self._coding, state.history.rows
        if coding.everything is not None:
            pool = without(coding.everything, tried)
            return pool, coding.features(pool)
        sizes = [self._candidates // 2] + [self._candidates // (2 * (_ROUNDS - 1))] * (_ROUNDS - 1)
        latest = pool = without(spread(coding, self._parents(state), sizes[0], rng), tried)
        for size in sizes[1:]:
            if not len(latest):
                break
            features = coding.features(latest)
            order, _ = state.order(features, guess(features))
            best = latest[order[:_ELITE]]
            more = around(coding, best, size, rng, size // 4)
            latest = without(np.concatenate([best, more]), tried)
            pool = np.concatenate([pool, more])
        pool = without(pool, tried)
        return pool, coding.features(pool)

    def _parents(self, state: _State) -> Array:
        """The members of each budget's front, and what was observed nearest to being feasible."""
        drops, rows = state.history.drops, state.history.seen_rows
        near = np.argsort(np.abs(drops - max(self._question.budgets)), kind="stable")
        chosen = set(near[:_NEAR_FEASIBLE].tolist())
        for budget in self._question.budgets:
            within = np.flatnonzero((drops <= budget) & ~state.history.is_bound)
            figures = state.figures[within]
            beats = (figures[:, None, :] <= figures[None, :, :]).all(axis=2) & (
                figures[:, None, :] < figures[None, :, :]
            ).any(axis=2)
            chosen.update(within[~beats.any(axis=0)].tolist())
        return rows[sorted(chosen)]
