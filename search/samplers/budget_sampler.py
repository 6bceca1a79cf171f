"""BudgetSampler: multi-objective Bayesian optimization with known objectives and an expensive
constraint."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from threadpoolctl import ThreadpoolController

from .acquisition_optimizer import AcquisitionOptimizer
from .drop_model import CannotFit
from .encoding import SearchSpaceEncoder
from .history import History, read_history
from .objective_cache import ObjectiveCache
from .parameter_encoding import Array, ParameterEncoder
from .problem import SAMPLERS, Sampler, SamplingProblem

_LOGGER = optuna.logging.get_logger("paredown")
_TRIES = 4000
"""Uniform samples after which a space that is too large to list counts as exhausted."""


class BudgetSampler(BaseSampler):
    """Constrained multi-objective Bayesian optimization with known objectives.

    An Optuna sampler for studies that minimize objectives which are known functions of the
    parameters, under a constraint that is expensive to evaluate. It models the drop with a Gaussian
    process and proposes the point x that maximizes

        improvement(x, budget) * P(drop(x) <= budget) / evaluation_cost(x)

    over all budgets, where improvement is the hypervolume that x would add to the Pareto front of
    the budget, in logarithms of the objectives relative to a reference point. For a budget whose
    front has no volume yet, P(drop(x) <= budget) alone is maximized.

    As with every sampler, Optuna calls `infer_relative_search_space` and then `sample_relative`
    once per trial, in `study.ask`, and `sample_independent` for each parameter that the search
    space does not have, in `trial.suggest_*`. `sample_relative` reads all trials of the study; the
    sampler needs no `after_trial`.

    Example:

        >>> import optuna
        >>> from paredown.search.samplers import BudgetSampler, Observation, SamplingProblem
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> space = {
        ...     "width": optuna.distributions.FloatDistribution(0.1, 1.0),
        ...     "depth": optuna.distributions.IntDistribution(1, 8),
        ... }
        >>> def objectives(params):  # known: size and time
        ...     return params["width"] ** 2 * params["depth"], params["width"] * params["depth"]
        >>> def drop(params):  # costly: an evaluation
        ...     return 4 * (1 - params["width"]) ** 2 + 8 / params["depth"] - 1
        >>> def observe(trial):
        ...     value = trial.user_attrs.get("drop")
        ...     return None if value is None else Observation(value)
        >>> problem = SamplingProblem(
        ...     space, objectives, observe, budgets=[1.0], reference_point=[8.0, 8.0]
        ... )
        >>> sampler = BudgetSampler(problem, seed=0)
        >>> study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
        >>> for _ in range(20):
        ...     trial = study.ask(space)
        ...     trial.set_user_attr("drop", drop(trial.params))
        ...     _ = study.tell(trial, objectives(trial.params))
        >>> feasible = [t for t in study.trials if t.user_attrs["drop"] <= 1.0]
        >>> min(t.values[0] for t in feasible) < 3.0
        True

    Sources: probability of feasibility as a factor, Schonlau, Welch and Jones, "Global versus
    local search in constrained optimization of computer models" (1998), and Gardner et al.,
    "Bayesian Optimization with Inequality Constraints" (2014). Hypervolume improvement: Emmerich,
    Giannakoglou and Naujoks (2006); Daulton, Balandat and Bakshy (2020). Pending trials are imputed
    with the posterior mean (kriging believer): Ginsbourger, Le Riche and Carraro (2010). Censored
    drops: Hutter, Hoos and Leyton-Brown, "Bayesian Optimization With Censored Response Data"
    (2013). Improvement per evaluation cost: Snoek, Larochelle and Adams, "Practical Bayesian
    Optimization of Machine Learning Algorithms" (2012).

    Proposals are a function of the seed, the trial number and the study's history, so a study can
    be resumed in another process. No point is proposed twice while untried points are left.

    Attributes:
        last_fallback: why the last proposal was a uniform sample instead of the model's, or a
            repetition; None if the model was used or not yet due.
    """

    def __init__(
        self,
        problem: SamplingProblem,
        seed: int | None = None,
        *,
        candidates: int = 2000,
        costed: int = 48,
        n_startup: int = 6,
    ) -> None:
        """Create a sampler.

        Args:
            problem: the study's sampling problem.
            seed: random seed; drawn at random if None.
            candidates: number of candidates per proposal.
            costed: number of candidates whose objectives are computed exactly; those of the others
                are estimated. Raise it where objectives are cheap.
            n_startup: number of observed drops before the model is used.
        """
        drawn = int(np.random.SeedSequence().generate_state(1)[0])
        self._seed = drawn if seed is None else seed % 2**63
        self._problem, self._n_startup = problem, max(n_startup, 2)
        self._encoder = SearchSpaceEncoder(problem.space)
        self._costs = ObjectiveCache(problem, self._encoder)
        self._optimizer = AcquisitionOptimizer(
            problem,
            self._encoder,
            self._costs,
            self._rng(0, "guess"),
            candidates=candidates,
            costed=costed,
        )
        self._warned = set[str]()
        # The matrices are small: BLAS threads would cost more than they save, and would compete
        # with training.
        self._pools = ThreadpoolController()
        self.last_fallback: str | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The search space of the problem, independent of the study's trials."""
        return dict(self._problem.space)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Propose a point; an enqueued trial needs no proposal."""
        if search_space.keys() <= trial.system_attrs.get("fixed_params", {}).keys():
            return {}  # enqueued: all parameters are fixed
        with self._pools.limit(limits=1):
            return self._encoder.decode(self._proposal(study, trial))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample a parameter uniformly that the problem's search space does not have."""
        encoder = ParameterEncoder.of(param_distribution)
        return encoder.decode(float(encoder.sample(self._rng(trial.number, param_name), 1)[0]))

    def _proposal(self, study: optuna.Study, trial: FrozenTrial) -> Array:
        self.last_fallback = None
        history = read_history(study, trial.number, self._problem, self._encoder, self._costs)
        rng = self._rng(trial.number, "propose")
        row = self._modelled(history, rng) if self._is_past_startup(history) else None
        return self._plain(history, rng) if row is None else row

    def _rng(self, number: int, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, number, zlib.crc32(purpose.encode())])

    def _is_past_startup(self, history: History) -> bool:
        return len(history.evaluated) >= self._n_startup

    def _modelled(self, history: History, rng: np.random.Generator) -> Array | None:
        """The model's proposal; None without a model or an untried point."""
        try:
            return self._optimizer.choose(history, rng)
        except CannotFit as error:
            self._fall_back(str(error))
        except np.linalg.LinAlgError:
            self._fall_back("the kernel matrix of the observed points is singular")
        return None

    def _plain(self, history: History, rng: np.random.Generator) -> Array:
        """A uniform sample, untried if one is left."""
        for row in self._uniform(rng):
            if self._costs.key(row) not in history.tried:
                return row
        self._fall_back("no untried point was found")
        return np.asarray(self._encoder.sample(rng, 1)[0])

    def _uniform(self, rng: np.random.Generator) -> Iterator[Array]:
        everything = self._encoder.all_points
        if everything is not None:
            yield from rng.permutation(everything)
        else:
            for _ in range(_TRIES):
                yield self._encoder.sample(rng, 1)[0]

    def _fall_back(self, reason: str) -> None:
        self.last_fallback = reason
        if reason not in self._warned:
            self._warned.add(reason)
            _LOGGER.warning("BudgetSampler falls back to uniform sampling: %s", reason)


SAMPLERS.register(
    Sampler(
        "budget",
        "Bayesian optimization: hypervolume improvement x probability of meeting the budget",
        lambda seed, problem: BudgetSampler(problem, seed),
    )
)
