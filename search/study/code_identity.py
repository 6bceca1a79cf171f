"""The parts of a study's identity for user code and objectives."""

from typing import TYPE_CHECKING, Any

from ...objectives.cost.objective import DEFAULT_OBJECTIVES, objective_code
from ...spaces.space import Dimension, Space
from ...spaces.techniques import TECHNIQUES

if TYPE_CHECKING:
    from ...objectives.evaluation.task import Task

OPTIONAL_PARTS = ("code", "objectives")
"""Parts of the identity that only some studies have."""


def code_identity(task: "Task", space: Space) -> dict[str, Any]:
    """Digests of the user code behind options and objectives; empty if there is none.

    Returns:
        "code": technique -> option -> digest; "objectives": name -> digest, if they are not the
        default objectives.
    """
    code = {
        dimension.technique: digests
        for dimension in space.dimensions
        if (digests := _digests(dimension))
    }
    data: dict[str, Any] = {"code": code} if code else {}
    if task.objectives != DEFAULT_OBJECTIVES:
        data["objectives"] = {name: objective_code(name) for name in task.objectives}
    return data


def _digests(dimension: Dimension) -> dict[str, str]:
    """Option -> digest of its code, for options defined by the user."""
    code = TECHNIQUES.get(dimension.technique).code
    return {str(option): digest for option in dimension.options if (digest := code(option))}
