"""Runs a study from its configuration to its results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import optuna
import sqlalchemy.exc
from optuna.storages import get_storage

from ...errors import (
    StorageError,
)
from ...objectives.evaluation.task import Task
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.cache import Cache
from ...spaces.space import Space
from ..isolation.backend import (
    TaskSummary,
    TimeLimitReached,
)
from ..isolation.starting import opened_backend
from ..study.config import StudyConfig
from ..study.profiler import OTHER, STORAGE, Profiler
from ..study.storage import (
    Baseline,
    continue_or_create,
    has_baseline,
    open_storage,
    read_baseline,
    shown_url,
    storage_reason,
)
from ..study.timings import add_timings
from .callbacks import Callback
from .search_loop import SearchLoop, too_short
from .time_limit import TimeLimit

Describe = Callable[[optuna.Study, StudyConfig, TaskSummary, Baseline], None]


@dataclass(frozen=True)
class Finished:
    """The outcome of one run of a search.

    Attributes:
        study: the Optuna study.
        interrupted: whether the user interrupted the run.
        seconds: part -> seconds spent in this run.
        summary: summary of the task and search space.
        spec: specification from which the task is loaded.
        out_of_time: whether the time limit ended the run.
    """

    study: optuna.Study
    interrupted: bool
    seconds: Mapping[str, float]
    summary: TaskSummary
    spec: TaskSpec
    out_of_time: bool = False


def prepare(config: StudyConfig) -> tuple[Task, Space]:
    """Load the task and search space of a study; nothing is trained or written.

    Raises:
        InputError: the model, data or weights cannot be used, or an extra is missing.
        UnknownName: a pattern of `keep` matches no layer.
        PlanError: a start plan is not in the search space.
    """
    task, space = config.task_spec.load()
    return task, space.look_ahead()


def search(
    config: StudyConfig,
    url: str,
    cache: Cache,
    callback: Callback,
    *,
    began: float | None = None,
    retry_failed: bool = False,
    describe: Describe | None = None,
) -> Finished:
    """Run or resume a study, until its trials are done or its time limit is reached.

    Args:
        config: the study's configuration.
        url: URL of its storage.
        cache: cache of trained networks.
        callback: notified of the search's progress.
        began: start of the time limit, by `time.monotonic`; by default now.
        retry_failed: retry plans whose trials failed in earlier runs.
        describe: called after the search, to write a description into the study.

    Raises:
        InputError: model, data, weights or storage cannot be used; nothing was written.
        TrainingDiverged: the baseline's training diverged.
        EvaluatorDied: the process died while loading the task or training the baseline.
        OutOfTime: the time limit was reached before the baseline was trained.
    """
    profiler = Profiler()
    limit = TimeLimit(config.timeout, began)
    try:
        with profiler.on(OTHER):
            finished = _search(config, url, cache, callback, profiler, limit, retry_failed)
            if describe is not None and has_baseline(finished.study):
                baseline = read_baseline(finished.study)
                describe(finished.study, config, finished.summary, baseline)
        add_timings(finished.study, profiler.seconds, finished.summary.hardware)
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        reason = storage_reason(error)
        raise StorageError(f"the storage {shown_url(url)} cannot be used: {reason}") from None
    return replace(finished, seconds=profiler.seconds)


def _search(
    config: StudyConfig,
    url: str,
    cache: Cache,
    callback: Callback,
    profiler: Profiler,
    limit: TimeLimit,
    retry_failed: bool,
) -> Finished:
    """Run the search; the result has no timings yet."""
    spec, interrupted = config.task_spec, False
    opened = opened_backend(
        spec, cache, callback, threads=config.threads, stall=config.stall, deadline=limit.end
    )
    try:
        with opened as (backend, summary):
            with profiler.on(STORAGE):
                storage = get_storage(open_storage(url))
                study = continue_or_create(storage, url, config.name, summary.identity)
            callback.prepared(config, url, summary)
            out_of_time = False
            try:
                loop = SearchLoop(
                    config,
                    url,
                    study,
                    backend,
                    summary,
                    callback=callback,
                    profiler=profiler,
                    limit=limit,
                    retry_failed=retry_failed,
                )
                interrupted = loop.until_done()
                in_time = interrupted or loop.evaluate_finally()
                out_of_time = loop.out_of_time or not in_time
            except KeyboardInterrupt:
                interrupted = True
            finally:
                callback.finished()
    except TimeLimitReached:  # while loading the task; the loop handles its own
        raise too_short(config, "the images were loaded") from None
    return Finished(study, interrupted, {}, summary, spec, out_of_time)
