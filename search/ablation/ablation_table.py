"""What an ablation shows: how far it is, and the table that comes of it."""

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from ..formatting import points
from ..results.summary import Answer
from ..terminal.tables import plain_table
from .leave_one_out import Watch, ratios
from .saved_ablation import Ablation


class AblationScreen(Watch):
    """A line for each network that was trained, and on a terminal what is going on.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status = Status("making the study's networks again", console=console)
        self.status.start()
        self.what, self.stage_name, self.epochs = "", "", 0

    def begins(self, technique: str | None, number: int, of: int) -> None:
        self.what = f"{number} of {of}: {_named(technique)}"
        self.status.update(self.what)

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stage_name, self.epochs = name, epochs
        self.status.update(f"{self.what}: {name}")

    def epoch(self, done: int, loss: float) -> None:
        epochs = f" epoch {done}/{self.epochs}" if self.epochs else ""
        self.status.update(f"{self.what}: {self.stage_name}{epochs}, loss {loss:.3f}")

    def ended(self, technique: str | None, drop: float | None) -> None:
        said = "its training failed" if drop is None else f"drop {points(drop)}"
        self.console.print(f"{self.what}: {said}", highlight=False)

    def finished(self) -> None:
        """Nothing more comes."""
        self.status.stop()


def ablation_table(ablation: Ablation, answer: Answer) -> Table:
    """What each technique saves and costs, and what all of them do together.

    Args:
        ablation: of the winner of the answer's only budget.
        answer: of the study.
    """
    table = plain_table(
        "technique",
        "in the plan",
        ">effective\nparams",
        ">effective\nFLOPs",
        ">drop\nwithout it",
        ">costs",
        title=f"What the winner of {answer.study} for {answer.verdicts[0].budget.text} is made of",
    )
    table.columns[0].no_wrap = True
    for row in ablation.rows:
        table.add_row(
            row.technique,
            row.words,
            f"{row.params_effective_ratio:.2f}x",
            f"{row.flops_effective_ratio:.2f}x",
            points(row.drop_without),
            Text(points(row.costs_pp), style="bold"),
        )
    winner, base = answer.verdicts[0].winner, answer.baseline.cost
    if winner is not None and winner.cost is not None:
        params, flops = ratios(base, winner.cost)
        table.add_section()
        whole = (f"{params:.2f}x", f"{flops:.2f}x", points(0.0), points(ablation.drop))
        table.add_row("all of them", "the baseline is left", *whole, style="dim")
    return table


def how_to_read(ablation: Ablation) -> str:
    """The sentences below the table."""
    said = ["Each row is the winner without one technique."]
    if ablation.rows:
        row = max(ablation.rows, key=lambda one: one.params_effective_ratio)
        said.append(
            f"Without {row.technique} it would have {row.params_effective_ratio:.2f} times the "
            f"effective params, and a drop of {points(row.drop_without)} points in place of "
            f"{points(ablation.drop)}."
        )
    if ablation.epochs:
        epochs = f"{ablation.epochs} epoch{'s' if ablation.epochs > 1 else ''}"
        said.append(
            f"All were trained again alike, the winner for {epochs}, with one seed: small costs of "
            "either sign may be chance."
        )
    said.append("Savings multiply only roughly and costs do not add up: techniques interact.")
    if ablation.left_out:
        names = ", ".join(ablation.left_out)
        said.append(
            f"Nothing is said of {names}: the study offers nothing in its place, or training "
            "without it failed."
        )
    return " ".join(said)


def _named(technique: str | None) -> str:
    return "the winner, trained again" if technique is None else f"without {technique}"
