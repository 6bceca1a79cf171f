"""Count what block families save on the layers that they replace.

Every family, with each of its additions, takes every place of a network that it fits; printed is
the ratio of params and of MACs of the changed layers, before over after. The figures of `paredown
techniques` and docs/techniques.md come from here. These are counts, so they are the same on every
machine.

    python benchmarks/savings.py
"""

import torch
from paredown.search.terminal.tables import plain_table
from paredown.spaces.apply import predict_graph
from paredown.spaces.blocks import variants
from paredown.spaces.graph.blueprint import Blueprint, Layer
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.techniques import TECHNIQUES
from rich.console import Console

MODELS = ("resnet101-cifar", "vgg19-cifar", "resnet20", "resnet18")
SIZE, CLASSES = 32, 10

Row = tuple[str, int, int]


def rows(blueprint: Blueprint) -> set[Row]:
    """The name, params and MACs of each layer."""
    sizes = blueprint.sizes

    def row(layer: Layer) -> Row:
        params = layer.weights(sizes) + layer.other_params(sizes)
        return layer.name, params, layer.macs(sizes)

    return {row(layer) for layer in blueprint.layers}


def saving(blueprint: Blueprint, family: str) -> str:
    """The ratios of params and MACs of the changed layers, before over after."""
    places = TECHNIQUES.get("block").places(blueprint, family)
    if not places:
        return "-"
    plan = Plan.of({"block": dict.fromkeys(places, family)})
    before, after = rows(blueprint), rows(predict_graph(blueprint, plan))
    gone, new = before - after, after - before
    if not gone:  # additions alone
        gone, new = before, after
    params = sum(row[1] for row in gone) / sum(row[1] for row in new)
    macs = sum(row[2] for row in gone) / max(1, sum(row[2] for row in new))
    return f"{params:.1f}x / {macs:.1f}x"


def main() -> None:
    """Print the table."""
    blueprints = []
    for name in MODELS:
        with torch.device("meta"):
            network = build_model(name, CLASSES, 3)
        blueprints.append(trace_with_groups(network, example_images(3, SIZE)))
    table = plain_table("family", *(f">{name}" for name in MODELS))
    for family in variants():
        table.add_row(family, *(saving(blueprint, family) for blueprint in blueprints))
    Console().print(f"params / MACs of the layers replaced, {SIZE} px, {CLASSES} classes")
    Console().print(table)


if __name__ == "__main__":
    main()
