"""What a model costs, and what a plan would make of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import PlanError
from ..objectives.cost import Cost
from ..objectives.cost import count as count_blueprint
from ..spaces.apply import foretell
from ..spaces.grouping import trace_with_groups
from ..spaces.kind import Value
from ..spaces.kinds import KINDS
from ..spaces.models import MODELS, build_model
from ..spaces.plan import Plan
from ..spaces.space import Space
from ..spaces.tracing import example_images
from .tables import cost_table
from .winners import times_smaller

_RGB = 3


@dataclass(frozen=True)
class Counted:
    """A model's cost, with and without a plan."""

    model: str
    classes: int
    size: int
    baseline: Cost
    plan: Plan | None
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `paredown count`: the plan's figures, or the model's without one."""
        said: dict[str, Any] = {"model": self.model, "classes": self.classes, "size": self.size}
        said |= self.cost.to_dict()
        if self.plan is not None:
            said |= {
                "plan": self.plan.to_dict(),
                "times_smaller": times_smaller(self.baseline, self.cost),
                "baseline": self.baseline.to_dict(),
            }
        return said

    def print(self, console: Console) -> None:
        """The same as a table."""
        console.print(f"[bold]{self.model}[/], {self.classes} classes, {self.size} px")
        rows = [("baseline", self.baseline)]
        if self.plan is not None:
            rows.append(("plan", self.cost))
        console.print(cost_table(rows))
        if self.plan is not None:
            console.print(self.plan.describe(), highlight=False)


def count_model(model: str, plan_file: Path | None, classes: int, size: int) -> Counted:
    """Count a model on RGB images of so many pixels, or grey ones if it takes no others.

    Raises:
        UnknownName, ModelError: the model cannot be built or run so.
        PlanError: the plan cannot be read, or does not fit the model.
    """
    channels = MODELS.get(model).channels or _RGB
    network = build_model(model, classes, channels)
    blueprint = trace_with_groups(network, example_images(channels, size))
    baseline = count_blueprint(blueprint)
    if plan_file is None:
        return Counted(model, classes, size, baseline, None, baseline)
    plan = _read_plan(plan_file)
    Space.of(blueprint, _options(plan)).check(plan)
    cost = count_blueprint(foretell(blueprint, plan))
    return Counted(model, classes, size, baseline, plan, cost)


def _options(plan: Plan) -> dict[str, list[Value]]:
    """The options that a plan names: it may go beyond what a study searches by default."""
    options = dict[str, list[Value]]()
    for choice in plan.choices:
        options.setdefault(choice.kind, [KINDS.get(choice.kind).neutral]).append(choice.value)
    return options


def _read_plan(path: Path) -> Plan:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}") from None
    return Plan.from_json(text)
