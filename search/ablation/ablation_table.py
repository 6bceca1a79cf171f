"""Terminal output of an ablation: its progress, and its table."""

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from ..formatting import points
from ..results.summary import StudySummary
from ..terminal.tables import plain_table
from .leave_one_out import AblationCallback, ratios
from .saved_ablation import Ablation


class AblationScreen(AblationCallback):
    """Prints a line per trained network, and the current stage on a terminal.

    Args:
        console: the output.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status = Status("rebuilding the study's networks", console=console)
        self.status.start()
        self.technique, self.stage_name, self.epochs = "", "", 0

    def begins(self, technique: str | None, number: int, of: int) -> None:
        self.technique = f"{number} of {of}: {_named(technique)}"
        self.status.update(self.technique)

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stage_name, self.epochs = name, epochs
        self.status.update(f"{self.technique}: {name}")

    def epoch(self, done: int, loss: float) -> None:
        epochs = f" epoch {done}/{self.epochs}" if self.epochs else ""
        self.status.update(f"{self.technique}: {self.stage_name}{epochs}, loss {loss:.3f}")

    def ended(self, technique: str | None, drop: float | None) -> None:
        text = "training failed" if drop is None else f"drop {points(drop)}"
        self.console.print(f"{self.technique}: {text}", highlight=False)

    def finished(self) -> None:
        """Stop the display."""
        self.status.stop()


def ablation_table(ablation: Ablation, summary: StudySummary) -> Table:
    """The saving and cost of each technique, and of all together.

    Args:
        ablation: ablation of the winner of the summary's only budget.
        summary: summary of the study.
    """
    table = plain_table(
        "technique",
        "in the plan",
        ">effective\nparams",
        ">effective\nFLOPs",
        ">drop\nwithout it",
        ">costs",
        title=f"Ablation of the winner of {summary.study} for {summary.results[0].budget.text}",
    )
    table.columns[0].no_wrap = True
    for row in ablation.rows:
        table.add_row(
            row.technique,
            row.description,
            f"{row.params_effective_ratio:.2f}x",
            f"{row.flops_effective_ratio:.2f}x",
            points(row.drop_without),
            Text(points(row.costs_pp), style="bold"),
        )
    winner, base = summary.results[0].winner, summary.baseline.cost
    if winner is not None and winner.cost is not None:
        params, flops = ratios(base, winner.cost)
        table.add_section()
        whole = (f"{params:.2f}x", f"{flops:.2f}x", points(0.0), points(ablation.drop))
        table.add_row("all of them", "the baseline remains", *whole, style="dim")
    return table


def how_to_read(ablation: Ablation) -> str:
    """An interpretation of the table, in sentences."""
    parts = ["Each row is the winner without one technique."]
    if ablation.rows:
        row = max(ablation.rows, key=lambda item: item.params_effective_ratio)
        parts.append(
            f"Without {row.technique} it would have {row.params_effective_ratio:.2f} times the "
            f"effective params, and a drop of {points(row.drop_without)} pp instead of "
            f"{points(ablation.drop)}."
        )
    if ablation.epochs:
        epochs = f"{ablation.epochs} epoch{'s' if ablation.epochs > 1 else ''}"
        parts.append(
            f"All networks were retrained by the same recipe, the winner for {epochs}, with one "
            "seed: small costs of either sign may be chance."
        )
    parts.append(
        "Techniques interact: savings multiply only approximately, and costs do not add up."
    )
    if ablation.left_out:
        names = ", ".join(ablation.left_out)
        parts.append(
            f"Not measured: {names}. The study has no option to replace it, or training without it "
            "failed."
        )
    return " ".join(parts)


def _named(technique: str | None) -> str:
    return "the winner, retrained" if technique is None else f"without {technique}"
