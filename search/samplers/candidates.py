"""Where to look for the next point: anywhere, and around what is best so far."""

import numpy as np

from .encoding import Coding
from .parameter_encoding import Array

_EVEN = 0.25
_CROSSED = 0.25


def spread(coding: Coding, parents: Array, size: int, rng: np.random.Generator) -> Array:
    """Rows drawn evenly, rows near parents, and rows that mix two of them."""
    if not len(parents):
        return coding.sample(rng, size)
    crossed = round(size * _CROSSED)
    even = round(size * _EVEN)
    return np.concatenate(
        [coding.sample(rng, even), around(coding, parents, size - even, rng, crossed)]
    )


def around(
    coding: Coding, parents: Array, size: int, rng: np.random.Generator, crossed: int = 0
) -> Array:
    """Mutations of parents, some of mixtures of two."""
    mothers = parents[rng.integers(0, len(parents), size)]
    fathers = parents[rng.integers(0, len(parents), crossed)]
    mixed = coding.cross(mothers[:crossed], fathers, rng)
    # Half of the mixtures stay as they are: mixing is change enough.
    changed = coding.mutate(mothers[crossed:], rng)
    half = crossed // 2
    return np.concatenate([mixed[:half], coding.mutate(mixed[half:], rng), changed])


def without(rows: Array, known: set[bytes]) -> Array:
    """Rows that are not among known ones, each once, in order."""
    seen, kept = set(known), list[int]()
    for place, row in enumerate(rows):
        about = row.tobytes()
        if about not in seen:
            seen.add(about)
            kept.append(place)
    return rows[kept]
