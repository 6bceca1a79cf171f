"""Assignment of layers to stages, by resolution."""

from collections.abc import Sequence
from dataclasses import replace

from .blueprint import HEAD, STAGE, STEM, Layer, Op


def with_stages(layers: Sequence[Layer]) -> list[Layer]:
    """Set the stage of each layer; stages are numbered from the largest resolution.

    A layer's resolution is the largest of all following layers, so that a squeeze-and-excitation
    gate, which computes at 1x1, belongs to the stage around it.
    """
    convs = [layer for layer in layers if layer.op is Op.CONV and layer.positions]
    computing = [layer for layer in layers if layer.op in (Op.CONV, Op.LINEAR) and layer.positions]
    stem = convs[0].name if convs else ""
    head = {computing[-1].name} if computing else set[str]()
    resolutions, largest = dict[str, int](), 0
    for layer in reversed(computing):
        if layer.op is Op.LINEAR and not largest:
            head.add(layer.name)
            continue
        largest = max(largest, layer.positions if layer.op is Op.CONV else 0)
        resolutions[layer.name] = largest
    between = [r for name, r in resolutions.items() if name != stem and name not in head]
    number = {r: index + 1 for index, r in enumerate(sorted(set(between), reverse=True))}

    staged, current = [], STEM
    for layer in layers:
        if layer.name in head:
            current = HEAD
        elif layer.name == stem:
            current = STEM
        elif layer.name in resolutions:
            current = f"{STAGE}{number[resolutions[layer.name]]}"
        staged.append(replace(layer, stage=current))
    return staged
