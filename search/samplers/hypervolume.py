"""Exact hypervolume and hypervolume improvement, for any number of objectives."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def hypervolume_improvement(points: Array, front: Array) -> Array:
    """The hypervolume that each point alone would add to a front, with reference point 0.

    Args:
        points: (points, objectives), minimized; points above 0 add nothing.
        front: (members, objectives); dominated members are allowed.

    Returns:
        (points,)
    """
    points, front = np.minimum(points, 0.0), np.minimum(front, 0.0)
    return _hypervolume_improvement(points, nondominated(front))


def _hypervolume_improvement(points: Array, front: Array) -> Array:
    """Sum over slabs along the last objective; a slab has the members that lie below it."""
    depth = points[:, -1]
    if points.shape[1] == 1:
        best = front.min() if len(front) else 0.0
        return np.maximum(best - depth, 0.0)
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = np.append(front[:, -1], 0.0)
    # The slab below all members: there the front is empty.
    total = np.maximum(edges[0] - depth, 0.0) * _hypervolume_improvement(
        points[:, :-1], front[:0, :-1]
    )
    for member in range(len(front)):
        thickness = np.maximum(edges[member + 1] - np.maximum(depth, edges[member]), 0.0)
        if thickness.any():
            total += thickness * _hypervolume_improvement(points[:, :-1], front[: member + 1, :-1])
    return np.asarray(total, dtype=np.float64)


def hypervolume(front: Array) -> float:
    """The hypervolume of a front, with reference point 0."""
    front = nondominated(np.minimum(front, 0.0))
    return sum(
        float(_hypervolume_improvement(front[i : i + 1], front[:i])[0]) for i in range(len(front))
    )


def nondominated(points: Array) -> Array:
    """The nondominated points, without duplicates."""
    unique = np.unique(points, axis=0)
    beats = (unique[:, None, :] <= unique[None, :, :]).all(axis=2)
    return np.asarray(unique[beats.sum(axis=0) == 1], dtype=np.float64)
