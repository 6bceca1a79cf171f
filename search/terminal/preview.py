"""Preview of a search space without training: its extreme plans and skipped layers."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from ...objectives.cost.cost import Cost, count
from ...objectives.cost.objective import DEFAULT_OBJECTIVES, priced
from ...spaces.apply import predict_graph
from ...spaces.plan import Plan
from ...spaces.space import Space
from ..results.pareto import relative_cost

_SAMPLES = 201


class Preview:
    """The cheapest, a medium and the dearest plan of a space.

    The extremes come from coordinate descent on the relative cost; the medium plan is the median of
    201 uniform samples.
    """

    def __init__(
        self, space: Space, seed: int = 0, objectives: Sequence[str] = DEFAULT_OBJECTIVES
    ) -> None:
        self.space, self.objectives = space, objectives
        self.baseline = self.cost(Plan())
        drawn = [space.sample(random.Random(f"{seed}-{n}")) for n in range(_SAMPLES)]
        drawn.sort(key=self._weight)
        self.cheapest = self._best(drawn[0], self._weight)
        self.middle = drawn[_SAMPLES // 2]
        self.dearest = self._best(drawn[-1], lambda plan: -self._weight(plan))

    def cost(self, plan: Plan) -> Cost:
        """The predicted cost of a plan."""
        blueprint = predict_graph(self.space.blueprint, plan)
        return priced(count(blueprint), plan, blueprint, self.objectives)

    @property
    def plans(self) -> list[tuple[str, Plan]]:
        return [("cheapest", self.cheapest), ("middle", self.middle), ("dearest", self.dearest)]

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `paredown search --dry-run`."""
        return {
            "plans": self.space.size,
            "baseline": self.baseline.to_dict(),
            "dimensions": {d.name: list(d.options) for d in self.space.dimensions},
            **{
                name: {"plan": plan.to_dict(), **self.cost(plan).to_dict()}
                for name, plan in self.plans
            },
            "skipped": [
                {"technique": skipped.technique, "place": skipped.name, "reason": skipped.reason}
                for skipped in self.space.skipped
            ],
        }

    def _weight(self, plan: Plan) -> float:
        return relative_cost(self.baseline, self.cost(plan))

    def _best(self, plan: Plan, weight: Callable[[Plan], float]) -> Plan:
        best, improved = weight(plan), True
        while improved:
            improved = False
            for dimension in self.space.dimensions:
                for option in dimension.options:
                    params = self.space.params(plan) | {dimension.name: option}
                    candidate = self.space.plan(params)
                    if (value := weight(candidate)) < best:
                        plan, best, improved = candidate, value, True
        return plan
