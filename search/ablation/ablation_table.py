"""What an ablation shows: how far it is, and the table that comes of it."""

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
    """A line for each network that was trained, and on a terminal what is going on.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status = Status("making the study's networks again", console=console)
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
        text = "its training failed" if drop is None else f"drop {points(drop)}"
        self.console.print(f"{self.technique}: {text}", highlight=False)

    def finished(self) -> None:
        """Nothing more comes."""
        self.status.stop()


def ablation_table(ablation: Ablation, summary: StudySummary) -> Table:
    """What each technique saves and costs, and what all of them do together.

    Args:
        ablation: of the winner of the answer's only budget.
        summary: of the study.
    """
    table = plain_table(
        "technique",
        "in the plan",
        ">effective\nparams",
        ">effective\nFLOPs",
        ">drop\nwithout it",
        ">costs",
        title=f"What the winner of {summary.study} for {summary.results[0].budget.text} is made of",
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
        table.add_row("all of them", "the baseline is left", *whole, style="dim")
    return table


def how_to_read(ablation: Ablation) -> str:
    """The sentences below the table."""
    parts = ["Each row is the winner without one technique."]
    if ablation.rows:
        row = max(ablation.rows, key=lambda item: item.params_effective_ratio)
        parts.append(
            f"Without {row.technique} it would have {row.params_effective_ratio:.2f} times the "
            f"effective params, and a drop of {points(row.drop_without)} points in place of "
            f"{points(ablation.drop)}."
        )
    if ablation.epochs:
        epochs = f"{ablation.epochs} epoch{'s' if ablation.epochs > 1 else ''}"
        parts.append(
            f"All were trained again alike, the winner for {epochs}, with one seed: small costs of "
            "either sign may be chance."
        )
    parts.append("Savings multiply only roughly and costs do not add up: techniques interact.")
    if ablation.left_out:
        names = ", ".join(ablation.left_out)
        parts.append(
            f"Nothing is said of {names}: the study offers nothing in its place, or training "
            "without it failed."
        )
    return " ".join(parts)


def _named(technique: str | None) -> str:
    return "the winner, trained again" if technique is None else f"without {technique}"
