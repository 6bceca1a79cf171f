"""Candidates for the acquisition function: uniform samples, mutations and crossovers."""

import numpy as np

from .encoding import SearchSpaceEncoder
from .parameter_encoding import Array

_EVEN = 0.25
_CROSSED = 0.25


def spread_candidates(
    encoder: SearchSpaceEncoder, parents: Array, size: int, rng: np.random.Generator
) -> Array:
    """Uniform samples, mutations of parents, and crossovers of two parents."""
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
    """Mutations of parents; `crossed` of the rows are crossovers of two parents."""
    mothers = parents[rng.integers(0, len(parents), size)]
    fathers = parents[rng.integers(0, len(parents), crossed)]
    mixed = encoder.cross(mothers[:crossed], fathers, rng)
    # Half of the crossovers are not mutated.
    changed = encoder.mutate(mothers[crossed:], rng)
    half = crossed // 2
    return np.concatenate([mixed[:half], encoder.mutate(mixed[half:], rng), changed])


def exclude_known(rows: Array, known: set[bytes]) -> Array:
    """Rows that are not among the known ones, without duplicates, in order."""
    seen, remaining = set(known), list[int]()
    for place, row in enumerate(rows):
        about = row.tobytes()
        if about not in seen:
            seen.add(about)
            remaining.append(place)
    return rows[remaining]
