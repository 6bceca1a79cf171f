"""The search loop: ask Optuna for plans, evaluate those that are worth it, tell the results."""

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime

import optuna

from ...errors import (
    OutOfTime,
    PredictionMismatch,
    TrainingDiverged,
)
from ...objectives.cost.cost import Cost
from ...objectives.cost.pruned_share import pruned_share
from ...objectives.evaluation.checkpoints import EarlyStopped
from ...spaces.plan import Plan
from ..isolation.backend import EvaluationBackend, EvaluationFailed, TaskSummary, TimeLimitReached
from ..results.pareto import budget_results, dominated_by
from ..samplers import make_sampler
from ..study import trial_record
from ..study.attributes import BUDGETS, FREE, WORKER
from ..study.config import StudyConfig
from ..study.dead_trials import stop_trial, worker_mark
from ..study.parsing import duration_text
from ..study.profiler import ASSEMBLING, SAMPLING, SCORING, STORAGE, TRAINING, Profiler
from ..study.retries import is_retry, queue_failed_plans, waiting_retries
from ..study.saved_config import save_config
from ..study.splits_record import write_data_splits
from ..study.storage import (
    Baseline,
    name_objectives,
    write_baseline,
)
from ..study.tell_trial import ended_trial, tell
from ..study.trial_record import Attributes, TrialRecord, TrialStatus, count_trained
from .callbacks import Callback
from .early_stopping import BudgetEarlyStopper
from .final_evaluation import FinalEvaluation
from .initial_plans import DESIGNS, first_designs, untrained_designs
from .sampling_problem import TrainingCost, sampling_problem
from .seen_plans import settled_before, trained_before
from .time_limit import TimeLimit, final_evaluation_seconds

_MOST_FREE_IN_A_ROW = 200
"""Consecutive proposals without training after which the search space counts as exhausted."""


class SearchLoop:
    """One run of a study, from the baseline to the test scores."""

    def __init__(
        self,
        config: StudyConfig,
        url: str,
        study: optuna.Study,
        backend: EvaluationBackend,
        summary: TaskSummary,
        *,
        callback: Callback,
        profiler: Profiler,
        limit: TimeLimit,
        retry_failed: bool,
    ) -> None:
        self.config, self.url, self.study = config, url, study
        self.backend, self.summary, self.limit = backend, summary, limit
        self.callback, self.profiler = callback, profiler
        self.space, self.budgets = summary.space, config.max_drop
        self.out_of_time = False
        self.reader = trial_record.RecordReader(study)
        self.baseline = self._baseline()
        self.space.look_ahead()
        self.training_cost = TrainingCost(summary.recipes)
        self.early_stopper = BudgetEarlyStopper(self.budgets, summary.recipes)
        self.problem = sampling_problem(
            self.space,
            summary.predicted_cost,
            self.budgets,
            self.training_cost,
            step=summary.accuracy_step,
            trials=len(self.records),
        )
        study.sampler = make_sampler(config.sampler, config.seed, self.problem)
        self.retries = retry_failed
        if retry_failed:
            queue_failed_plans(study, self.records, self.space)
        self.planned = deque(config.start_plans)
        self.wants_designs = self._is_at_its_beginning()
        if self.wants_designs:
            self.planned.extend(untrained_designs(self.space))
        # Cheap variants of earlier trials that an earlier run did not score come first.
        self.free_plans = deque(
            plan for record in self.records for plan in self._at_other_bits(record)
        )
        self._learn()

    def until_done(self) -> bool:
        """Evaluate plans until the study has enough; return whether the user interrupted."""
        free = 0
        try:
            while True:
                plan = self._next_of(self.free_plans)
                if plan is None and self._has_enough():
                    return False
                if not self.limit.trials_may_go_on():
                    break
                self.backend.deadline = self.limit.end_before_reserve
                if plan is not None:
                    ended = self._free_trial(plan)
                elif (trained := self._one_trial(self._next_planned())) is not None:
                    ended = trained
                else:
                    return True
                self.free_plans.extend(self._at_other_bits(ended))
                free = 0 if ended.took_training else free + 1
                if free >= min(_MOST_FREE_IN_A_ROW, self.space.size):
                    return False
        except TimeLimitReached:
            pass
        self.out_of_time = True
        return False

    def evaluate_finally(self) -> bool:
        """Retrain finalists, and score each winner once on the test split.

        Returns:
            Whether the time limit left enough time for all of it.
        """
        arguments = (self.study, self.backend, self.summary, self.config)
        prover, in_time = FinalEvaluation(*arguments, self.callback, self.profiler), True
        self._reserve(retrains=False)  # for the test scores, which matter more
        for deadline, step in (
            (self.limit.end_before_reserve, prover.retrain),
            (self.limit.end, prover.test),
        ):
            self.backend.deadline = deadline
            try:
                step(self.records, self.baseline)
            except TimeLimitReached:
                in_time = False
        return in_time

    def _baseline(self) -> Baseline:
        """Train or load the baseline, and write it and the configuration into the study."""
        cost = self.summary.predicted_cost(Plan())
        with self.profiler.on(TRAINING):
            try:
                score = self.backend.baseline()
            except TimeLimitReached:
                raise too_short(self.config, "the baseline was trained") from None
            self.seconds_per_image = score.seconds.get("score", 0.0) / self.summary.splits.search
            self.profiler.move(SCORING, score.seconds.get("score", 0.0))
        baseline = Baseline(score.accuracy, cost, score.digest)
        write_baseline(self.study, self.url, baseline)
        self.study.set_user_attr(BUDGETS, [budget.max_drop for budget in self.budgets])
        save_config(self.study, self.config)
        write_data_splits(self.study, self.summary.splits, score.correct)
        name_objectives(self.study, self.config.objectives)
        self.records = self.reader.records()
        self.callback.baseline_ready(baseline, self.records)
        return baseline

    def _has_enough(self) -> bool:
        """Whether the requested number of plans is trained, and no retry is waiting."""
        waits = self.retries and waiting_retries(self.study)
        return count_trained(self.records) >= self.config.trials and not waits

    def _is_at_its_beginning(self) -> bool:
        return count_trained(self.records) < min(DESIGNS, self.config.trials)

    def _next_planned(self) -> Plan | None:
        """The next start plan or initial plan; None if the sampler is next."""
        plan = self._next_of(self.planned)
        if plan is None and self.wants_designs:
            self.wants_designs = False
            self.planned.extend(self._designs())
            plan = self._next_of(self.planned)
        return plan

    def _designs(self) -> list[Plan]:
        """The initial plans, for which the fitting errors of all options are computed."""
        with self.profiler.on(ASSEMBLING):
            return first_designs(self.space, self.summary.predicted_cost, self._fitting_error)

    def _fitting_error(self, plan: Plan) -> float:
        """The fitting error of a plan's parts; infinite if they cannot be fitted."""
        try:
            return self.backend.fitting_error(plan)
        except (EvaluationFailed, TrainingDiverged):
            return math.inf

    def _next_of(self, queue: deque[Plan]) -> Plan | None:
        """The next plan of a queue that is new and, if it needs no training, not dominated."""
        if not queue:
            return None
        known = {record.plan for record in self.records}
        while queue:
            plan = queue.popleft()
            beaten = queue is self.free_plans and self._dominator(self.summary.predicted_cost(plan))
            if plan not in known and not beaten:
                return plan
        return None

    def _at_other_bits(self, ended: TrialRecord) -> list[Plan]:
        """The trial's plan at other bit-widths, which only need a calibration; cheapest first."""
        if ended.plan is None or ended.status is not TrialStatus.EVALUATED:
            return []
        plans = self.space.at_other_bits(ended.plan)
        return sorted(plans, key=lambda plan: self.summary.predicted_cost(plan).objectives)

    def _dominator(self, cost: Cost) -> TrialRecord | None:
        return dominated_by(self.records, cost, self.budgets[0])

    def _free_trial(self, plan: Plan) -> TrialRecord:
        """Score a trained network at other bit-widths.

        The trial is written once, when it has ended: one write takes a fraction of the time of the
        many writes of a running trial.
        """
        cost, removed = self.summary.predicted_cost(plan), pruned_share(self.space.blueprint, plan)
        began = datetime.now()
        gave = self._attempt(lambda: self._evaluate(plan))
        marks = {WORKER: worker_mark(), FREE: True}
        trial = ended_trial(
            trial_record.proposed(plan, cost, removed) | gave | marks,
            self.space.params(plan),
            {dimension.name: dimension.options for dimension in self.space.dimensions},
            self.budgets[-1].max_drop,
        )
        trial.datetime_start = began
        with self.profiler.on(STORAGE):
            self.study.add_trial(trial)
        self._read()
        ended = next(record for record in reversed(self.records) if record.plan == plan)
        self.callback.trial_ended(ended, self.records)
        return ended

    def _one_trial(self, plan: Plan | None) -> TrialRecord | None:
        """Run one trial, of a plan or of the sampler's proposal; None if the user interrupted."""
        if plan is not None:
            self.study.enqueue_trial(self.space.params(plan))
        with self.profiler.on(SAMPLING):
            trial = self.study.ask()
        try:
            trial.set_user_attr(WORKER, worker_mark())
            gave = self._attempt(lambda: self._settle_trial(trial))
            with self.profiler.on(STORAGE):
                trial_record.write(trial, gave)
                tell(self.study, trial)
        except KeyboardInterrupt:
            stop_trial(self.study, trial, "interrupted")
            return None
        except TimeLimitReached:
            stop_trial(self.study, trial, "the time limit was reached")
            self._read()
            raise
        except BaseException as error:
            stop_trial(self.study, trial, f"stopped: {error}")
            raise
        self._read()
        ended = next(record for record in reversed(self.records) if record.number == trial.number)
        self.callback.trial_ended(ended, self.records)
        return ended

    def _read(self) -> None:
        """Read the study's trials, and update the models that depend on them."""
        with self.profiler.on(STORAGE):
            self.records = self.reader.records()
        self._learn()

    def _learn(self) -> None:
        self.training_cost.learn(self.records)
        self.early_stopper.learn(self.records)
        self._reserve(retrains=self.config.finalists > 0)

    def _reserve(self, *, retrains: bool) -> None:
        """Reserve time for the final evaluation of the current winners."""
        winners = [
            result.winner for result in budget_results(self.records, self.baseline, self.budgets)
        ]
        self.limit.reserve(
            final_evaluation_seconds(
                [record for record in winners if record is not None],
                self.records,
                self.seconds_per_image,
                self.summary.splits.test,
                retrains=retrains,
            )
        )

    def _attempt(self, settle: Callable[[], Attributes]) -> Attributes:
        """The attributes of a trial's result, or of its failure."""
        try:
            return settle()
        except (TrainingDiverged, PredictionMismatch) as error:
            return trial_record.failed(str(error))
        except EvaluationFailed as error:  # even a crash does not abort the search
            return trial_record.failed(str(error), error.details)

    def _settle_trial(self, trial: optuna.Trial) -> Attributes:
        """Evaluate the trial's plan, unless it is a repetition or dominated."""
        with self.profiler.on(STORAGE):
            plan = self.space.suggest(trial)
        cost, removed = self.summary.predicted_cost(plan), pruned_share(self.space.blueprint, plan)
        with self.profiler.on(STORAGE):
            trial_record.write(trial, trial_record.proposed(plan, cost, removed))
        earlier = settled_before(self.records, plan)
        if earlier and not (earlier.status is TrialStatus.FAILED and is_retry(trial.user_attrs)):
            return trial_record.repeated(earlier)
        if beater := self._dominator(cost):
            return trial_record.dominated(beater)
        return self._evaluate(plan, trial.number)

    def _evaluate(self, plan: Plan, number: int | None = None) -> Attributes:
        self.callback.trial_begins(number, plan)
        try:
            outcome = self.profiler.evaluation(
                lambda asked: self.backend.evaluate(asked, self.early_stopper), plan
            )
        except EarlyStopped as stopped:
            return trial_record.early_stopped(
                stopped, self.early_stopper.drop_lower_bound(plan, stopped.checkpoint)
            )
        earlier = trained_before(self.records, plan)
        return (
            trial_record.reused_weights(outcome, earlier)
            if earlier
            else trial_record.evaluated(outcome)
        )


def too_short(config: StudyConfig, before: str) -> OutOfTime:
    """The error for a time limit that was reached before the first result."""
    return OutOfTime(
        f"the time limit of {duration_text(config.timeout or 0)} was reached before {before}; "
        "raise it (--timeout)"
    )
