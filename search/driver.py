"""Runs a study: asks Optuna for plans, evaluates those worth it, and tells Optuna the rest."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import optuna
import sqlalchemy.exc
from optuna.storages import get_storage
from optuna.trial import TrialState

from ..errors import InputError, PredictionMismatch, StorageError, TrainingDiverged
from ..objectives.cache import Cache
from ..objectives.cost import Cost
from ..objectives.device import threads
from ..objectives.evaluator import Evaluator
from ..objectives.removal import removal
from ..objectives.rungs import Hopeless
from ..objectives.scoring import accuracy_step
from ..objectives.task import Task
from ..spaces.grouping import trace_with_groups
from ..spaces.keeping import keep
from ..spaces.plan import Plan
from ..spaces.space import Space
from ..spaces.tracing import check_classes, example_images
from . import notes, record
from .asked import write_asked
from .config import StudyConfig
from .data_splits import write_data_splits
from .designs import DESIGNS, first_designs
from .earlier import settled_before, trained_before
from .profile import ASSEMBLING, OTHER, SAMPLING, SCORING, STORAGE, TRAINING, Profile
from .proving import Prover
from .question import Prices, question_of
from .record import Attributes, How, Record, count_trained
from .samplers import make_sampler
from .spent import add_spent
from .stopping import Stopping
from .storage import (
    BUDGETS,
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
from .winners import beaten_by

_MOST_FREE_IN_A_ROW = 200
"""Proposals without training after which a search counts as finished: the space is used up."""


@dataclass(frozen=True)
class Finished:
    """A search that has ended.

    Attributes:
        study: the Optuna study.
        interrupted: whether the user stopped it.
        seconds: part -> how long it took in this run.
        evaluator: of its task and space, with its cache.
    """

    study: optuna.Study
    interrupted: bool
    seconds: Mapping[str, float]
    evaluator: Evaluator


def prepare(config: StudyConfig) -> tuple[Task, Space]:
    """The task and space of a study; nothing is trained or written.

    Raises:
        InputError: the model, data or weights cannot be used, or an extra is missing.
        UnknownName: a layer to keep that there is not.
        PlanError: a plan to start with is not in the space.
    """
    request, weights = config.data.request(), config.weights
    what = (config.trained, config.metric, config.objectives)
    task = Task.load(config.model, request, config.recipes, config.seed, weights, *what)
    network, images = task.build(), example_images(task.splits.channels, task.splits.size)
    blueprint = keep(trace_with_groups(network, images), config.keep)
    check_classes(network, images, task.splits.classes)
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
    profile = Profile()
    try:
        with profile.on(OTHER), threads(config.threads):
            study, interrupted, evaluator = _search(config, url, cache, watcher, profile)
        add_spent(study, profile.seconds)
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        reason = storage_reason(error)
        raise StorageError(f"the storage {shown_url(url)} cannot be used: {reason}") from None
    return Finished(study, interrupted, profile.seconds, evaluator)


def _search(
    config: StudyConfig, url: str, cache: Cache, watcher: Watcher, profile: Profile
) -> tuple[optuna.Study, bool, Evaluator]:
    """The study, whether the user interrupted, and what evaluated its plans."""
    task, space = prepare(config)
    what = identity(task, space)
    evaluator = Evaluator(task, space, cache, watcher)
    with profile.on(STORAGE):
        storage = profile.timed(get_storage(open_storage(url)), STORAGE)
    study = continue_or_create(storage, url, config.name, what)
    watcher.prepared(config, url, evaluator)
    try:
        run = _Run(config, url, study, evaluator, watcher, profile)
        interrupted = run.until_done()
        if not interrupted:
            run.prove()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watcher.finished()
    return study, interrupted, evaluator


class _Run:
    """One run of a study, from the baseline to the last trial."""

    def __init__(
        self,
        config: StudyConfig,
        url: str,
        study: optuna.Study,
        evaluator: Evaluator,
        watcher: Watcher,
        profile: Profile,
    ) -> None:
        self.config, self.url, self.study = config, url, study
        self.evaluator, self.watcher, self.profile = evaluator, watcher, profile
        self.space, self.budgets = evaluator.space, config.max_drop
        self.deadline = time.monotonic() + (config.timeout or float("inf"))
        self.reader = record.Reader(study)
        self.baseline = self._baseline()
        self.prices = Prices(evaluator.task.recipes)
        self.stopping = Stopping(self.budgets, evaluator.task.recipes)
        evaluator.judge = self.stopping
        self.question = question_of(
            self.space,
            evaluator.foretold_cost,
            self.budgets,
            self.prices,
            step=accuracy_step(evaluator.task.splits.search, evaluator.task.metric),
            trials=len(self.records),
        )
        sampler = make_sampler(config.sampler, config.seed, self.question)
        study.sampler = profile.timed(sampler, SAMPLING)
        self.planned = deque([*config.start_plans, *self._designs()])
        # What an earlier run left undone comes first.
        self.for_free = deque(plan for one in self.records for plan in self._at_other_bits(one))

    def until_done(self) -> bool:
        """Evaluate plans until there are enough. Returns whether the user interrupted."""
        free = 0
        while time.monotonic() < self.deadline:
            plan = self._next_of(self.for_free)
            if plan is not None:
                ended = self._free_trial(plan)
            elif count_trained(self.records) >= self.config.trials:
                break
            elif (trained := self._one_trial(self._next_of(self.planned))) is not None:
                ended = trained
            else:
                return True
            self.for_free.extend(self._at_other_bits(ended))
            free = 0 if ended.took_training else free + 1
            if free >= min(_MOST_FREE_IN_A_ROW, self.space.size):
                break
        return False

    def prove(self) -> None:
        """Train finalists again, and score each winner on the test split, once and for all."""
        config, watcher = self.config, self.watcher
        Prover(self.study, self.evaluator, config, watcher, self.profile).prove(
            self.records, self.baseline
        )

    def _baseline(self) -> Baseline:
        """The baseline, trained if it must be, and the study told what it is about."""
        cost = self.evaluator.foretold_cost(Plan())
        with self.profile.on(TRAINING):
            _ = self.evaluator.baseline  # which trains it
        with self.profile.on(SCORING):
            accuracy = self.evaluator.baseline_score.accuracy
        baseline = Baseline(accuracy, cost, self.evaluator.baseline_digest)
        write_baseline(self.study, self.url, baseline)
        self.study.set_user_attr(BUDGETS, [budget.max_drop for budget in self.budgets])
        write_asked(self.study, self.config)
        write_data_splits(self.study, self.evaluator.task, self.evaluator.baseline_score)
        notes.describe_study(self.study, self.config, self.evaluator, baseline)
        self.records = self.reader.records()
        self.watcher.baseline_ready(baseline, self.records)
        return baseline

    def _designs(self) -> list[Plan]:
        """The plans to begin with, unless the search is past its beginning."""
        if count_trained(self.records) >= min(DESIGNS, self.config.trials):
            return []
        with self.profile.on(ASSEMBLING):
            evaluator = self.evaluator
            return first_designs(self.space, evaluator.foretold_cost, evaluator.missed)

    def _next_of(self, queue: deque[Plan]) -> Plan | None:
        """The next plan of a queue that is neither known nor, if it is for free, beaten."""
        if not queue:
            return None
        known = {record.plan for record in self.records}
        while queue:
            plan = queue.popleft()
            beaten = queue is self.for_free and self._beaten(self.evaluator.foretold_cost(plan))
            if plan not in known and not beaten:
                return plan
        return None

    def _at_other_bits(self, ended: Record) -> list[Plan]:
        """What the network of a trial gives for the price of a calibration, the cheapest first."""
        if ended.plan is None or ended.how is not How.EVALUATED:
            return []
        plans = self.space.at_other_bits(ended.plan)
        return sorted(plans, key=lambda plan: self.evaluator.foretold_cost(plan).objectives)

    def _beaten(self, cost: Cost) -> Record | None:
        return beaten_by(self.records, cost, self.budgets[0])

    def _free_trial(self, plan: Plan) -> Record:
        """Score at other bits a network that is there.

        The trial is kept when it is over, and at once: nobody has to see it run, and one write
        takes a fraction of the time that the many of a running trial take.
        """
        cost, removed = self.evaluator.foretold_cost(plan), removal(self.space.blueprint, plan)
        began = datetime.now()
        gave = self._attempt(lambda: self._evaluate(plan))
        trial = record.ended_trial(
            record.proposed(plan, cost, removed) | gave | {record.WORKER: worker_mark()},
            self.space.params(plan),
            {one.name: one.options for one in self.space.dimensions},
            self.question.excess,
        )
        trial.datetime_start = began
        self.study.add_trial(trial)
        self._read()
        ended = next(one for one in reversed(self.records) if one.plan == plan)
        self.watcher.trial_ended(ended, self.records)
        return ended

    def _one_trial(self, plan: Plan | None) -> Record | None:
        """See a plan through, or one that the sampler chooses; None if the user interrupted."""
        if plan is not None:
            self.study.enqueue_trial(self.space.params(plan))
        trial = self.study.ask()
        trial.set_user_attr(record.WORKER, worker_mark())
        try:
            gave = self._attempt(lambda: self._settle(trial))
            record.write(trial, gave)
        except KeyboardInterrupt:
            stop_trial(self.study, trial, "interrupted")
            return None
        except InputError as error:
            stop_trial(self.study, trial, f"stopped: {error}")
            raise
        state = record.state_of(gave)
        failed = state == TrialState.FAIL
        values = None if failed else record.values_of(trial.user_attrs)
        self.study.tell(trial, values, state=state)
        self._read()
        ended = next(one for one in reversed(self.records) if one.number == trial.number)
        self.watcher.trial_ended(ended, self.records)
        return ended

    def _read(self) -> None:
        """Read the study's trials, and let what depends on them learn."""
        self.records = self.reader.records()
        self.prices.learn(self.records)
        self.stopping.learn(self.records)

    def _attempt(self, settle: Callable[[], Attributes]) -> Attributes:
        """What settling a trial gives, or why it fails."""
        try:
            return settle()
        except (TrainingDiverged, PredictionMismatch) as error:
            return record.failed(str(error))
        except RuntimeError as error:  # one plan too large for the memory is no end of a search
            return record.failed(f"{type(error).__name__}: {error}")

    def _settle(self, trial: optuna.Trial) -> Attributes:
        """Train the trial's plan, unless something known already settles it."""
        plan = self.space.suggest(trial)
        cost, removed = self.evaluator.foretold_cost(plan), removal(self.space.blueprint, plan)
        record.write(trial, record.proposed(plan, cost, removed))
        if earlier := settled_before(self.records, plan):
            return record.repeated(earlier)
        if beater := self._beaten(cost):
            return record.beaten(beater)
        return self._evaluate(plan, trial.number)

    def _evaluate(self, plan: Plan, number: int | None = None) -> Attributes:
        self.watcher.trial_begins(number, plan)
        try:
            outcome = self.profile.evaluation(self.evaluator.evaluate, plan)
        except Hopeless as stopped:
            return record.hopeless(stopped, self.stopping.at_least(plan, stopped.rung))
        earlier = trained_before(self.records, plan)
        return record.shared(outcome, earlier) if earlier else record.evaluated(outcome)
