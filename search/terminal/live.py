"""The display of a running search: live on a terminal, otherwise one line per trial."""

import time
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ...errors import first_names
from ...objectives.accuracy.budget import Budget
from ...spaces.graph.blueprint import ALL_GROUPS
from ...spaces.plan import Plan
from ...spaces.space import Space
from ..formatting import points, short
from ..isolation.backend import TaskSummary
from ..results.pareto import budget_results, compression
from ..runner.callbacks import Callback
from ..study.config import StudyConfig
from ..study.parsing import duration_text
from ..study.retrainings import Retraining
from ..study.storage import Baseline, shown_url
from ..study.trial_record import TrialRecord, TrialStatus, count_trained
from .tables import plain_table

_TOLD = (TrialStatus.EVALUATED, TrialStatus.REUSED_WEIGHTS, TrialStatus.EARLY_STOPPED)
"""Trials that are printed as a line where there is no live display."""

_ENOUGH_TO_GUESS = 3
"""Evaluated plans before the remaining time is estimated."""


class Screen(Callback):
    """Shows trial, stage, epoch, remaining time and the best plan so far per budget.

    Args:
        console: the output; if it is not a terminal, lines are printed instead.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage_name, self.epochs, self.epochs_done, self.loss = "", 0, 0, 0.0
        self.trial: int | None = None
        self.final_evaluation = False
        self.trials, self.done, self.done_before = 0, 0, 0
        self.began = time.monotonic()
        self.deadline: float | None = None
        self.baseline: Baseline | None = None
        self.of_what = ""
        self.budgets: Sequence[Budget] = ()
        self.records: Sequence[TrialRecord] = ()
        self.live = Live(console=console, get_renderable=self._picture, refresh_per_second=8)

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        self.trials, self.budgets = config.trials, config.max_drop
        self.of_what = f" {config.metric}" if config.balanced else ""
        self.began = time.monotonic()
        self.deadline = self.began + config.timeout if config.timeout else None
        title = escape(f"{task.model} on {task.data}")
        self.console.print(
            f"[bold]{escape(config.name)}[/]: {title}, {task.splits.text}",
            soft_wrap=True,
        )
        self.console.print(
            f"{task.space.size:,} plans, {config.trials} trials; "
            f"stored in [cyan]{escape(shown_url(storage))}[/]",
            highlight=False,
        )
        for title, text in _limits(task.space):
            self.console.print(
                f"[yellow]{title}[/] {escape(text)}", highlight=False, soft_wrap=True
            )
        if task.in_this_process:
            self.console.print(
                f"[yellow]evaluating in this process, a crash would end the search:[/] "
                f"{escape(task.in_this_process)}",
                highlight=False,
                soft_wrap=True,
            )
        if self.console.is_terminal:
            self.live.start()

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stage_name, self.epochs, self.epochs_done = name, epochs, 0

    def epoch(self, done: int, loss: float) -> None:
        self.epochs_done, self.loss = done, loss

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        self.baseline, self.records = baseline, records
        self.done = self.done_before = count_trained(records)
        self.began = time.monotonic()
        self.console.print(
            f"baseline: [bold]{baseline.accuracy:.2f} %[/]{self.of_what}, "
            f"{short(baseline.cost.params)} params, {short(baseline.cost.macs)} MACs"
        )
        if self.done:
            self.console.print(f"resuming after {self.done} trials")

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        self.trial = number

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        self.records, self.done = records, count_trained(records)
        if record.status is TrialStatus.FAILED:
            self.console.print(f"[yellow]trial {record.number} failed[/]: {escape(record.reason)}")
        elif not self.console.is_terminal and record.status in _TOLD:
            self.console.print(self._line(record), soft_wrap=True, highlight=False)

    def retraining_begins(self, record: TrialRecord) -> None:
        self.trial, self.final_evaluation = record.number, True

    def retraining_ended(self, retraining: Retraining, budget: Budget) -> None:
        drop = "failed" if retraining.drop is None else points(retraining.drop)
        meets = "[green]feasible[/]" if retraining.meets(budget) else "[yellow]not feasible[/]"
        self.console.print(
            f"{budget.text}, retrained: drop {drop} ({points(retraining.search_drop)} in the "
            f"search), {meets}  {escape(retraining.plan.describe())}",
            soft_wrap=True,
            highlight=False,
        )

    def test_failed(self, budget: Budget, reason: str) -> None:
        self.console.print(
            f"[yellow]{budget.text}, not scored on the test split[/]: {escape(reason)}",
            soft_wrap=True,
            highlight=False,
        )

    def finished(self) -> None:
        if self.live.is_started:
            self.live.update(Text(""))
            self.live.transient = True
            self.live.stop()

    def _line(self, record: TrialRecord) -> str:
        ratio = ""
        if self.baseline and record.cost:
            ratio = f", {compression(self.baseline.cost, record.cost):.1f}x compression"
        plan = record.plan.describe() if record.plan else ""
        drop = points(record.drop)
        if record.drop_lower_bound is not None:
            drop = f"{points(record.drop_lower_bound)} or more, stopped early"
        return f"{self.done}/{self.trials}  drop {drop}{ratio}  {escape(plan)}"

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = [self._bar(), self._now()]
        if self.baseline:
            parts.append(self._best(self.baseline))
        return Group(*parts)

    def _bar(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self.trials, 1), completed=self.done, width=32)
        grid.add_row(Text(f"{self.done} of {self.trials} plans"), bar, Text(self._time_left()))
        return grid

    def _now(self) -> Text:
        if not self.stage_name:
            return Text("")
        retraining = "retraining, " if self.final_evaluation else ""
        trial = "" if self.trial is None else f"trial {self.trial}: {retraining}"
        epoch = f" epoch {self.epochs_done}/{self.epochs}" if self.epochs else ""
        loss = f", loss {self.loss:.3f}" if self.epochs and self.epochs_done else ""
        return Text(f"{trial}{self.stage_name}{epoch}{loss}", style="dim")

    def _best(self, baseline: Baseline) -> Table:
        table = plain_table("budget", ">drop", ">params", ">MACs", ">compression")
        for result in budget_results(self.records, baseline, self.budgets):
            winner = result.winner
            if winner is None or winner.cost is None:
                table.add_row(result.budget.text, "-", "-", "-", "-")
                continue
            table.add_row(
                result.budget.text,
                points(winner.drop),
                short(winner.cost.params),
                short(winner.cost.macs),
                f"{compression(baseline.cost, winner.cost):.1f}x",
            )
        return table

    def _time_left(self) -> str:
        now = time.monotonic()
        in_this_run = self.done - self.done_before
        guesses = []
        if in_this_run >= _ENOUGH_TO_GUESS:
            per_trial = (now - self.began) / in_this_run
            guesses.append(per_trial * (self.trials - self.done))
        if self.deadline is not None:
            guesses.append(max(0.0, self.deadline - now))
        return f"about {duration_text(min(guesses))} left" if guesses else ""


def _limits(space: Space) -> Iterator[tuple[str, str]]:
    """Limitations for this network, shown before the search starts."""
    if uncounted := space.blueprint.structure.uncounted:
        yield "not counted:", first_names([operation.text for operation in uncounted], 3)
    stuck = [skipped for skipped in space.blueprint.skipped if skipped.technique == "channels"]
    if whole := [skipped.reason for skipped in stuck if skipped.name == ALL_GROUPS]:
        yield "no channels are pruned:", whole[0]
    elif not space.blueprint.groups:
        yield "no channels are pruned:", "every group is skipped; --dry-run shows the reasons"
    elif stuck:
        names = first_names([skipped.name for skipped in stuck], 3)
        yield "channels not pruned:", f"{names}; --dry-run shows the reasons"
