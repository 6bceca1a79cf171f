"""The cost of a model, with and without a plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ...errors import InputError, first_names
from ...objectives.cost.cost import Cost
from ...objectives.cost.cost import count as count_blueprint
from ...spaces.apply import predict_graph
from ...spaces.approaches import find_approach
from ...spaces.graph.input_sizes import analyse
from ...spaces.graph.tracing import classes_of, example_images, on_meta
from ...spaces.models import build_model, find_model
from ...spaces.plan import Plan
from ...spaces.space import Granularity, Space
from ...spaces.technique import Value
from ...spaces.techniques import TECHNIQUES
from ..study.start_plans import read_plan
from .tables import cost_table

_RGB = 3


@dataclass(frozen=True)
class Counted:
    """A model's cost, with and without a plan.

    Attributes:
        approach: number of the plan in the paper; None for other plans.
        uncounted: operations that are not counted, in words.
    """

    model: str
    classes: int
    size: int
    baseline: Cost
    plan: Plan | None
    cost: Cost
    approach: int | None = None
    uncounted: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `paredown count`: the cost with the plan, or the baseline's without one."""
        data: dict[str, Any] = {"model": self.model, "classes": self.classes, "size": self.size}
        data |= self.cost.to_dict() | {"uncounted": list(self.uncounted)}
        if self.approach is not None:
            data["approach"] = self.approach
        if self.plan is not None:
            from ..results.pareto import compression

            data |= {
                "plan": self.plan.to_dict(),
                "compression": compression(self.baseline, self.cost),
                "baseline": self.baseline.to_dict(),
            }
        return data

    def print(self, console: Console) -> None:
        """The same as a table."""
        console.print(f"[bold]{self.model}[/], {self.classes} classes, {self.size} px")
        rows = [("baseline", self.baseline)]
        if self.plan is not None:
            name = "plan" if self.approach is None else f"approach {self.approach}"
            rows.append((name, self.cost))
        console.print(cost_table(rows))
        if self.plan is not None:
            console.print(self.plan.describe(), highlight=False)
        if self.uncounted:
            shown = escape(first_names(self.uncounted, 3))
            console.print(f"[yellow]not counted:[/] {shown}", highlight=False)


def count_model(
    model: str, plan_file: Path | None, approach: int | None, classes: int, size: int
) -> Counted:
    """Count a model on RGB images, or on grey images if it takes no others.

    Args:
        model: name of the model; with an approach also the name of its family, "resnet101".
        plan_file: file of a plan; excludes `approach`.
        approach: number of a plan of the paper; excludes `plan_file`.
        classes: number of classes.
        size: image size, in pixels per side.

    Raises:
        InputError: a plan and an approach are given.
        UnknownName, ModelError: the model cannot be built, or run on such images.
        PlanError: the plan cannot be read, or does not fit the model.
    """
    if plan_file is not None and approach is not None:
        raise InputError("expected --plan or --approach, got both")
    plan = read_plan(plan_file) if plan_file else None
    if approach is not None:
        known_approach = find_approach(model, approach)
        model, plan = known_approach.model, known_approach.plan
    built_by = find_model(model)
    channels = built_by.channels or _RGB
    network = build_model(built_by, classes, channels)
    images = example_images(channels, size)
    if plan is None:
        blueprint = analyse(on_meta(network), images)
    else:  # only plans need channel groups, whose tracing takes most of the time
        from ...spaces.pruning.trace_groups import trace_with_groups

        blueprint = trace_with_groups(network, images)
    classes = classes_of(network, images)
    baseline = cost = count_blueprint(blueprint)
    if plan is not None:
        Space.of(blueprint, _options(plan), Granularity.BOTH).check(plan)
        cost = count_blueprint(predict_graph(blueprint, plan))
    uncounted = tuple(operation.text for operation in blueprint.structure.uncounted)
    return Counted(model, classes, size, baseline, plan, cost, approach, uncounted)


def _options(plan: Plan) -> dict[str, list[Value]]:
    """The options that a plan uses, which may not be among a study's defaults."""
    options = dict[str, list[Value]]()
    for choice in plan.choices:
        options.setdefault(choice.technique, [TECHNIQUES.get(choice.technique).neutral]).append(
            choice.value
        )
    return options
