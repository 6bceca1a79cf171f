"""The identity of a study: everything that must match for its results to be comparable."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...spaces.space import Space
from .code_identity import code_identity

if TYPE_CHECKING:
    from ...objectives.evaluation.task import Task

METRIC = "metric"
SEARCH = "search"
_RECIPES = ("train", "fine_tune", "quantize")


def identity(task: "Task", space: Space) -> dict[str, Any]:
    """Key -> JSON value, for everything that a study's results depend on."""
    recipes = {name: asdict(getattr(task.recipes, name)) for name in _RECIPES}
    trained = task.trains_baseline
    recipes["baseline"] = asdict(task.recipes.baseline) if trained else {}
    return {
        "model": task.made_by.name,
        "data": task.splits.name,
        "images": task.splits.fingerprint,
        SEARCH: task.splits.search_from,
        "classes": task.classes,
        "weights": None if trained else task.weights_digest,
        "space": {d.name: list(d.options) for d in space.dimensions},
        "layers": space.signature,
        "seed": task.seed,
        METRIC: task.metric,
        "recipes": recipes,
        **code_identity(task, space),
    }
