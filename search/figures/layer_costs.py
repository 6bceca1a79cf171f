"""Params and MACs layer by layer, of the baseline and compressed networks side by side.

Plans replace layers by several layers, and blocks by other blocks. Costs are therefore compared at
the smallest modules that all networks have: a layer that is still present, or the module around the
layers that are not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...spaces.graph.blueprint import Blueprint, Layer
from ...spaces.graph.submodules import holders, is_inside

MOST = 40
"""Largest number of rows; deeper networks are shown module by module."""


@dataclass(frozen=True)
class Row:
    """The costs of one module.

    Attributes:
        name: dotted name of the module.
        params, macs: counts of each network, the baseline first.
    """

    name: str
    params: tuple[int, ...]
    macs: tuple[int, ...]


def compare_layers(baseline: Blueprint, others: Sequence[Blueprint], most: int = MOST) -> list[Row]:
    """The modules of networks side by side, in the baseline's execution order.

    A layer that does not compute, such as a batch norm, is added to the layer before it: the sums
    over all rows are the networks' costs.

    Args:
        baseline: blueprint of the baseline.
        others: blueprints of the compressed networks.
        most: largest number of rows.
    """
    networks = [baseline, *others]
    costs = [_computing(network) for network in networks]
    names = _shared_names(costs[0], costs[1:])
    while len(names) > most and (shorter := _shorter(names)) != names:
        names = shorter
    rows = dict.fromkeys(names)
    sums = [{name: [0, 0] for name in rows} for _ in networks]
    for cost, total in zip(costs, sums, strict=True):
        for layer, (params, macs) in cost.items():
            name = next((name for name in names if is_inside(layer, name)), names[-1])
            total[name][0] += params
            total[name][1] += macs
    return [
        Row(name, tuple(t[name][0] for t in sums), tuple(t[name][1] for t in sums)) for name in rows
    ]


def _computing(network: Blueprint) -> dict[str, tuple[int, int]]:
    """Computing layer -> its params and MACs, including the non-computing layers after it."""
    results, sizes, last = dict[str, tuple[int, int]](), network.sizes, ""
    for layer in network.layers:
        params, macs = layer.weights(sizes) + layer.other_params(sizes), layer.macs(sizes)
        last = layer.name if layer.computes or not last else _owner(layer, results, last)
        before = results.get(last, (0, 0))
        results[last] = (before[0] + params, before[1] + macs)
    return results


def _owner(layer: Layer, results: Mapping[str, object], last: str) -> str:
    return layer.normalises if layer.normalises in results else last


def _shared_names(baseline: Iterable[str], others: Iterable[Iterable[str]]) -> list[str]:
    """The smallest modules that hold layers of all networks, in the baseline's order."""
    ours = list(baseline)
    held = {module for name in ours for module in holders(name)}
    wide = set[str]()
    for other in others:
        for name in other:
            # `holders` ends with the outermost; a layer in no known module has its own row.
            wide.update([next((name for name in holders(name) if name in held), name)])
    names = (next((m for m in reversed([*holders(name)]) if m in wide), name) for name in ours)
    known = list(dict.fromkeys(names))
    fresh = [name for name in sorted(wide) if not any(is_inside(name, text) for text in known)]
    return [*known, *fresh]


def _shorter(names: Sequence[str]) -> list[str]:
    """Names with the last part of the deepest ones removed."""
    depth = max(name.count(".") for name in names)
    if not depth:
        return list(names)
    cut = (name.rpartition(".")[0] if name.count(".") == depth else name for name in names)
    shorter = list(dict.fromkeys(cut))
    return [name for name in shorter if not any(is_inside(name, o) for o in shorter if o != name)]
