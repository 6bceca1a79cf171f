"""What a study's identity says of the user's own code, and of what it minimizes."""

from typing import TYPE_CHECKING, Any

from ...objectives.cost.objective import DEFAULT_OBJECTIVES, objective_code
from ...spaces.space import Dimension, Space
from ...spaces.techniques import TECHNIQUES

if TYPE_CHECKING:
    from ...objectives.evaluation.task import Task

OPTIONAL_PARTS = ("code", "objectives")
"""Parts of an identity that only some studies have."""


def code_identity(task: "Task", space: Space) -> dict[str, Any]:
    """Digests of the code behind options and objectives; empty where all is Paredown's.

    Returns:
        "code": technique -> option -> digest, and "objectives": name -> digest, where they are "
        "not the
        default ones.
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
    """Option -> a digest of its code, of those that are the user's own."""
    code = TECHNIQUES.get(dimension.technique).code
    return {str(option): digest for option in dimension.options if (digest := code(option))}
