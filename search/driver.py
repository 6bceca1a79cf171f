"""Runs a study: asks Optuna for plans, evaluates those worth it, and tells Optuna the rest."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import sqlalchemy.exc
from optuna.trial import FrozenTrial, TrialState

from ..errors import InputError, PredictionMismatch, StorageError, TrainingDiverged
from ..objectives.cache import Cache
from ..objectives.device import threads
from ..objectives.evaluator import Evaluator
from ..objectives.removal import removal
from ..objectives.task import Task
from ..spaces.grouping import trace_with_groups
from ..spaces.keeping import keep
from ..spaces.kind import Phase
from ..spaces.plan import Plan
from ..spaces.space import Space
from ..spaces.tracing import example_images
from . import notes, record
from .config import StudyConfig
from .record import How, Record, count_trained, read_records
from .samplers import make_sampler
from .storage import (
    BUDGETS,
    TESTED,
    Baseline,
    continue_or_create,
    identity,
    open_storage,
    shown_url,
    stop_trial,
    storage_reason,
    worker_mark,
    write_baseline,
)
from .watcher import Watcher
from .winners import beaten_by, verdicts

_MOST_FREE_IN_A_ROW = 200
"""Proposals without training after which a search counts as finished: the space is used up."""


@dataclass(frozen=True)
class Finished:
    """A search that has ended.

    Attributes:
        study: the Optuna study.
        interrupted: whether the user stopped it.
    """

    study: optuna.Study
    interrupted: bool


def prepare(config: StudyConfig) -> tuple[Task, Space]:
    """The task and space of a study; nothing is trained or written.

    Raises:
        InputError: the model, data or weights cannot be used, or an extra is missing.
        UnknownName: a layer to keep that there is not.
        PlanError: a plan to start with is not in the space.
    """
    task = Task.load(
        config.model, config.data.request(), config.recipes, config.seed, config.weights
    )
    images = example_images(task.splits.channels, task.splits.size)
    blueprint = keep(trace_with_groups(task.build(), images), config.keep)
    space = Space.of(blueprint, config.space, config.per)
    space.require()
    for plan in config.start_plans:
        space.check(plan)
    return task, space.look_ahead()


def search(config: StudyConfig, url: str, cache: Cache, watcher: Watcher) -> Finished:
    """Run a study, or go on with it, until it has its trials or its time is over.

    Raises:
        InputError: model, data, weights or storage cannot be used; nothing was written.
        TrainingDiverged: of the baseline.
    """
    try:
        with threads(config.threads):
            return _search(config, url, cache, watcher)
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        reason = storage_reason(error)
        raise StorageError(f"the storage {shown_url(url)} cannot be used: {reason}") from None


def _search(config: StudyConfig, url: str, cache: Cache, watcher: Watcher) -> Finished:
    task, space = prepare(config)
    what = identity(task, space)
    evaluator = Evaluator(task, space, cache, watcher)
    storage = open_storage(url)
    study = continue_or_create(storage, url, config.name, what)
    watcher.prepared(config, url, evaluator)
    try:
        run = _Run(config, url, study, evaluator, watcher)
        interrupted = run.until_done()
        if not interrupted:
            run.test_winners()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watcher.finished()
    return Finished(study, interrupted)


class _Run:
    """One run of a study, from the baseline to the last trial."""

    def __init__(
        self,
        config: StudyConfig,
        url: str,
        study: optuna.Study,
        evaluator: Evaluator,
        watcher: Watcher,
    ) -> None:
        self.config, self.url, self.study = config, url, study
        self.evaluator, self.watcher = evaluator, watcher
        self.space, self.budgets = evaluator.space, config.max_drop
        self.deadline = time.monotonic() + (config.timeout or float("inf"))
        self.baseline = self._baseline()
        done = len(study.get_trials(deepcopy=False))
        study.sampler = make_sampler(
            config.sampler, (config.seed + done) % 2**32, self._constraints
        )
        self.planned = deque([*config.start_plans, *self.space.designs()])
        self.for_free = deque[Plan]()

    def until_done(self) -> bool:
        """Evaluate plans until there are enough. Returns whether the user interrupted."""
        free = 0
        while time.monotonic() < self.deadline:
            plan = self._next_of(self.for_free)
            if plan is None and self._trained() >= self.config.trials:
                break
            ended = self._one_trial(plan or self._next_of(self.planned))
            if ended is None:
                return True
            if ended.how is How.EVALUATED:
                self.for_free.extend(self._at_other_bits(ended))
            free = 0 if ended.took_training else free + 1
            if free >= min(_MOST_FREE_IN_A_ROW, self.space.size):
                break
        return False

    def test_winners(self) -> None:
        """Score each winner on the test split, once and for all."""
        for found in verdicts(self._records(), self.baseline, self.budgets):
            tested = dict(self.study.user_attrs.get(TESTED, {}))
            winner = found.winner.plan if found.winner else None
            if winner is None or winner.key in tested:
                continue
            outcome = self.evaluator.test(winner)
            tested[winner.key] = {"accuracy": outcome.accuracy, "drop": outcome.drop}
            self.study.set_user_attr(TESTED, tested)

    def _baseline(self) -> Baseline:
        """The baseline, trained if it must be, and the study told what it is about."""
        cost = self.evaluator.foretold_cost(Plan())
        accuracy = self.evaluator.baseline_score.accuracy
        baseline = Baseline(accuracy, cost, self.evaluator.baseline_digest)
        write_baseline(self.study, self.url, baseline)
        self.study.set_user_attr(BUDGETS, [budget.max_drop for budget in self.budgets])
        notes.describe_study(self.study, self.config, self.evaluator, baseline)
        self.watcher.baseline_ready(baseline, self._records())
        return baseline

    def _next_of(self, queue: deque[Plan]) -> Plan | None:
        """The next plan of a queue that is neither known nor, if it is for free, beaten."""
        if not queue:
            return None
        records = self._records()
        known = {record.plan for record in records}
        while queue:
            plan = queue.popleft()
            beaten = queue is self.for_free and self._beaten(records, plan)
            if plan not in known and not beaten:
                return plan
        return None

    def _at_other_bits(self, ended: Record) -> list[Plan]:
        """What the network of a trial gives for the price of a calibration, the cheapest first."""
        if ended.plan is None:
            return []
        plans = self.space.at_other_bits(ended.plan)
        return sorted(plans, key=lambda plan: self.evaluator.foretold_cost(plan).objectives)

    def _beaten(self, records: Sequence[Record], plan: Plan) -> Record | None:
        return beaten_by(records, self.evaluator.foretold_cost(plan), self.budgets[0])

    def _one_trial(self, plan: Plan | None) -> Record | None:
        """See a plan through, or one that the sampler chooses; None if the user interrupted."""
        if plan is not None:
            self.study.enqueue_trial(self.space.params(plan))
        trial = self.study.ask()
        trial.set_user_attr(record.WORKER, worker_mark())
        try:
            state = self._settle(trial)
        except (TrainingDiverged, PredictionMismatch) as error:
            record.write_failure(trial, str(error))
            state = TrialState.FAIL
        except RuntimeError as error:  # one plan too large for the memory is no end of a search
            record.write_failure(trial, f"{type(error).__name__}: {error}")
            state = TrialState.FAIL
        except KeyboardInterrupt:
            stop_trial(self.study, trial, "interrupted")
            return None
        except InputError as error:
            stop_trial(self.study, trial, f"stopped: {error}")
            raise
        failed = state == TrialState.FAIL
        self.study.tell(trial, None if failed else self._values(trial), state=state)
        records = self._records()
        ended = next(r for r in reversed(records) if r.number == trial.number)
        self.watcher.trial_ended(ended, records)
        return ended

    def _settle(self, trial: optuna.Trial) -> TrialState:
        """Train the trial's plan, unless something known already settles it."""
        plan = self.space.suggest(trial)
        cost = self.evaluator.foretold_cost(plan)
        removed = removal(self.space.blueprint, plan)
        record.write_plan(trial, plan, cost, removed)
        records = self._records()
        if earlier := _settled_before(records, plan, trial.number):
            record.write_repeat(trial, earlier)
            return TrialState.COMPLETE if earlier.is_scored else TrialState.FAIL
        if beater := beaten_by(records, cost, self.budgets[0]):
            record.write_beaten(trial, beater)
        else:
            self.watcher.trial_begins(trial.number, plan)
            outcome = self.evaluator.evaluate(plan)
            if shared := _trained_before(records, plan, trial.number):
                record.write_shared(trial, outcome, shared)
            else:
                record.write_outcome(trial, outcome)
        notes.describe_trial(trial, plan, removed)
        return TrialState.COMPLETE

    def _values(self, trial: optuna.Trial) -> tuple[float, float]:
        attrs = trial.user_attrs
        return attrs["params_effective"], attrs["flops_effective"]

    def _constraints(self, trial: FrozenTrial) -> Sequence[float]:
        """How far a trial is outside the largest budget, in percentage points.

        A plan that was not trained because a feasible one costs less counts as just feasible: it
        can be on no front, and nothing speaks for its breaking the budget.
        """
        drop = record.drop_of(trial)
        return (0.0 if drop is None else drop - self.budgets[-1].max_drop,)

    def _trained(self) -> int:
        return count_trained(self._records())

    def _records(self) -> list[Record]:
        return read_records(self.study.get_trials(deepcopy=False))


def _trained_before(records: Sequence[Record], plan: Plan, number: int) -> Record | None:
    """An earlier trial that trained the network which this plan only rounds."""
    if plan.trains_at_last:
        return None
    part = plan.through(Phase.PRUNE)
    return next(
        (
            record
            for record in records
            if record.how is How.EVALUATED
            and record.number != number
            and record.plan is not None
            and record.plan.through(Phase.PRUNE) == part
        ),
        None,
    )


def _settled_before(records: Sequence[Record], plan: Plan, number: int) -> Record | None:
    """Another trial that evaluated this plan, or failed at it."""
    same = [record for record in records if record.plan == plan and record.number != number]
    settled = [record for record in same if record.is_scored or record.how is How.FAILED]
    return min(settled, key=lambda record: not record.is_scored, default=None)
