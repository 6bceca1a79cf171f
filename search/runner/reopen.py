"""A study's networks from its name alone: its task, space and baseline, made again or refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import optuna

from ...errors import StorageError
from ...objectives.evaluation.evaluator import Evaluator
from ...objectives.evaluation.task import Task
from ...objectives.training.device import threads
from ...spaces.space import Space
from ..study.config import StudyConfig
from ..study.identity import identity
from ..study.saved_config import read_saved_config
from ..study.storage import check_same, read_baseline
from .run_study import prepare


@contextmanager
def reopened(study: optuna.Study, url: str) -> Iterator[tuple[StudyConfig, Task, Space]]:
    """What a study was asked, its task and its space; inside, torch has the study's threads.

    Args:
        study: that was searched.
        url: its storage, for messages.

    Raises:
        InputError: model, data or weights cannot be used, or are not those of the study.
    """
    config = read_saved_config(study)
    with threads(config.threads):
        task, space = prepare(config)
        check_same(study, url, identity(task, space))
        yield config, task, space


def check_baseline(study: optuna.Study, evaluator: Evaluator) -> None:
    """See that the baseline is the one that a study measured from.

    Raises:
        StorageError: it is another.
    """
    check_digest(study, evaluator.baseline_digest)


def check_digest(study: optuna.Study, digest: str) -> None:
    """See that a digest over a baseline's weights is that of the study's.

    Raises:
        StorageError: it is another.
    """
    if digest != read_baseline(study).digest:
        raise StorageError(
            "the baseline is another than the study's: versions, hardware or the cache have "
            "changed, and its plans would not be those that were searched; search again under "
            "another --name"
        )
