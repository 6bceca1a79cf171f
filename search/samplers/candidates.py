"""Where to look for the next point: anywhere, and around what is best so far."""

import numpy as np

from .encoding import SearchSpaceEncoder
from .parameter_encoding import Array

_EVEN = 0.25
_CROSSED = 0.25


def spread_candidates(
    encoder: SearchSpaceEncoder, parents: Array, size: int, rng: np.random.Generator
) -> Array:
    """Rows drawn evenly, rows near parents, and rows that mix two of them."""
    if not len(parents):
        return encoder.sample(rng, size)
    crossed = round(size * _CROSSED)
    even = round(size * _EVEN)
    return np.concatenate(
        [encoder.sample(rng, even), neighbours(encoder, parents, size - even, rng, crossed)]
    )


def neighbours(
    encoder: SearchSpaceEncoder,
    parents: Array,
    size: int,
    rng: np.random.Generator,
    crossed: int = 0,
) -> Array:
    """Mutations of parents, some of mixtures of two."""
    mothers = parents[rng.integers(0, len(parents), size)]
    fathers = parents[rng.integers(0, len(parents), crossed)]
    mixed = encoder.cross(mothers[:crossed], fathers, rng)
    # Half of the mixtures stay as they are: mixing is change enough.
    changed = encoder.mutate(mothers[crossed:], rng)
    half = crossed // 2
    return np.concatenate([mixed[:half], encoder.mutate(mixed[half:], rng), changed])


def exclude_known(rows: Array, known: set[bytes]) -> Array:
    """Rows that are not among known ones, each once, in order."""
    seen, remaining = set(known), list[int]()
    for place, row in enumerate(rows):
        about = row.tobytes()
        if about not in seen:
            seen.add(about)
            remaining.append(place)
    return rows[remaining]
