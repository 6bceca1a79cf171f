"""Reopening a study by its name: its task and search space are rebuilt and verified."""

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
    """Rebuild a study's configuration, task and search space; inside, torch uses its threads.

    Args:
        study: the study.
        url: URL of its storage, for messages.

    Raises:
        InputError: model, data or weights cannot be used, or differ from the study's.
    """
    config = read_saved_config(study)
    with threads(config.threads):
        task, space = prepare(config)
        check_same(study, url, identity(task, space))
        yield config, task, space


def check_baseline(study: optuna.Study, evaluator: Evaluator) -> None:
    """Validate that an evaluator's baseline is the study's.

    Raises:
        StorageError: the baselines differ.
    """
    check_digest(study, evaluator.baseline_digest)


def check_digest(study: optuna.Study, digest: str) -> None:
    """Validate that the digest of a baseline's weights is the study's.

    Raises:
        StorageError: the digests differ.
    """
    if digest != read_baseline(study).digest:
        raise StorageError(
            "the baseline's weights differ from the study's: versions, hardware or the cache have "
            "changed, so retrained plans would not be comparable; search under another --name"
        )
