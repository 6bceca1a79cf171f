"""The pruning criterion, chosen once for the network."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import PlanError
from ...own_code import own_code_digest
from ..criteria import CRITERIA
from ..graph.blueprint import PruningConfig
from ..technique import TechniqueInfo, Value
from .bases import PruningOption


class CriterionTechnique(PruningOption):
    """The criterion that selects the channels to remove."""

    name = "criterion"
    title = "criterion that selects the channels to prune"
    neutral = "l1"
    shapes = False

    def infos(self) -> Iterable[TechniqueInfo]:
        return (criterion.info for criterion in CRITERIA)

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected a pruning criterion such as 'taylor', got {value!r}")
        return CRITERIA.get(value).name

    def extra(self, value: Value) -> str:
        return CRITERIA.get(str(value)).info.extra

    def code(self, value: Value) -> str:
        return own_code_digest(type(CRITERIA.get(str(value))))

    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        return replace(pruning, criterion=str(value))
