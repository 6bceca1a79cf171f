"""Looks at a plan while it is being trained, so that a hopeless one can stop early.

Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943) calls them rungs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...spaces.plan import Plan


@dataclass(frozen=True)
class Rung:
    """How far a plan is, and how well it does there.

    Attributes:
        stage: what has been going on: "assemble", "train", "prune", "fine-tune" or "quantize".
        epoch: epochs of that stage that are done.
        drop: on the search split, in percentage points.
    """

    stage: str
    epoch: int
    drop: float

    @property
    def name(self) -> str:
        """As in "train 3"."""
        return f"{self.stage} {self.epoch}"


class Judge:
    """Decides at each rung whether a plan goes on. This one lets all go on, and looks at none."""

    def wants(self, stage: str, epoch: int, epochs: int) -> bool:
        """Whether to look at the plan after this epoch of a stage; a look costs one scoring."""
        return False

    def stops(self, plan: Plan, reached: Rung) -> bool:
        """Whether the plan, which has reached a rung, is hopeless."""
        return False


LENIENT = Judge()


class Hopeless(Exception):
    """A judge stopped a plan.

    Attributes:
        rung: where.
        seconds: stage -> how long it took until then.
    """

    def __init__(self, rung: Rung) -> None:
        super().__init__(f"stopped at {rung.name} with a drop of {rung.drop:+.2f} points")
        self.rung = rung
        self.seconds: Mapping[str, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Hopeless, (self.rung,), {"seconds": dict(self.seconds)}
