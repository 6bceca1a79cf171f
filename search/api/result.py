"""The result of `paredown.pare`."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
import pandas
from rich.console import Console
from torch import nn

from ...errors import NothingFits
from ...objectives.accuracy.budget import Budget, parse_budgets
from ...objectives.accuracy.confidence import Certainty
from ...objectives.cost.cost import Cost
from ...objectives.evaluation.evaluator import Evaluator
from ...objectives.evaluation.task import Task
from ...objectives.training.cache import Cache
from ...objectives.training.device import threads
from ...objectives.training.progress import SILENT
from ...spaces.plan import Plan
from ...spaces.space import Space
from ..results.advice import advice
from ..results.pareto import BudgetResult, compression
from ..results.summary import StudySummary, summarize
from ..runner.run_study import Finished
from ..study.config import StudyConfig
from ..study.storage import MEMORY, default_storage
from ..terminal.tables import print_summary
from .frames import front_frame, trials_frame

_WIDTH = 120
"""Width of tables outside of a terminal, in characters."""


@dataclass(frozen=True)
class Winner:
    """The winner of a budget. Accuracies are in percent, drops in percentage points.

    Attributes:
        max_drop: the budget.
        trial: number of the trial that proposed the plan.
        plan: the plan.
        cost: cost of the plan.
        compression: ratio of the baseline's effective params to the plan's.
        accuracy, drop: on the search split, in the search.
        retrained_drop: drop after retraining with a new seed; None without finalists.
        test_accuracy, test_drop: on the test split; None if not scored there, as for budgets that
            are not the study's.
        interval: 95 % confidence interval of the test drop.
        drop_upper_bound: upper bound of the test drop, with 95 % confidence.
        certainty: whether the test drop meets the budget: "within", "likely" or "over".
    """

    max_drop: float
    trial: int
    plan: Plan
    cost: Cost
    compression: float
    accuracy: float
    drop: float
    retrained_drop: float | None = None
    test_accuracy: float | None = None
    test_drop: float | None = None
    interval: tuple[float, float] | None = None
    drop_upper_bound: float | None = None
    certainty: Certainty | None = None


class Result:
    """The result of a search, displayed as a table in notebooks.

    Attributes:
        study: the Optuna study, for `optuna.visualization` and the dashboard.
        interrupted: whether the user interrupted the search.
        out_of_time: whether the time limit ended the search or its final evaluation.
        config: the study's configuration.

    Args:
        finished: the finished search.
        config: the study's configuration.
        url: URL of the study's storage.
        cache: cache of trained networks.
        keep_alive: objects to which the study refers by name, kept alive with the result.
    """

    def __init__(
        self,
        finished: Finished,
        config: StudyConfig,
        url: str,
        cache: Cache,
        keep_alive: object = None,
    ) -> None:
        self.study: optuna.Study = finished.study
        self.interrupted, self.config = finished.interrupted, config
        self.out_of_time = finished.out_of_time
        self._task_summary = finished.summary
        self._spec = finished.spec
        self._seconds = finished.seconds
        self._url, self._cache, self._alive = url, cache, keep_alive

    def best(self, max_drop: float | None = None) -> Winner:
        """The winner of a budget, of the study's or any other.

        Args:
            max_drop: in percentage points; by default the study's smallest budget.

        Raises:
            NothingFits: no plan is feasible; the message says what to relax.
            InputError: not a valid budget.
        """
        summary = self._summarize(self._budget(max_drop))
        return _winner(summary, summary.results[0])

    def network(self, max_drop: float | None = None) -> nn.Module:
        """The network of a budget's winner, on the CPU and in evaluation mode.

        It maps float32 images, [batch, channels, height, width], normalised by `normalisation`, to
        scores, [batch, classes]. It is loaded from the cache, or retrained if it is not there. Each
        call returns a new network.

        Args:
            max_drop: as in `best`.

        Raises:
            NothingFits, InputError: as in `best`.
        """
        result = self._summarize(self._budget(max_drop)).results[0]
        winner = self.best(max_drop)
        seed = result.retraining.seed if result.retraining else None
        with threads(self.config.threads):
            task, space = self._task
            network = Evaluator(task, space, self._cache, SILENT, seed=seed).network(winner.plan)
        return network.cpu().eval()

    @cached_property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, of images scaled to [0, 1]."""
        return self._task_summary.normalisation

    def front(self, max_drop: float | None = None) -> pandas.DataFrame:
        """The Pareto front of a budget, one row per plan.

        The columns are max_drop (the budget), trial, plan (in words), params, params_effective,
        macs, flops, flops_effective, bops, bytes, compression, accuracy, drop and is_winner.

        Args:
            max_drop: the budget; by default all budgets of the study, one after the other.

        Raises:
            InputError: not a valid budget.
        """
        return front_frame(self._summarize(*([] if max_drop is None else [self._budget(max_drop)])))

    def trials(self) -> pandas.DataFrame:
        """All trials, one row each: status, plan in words, costs, accuracy and drop."""
        return trials_frame(self._summarize())

    def export(
        self,
        folder: str | Path,
        max_drop: float | None = None,
        formats: Sequence[str] | None = None,
        *,
        licence: str | None = None,
        force: bool = False,
    ) -> Path:
        """Export a budget's winner as model files, each checked, as `paredown export` does.

        Args:
            folder: output folder, created.
            max_drop: as in `best`.
            formats: of "onnx", "pt2", "executorch" and "safetensors"; by default all installed.
            licence: licence on the model card, such as "MIT".
            force: overwrite another exported model.

        Returns:
            The folder, with the files, `plan.json`, `manifest.json` and `MODEL_CARD.md`.

        Raises:
            NothingFits: no plan is feasible.
            InputError: the folder is taken, or a format is unknown or not installed.
            FileDiffers: a file's outputs do not match the network's; no folder is left.
        """
        from ..export.exporting import export
        from ..export.formats import installed_formats, parse_formats

        self.best(max_drop)  # raises NothingFits with advice in terms of this API
        done = export(
            self.study,
            self._url,
            self._budget(max_drop),
            installed_formats() if formats is None else parse_formats(",".join(formats)),
            Path(folder),
            force=force,
            licence=licence,
            cache=self._cache,
            progress=SILENT,
        )
        return done.folder

    def report(self, path: str | Path = "report.html", *, force: bool = False) -> Path:
        """Write the study as one self-contained HTML page, as `paredown report` does.

        Args:
            path: output file.
            force: overwrite a file that is not a report.

        Returns:
            The path of the file.

        Raises:
            InputError: the path is taken by another file.
        """
        from ..report.making import make_report

        budgets = self.config.max_drop
        return make_report(self.study, path, budgets=budgets, storage=self._shown_url, force=force)

    def __repr__(self) -> str:
        written = io.StringIO()
        console = Console(file=written, width=_WIDTH, force_jupyter=False, color_system=None)
        print_summary(console, self._summarize())
        return written.getvalue().rstrip()

    def _repr_html_(self) -> str:
        """The table of `__repr__`, for notebooks."""
        console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_jupyter=False)
        print_summary(console, self._summarize())
        style = "line-height:normal;font-family:monospace"
        return console.export_html(
            inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>'
        )

    @cached_property
    def _task(self) -> tuple[Task, Space]:
        """The task, loaded at first use: the search loaded it in another process."""
        return self._spec.load()

    @property
    def _shown_url(self) -> str | None:
        """The URL for commands; None for the default storage and in-memory studies."""
        return None if self._url in (MEMORY, default_storage()) else self._url

    def _summarize(self, *budgets: Budget) -> StudySummary:
        requested = budgets or self.config.max_drop
        return summarize(self.study, requested, self._shown_url, {} if budgets else self._seconds)

    def _budget(self, max_drop: float | None) -> Budget:
        if max_drop is None:
            return self.config.max_drop[0]
        (budget,) = parse_budgets([max_drop])
        return budget


def _winner(summary: StudySummary, result: BudgetResult) -> Winner:
    record = result.winner
    if record is None:
        raise NothingFits(advice(summary, "max_drop="))
    if record.plan is None or record.cost is None or record.accuracy is None or record.drop is None:
        raise ValueError(f"trial {record.number} was not scored")
    test_score = summary.winner_test_score(result)
    paired = test_score.paired if test_score else None
    return Winner(
        max_drop=result.budget.max_drop,
        trial=record.number,
        plan=record.plan,
        cost=record.cost,
        compression=compression(summary.baseline.cost, record.cost),
        accuracy=record.accuracy,
        drop=record.drop,
        retrained_drop=result.retraining.drop if result.retraining else None,
        test_accuracy=test_score.accuracy if test_score else None,
        test_drop=test_score.drop if test_score else None,
        interval=paired.interval if paired else None,
        drop_upper_bound=paired.upper_bound if paired else None,
        certainty=test_score.certainty(result.budget) if test_score else None,
    )
