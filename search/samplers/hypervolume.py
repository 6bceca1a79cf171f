"""How much hypervolume a point would add to a front, exactly, for any number of objectives."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def hypervolume_improvement(points: Array, front: Array) -> Array:
    """The hypervolume below 0 that each point alone would add to a front.

    Args:
        points: (points, objectives), to be minimized; what is above 0 adds nothing.
        front: (members, objectives); members that others beat do no harm.
    """
    points, front = np.minimum(points, 0.0), np.minimum(front, 0.0)
    return _hypervolume_improvement(points, nondominated(front))


def _hypervolume_improvement(points: Array, front: Array) -> Array:
    """Slab by slab along the last objective; in a slab, only the members that reach it count."""
    depth = points[:, -1]
    if points.shape[1] == 1:
        best = front.min() if len(front) else 0.0
        return np.maximum(best - depth, 0.0)
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = np.append(front[:, -1], 0.0)
    # The slab below all members, in which a point is alone.
    total = np.maximum(edges[0] - depth, 0.0) * _hypervolume_improvement(
        points[:, :-1], front[:0, :-1]
    )
    for member in range(len(front)):
        thickness = np.maximum(edges[member + 1] - np.maximum(depth, edges[member]), 0.0)
        if thickness.any():
            total += thickness * _hypervolume_improvement(points[:, :-1], front[: member + 1, :-1])
    return np.asarray(total, dtype=np.float64)


def hypervolume(front: Array) -> float:
    """The hypervolume below 0 that a front covers."""
    front = nondominated(np.minimum(front, 0.0))
    return sum(
        float(_hypervolume_improvement(front[i : i + 1], front[:i])[0]) for i in range(len(front))
    )


def nondominated(points: Array) -> Array:
    """The points that no other beats, each once."""
    unique = np.unique(points, axis=0)
    beats = (unique[:, None, :] <= unique[None, :, :]).all(axis=2)
    return np.asarray(unique[beats.sum(axis=0) == 1], dtype=np.float64)
