"""Detection of the parts of a network that a plan has changed.

A part is a residual block or, outside of these, a convolution with its batch norm, or a linear
layer. Its inputs and outputs are all or some channels of the original network, so it can be fitted
to that network's features independently of all other parts.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from ...spaces.graph.blueprint import Blueprint, Channels
from ...spaces.graph.sites import find_blocks


@dataclass(frozen=True, eq=False)
class ReplacedPart:
    """A changed part of a network, and the channels of the original part.

    Attributes:
        modules: module names in running order; the part's input is that of the first module, and
            its output is that of the last.
        input_channels, output_channels: the channels that the original part read and wrote.
        reads, writes: the indices of the remaining channels, [channels]; None if all remain.
    """

    modules: tuple[str, ...]
    input_channels: Channels
    output_channels: Channels
    reads: torch.Tensor | None
    writes: torch.Tensor | None

    def of(self, network: nn.Module) -> nn.Sequential:
        """Return the part of a network as a module."""
        return nn.Sequential(*(network.get_submodule(name) for name in self.modules))

    def is_in(self, network: nn.Module) -> bool:
        """Return whether a network has all modules of the part."""
        names = {name for name, _ in network.named_modules()}
        return names.issuperset(self.modules)

    def leads_to(self, other: "ReplacedPart") -> bool:
        """Return whether another part reads exactly the output of this part."""
        return self.output_channels == other.input_channels

    def with_next(self, behind: "ReplacedPart") -> "ReplacedPart":
        """Join this part and the next one."""
        modules = (*self.modules, *behind.modules)
        return ReplacedPart(
            modules, self.input_channels, behind.output_channels, self.reads, behind.writes
        )


def find_parts(
    blueprint: Blueprint, old: nn.Module, new: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> list[ReplacedPart]:
    """Find the changed parts, in running order.

    Args:
        blueprint: the blueprint of the old network.
        old, new: the network before and after the change.
        tensors: group -> indices of its remaining channels; without groups that lost none.
    """
    return [
        part
        for part in _parts(blueprint, tensors)
        if part.is_in(new) and shape_of(part.of(old)) != shape_of(part.of(new))
    ]


def shape_of(module: nn.Module) -> str:
    """Describe a module without weights: classes, plain attributes and shapes of all submodules."""
    lines = list[str]()
    for name, inner in module.named_modules():
        plain = {
            key: value
            for key, value in sorted(vars(inner).items())
            if isinstance(value, int | float | str | tuple) and key != "training"
        }
        lines.append(f"{name} {type(inner).__module__}.{type(inner).__qualname__} {plain}")
    lines += [f"{name} {tuple(item.shape)}" for name, item in module.state_dict().items()]
    return "\n".join(lines)


def _parts(blueprint: Blueprint, tensors: Mapping[str, torch.Tensor]) -> Iterator[ReplacedPart]:
    """Yield all parts of a network whose remaining input and output channels are known."""
    for modules, input_channels, output_channels in _interfaces(blueprint):
        if _is_known(input_channels, tensors) and _is_known(output_channels, tensors):
            yield ReplacedPart(
                modules,
                input_channels,
                output_channels,
                tensors.get(input_channels.group),
                tensors.get(output_channels.group),
            )


def _is_known(channels: Channels, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether the remaining channels are known; not if a pruned group is one of several."""
    return bool(channels.group) or not any(group in tensors for group in channels.groups)


def _interfaces(
    blueprint: Blueprint,
) -> Iterator[tuple[tuple[str, ...], Channels, Channels]]:
    """Yield the modules of each part, and the channels that they read and write."""
    norms = {layer.normalises: layer.name for layer in blueprint.layers if layer.normalises}
    order = {layer.name: number for number, layer in enumerate(blueprint.layers)}
    inside, at = set[str](), dict[str, int]()
    blocks = find_blocks(_with_whole_blocks(blueprint, order))
    for number, site in enumerate(blocks):
        layers = blueprint.under(site.name)
        inside |= set(layers)
        at[min(layers, key=order.__getitem__)] = number
    for layer in blueprint.layers:
        if layer.name in at:
            site = blocks[at[layer.name]]
            yield (site.name,), site.reads, site.writes
        elif layer.computes and layer.name not in inside:
            norm = norms.get(layer.name, "")
            yield (layer.name, norm) if norm else (layer.name,), layer.reads, layer.writes


def _with_whole_blocks(blueprint: Blueprint, layers: Container[str]) -> Blueprint:
    """Return the blueprint without residual blocks in which convolutions were replaced."""
    marks = blueprint.structure
    whole = (b for b in marks.blocks if b.entry in layers and b.middle in layers)
    blocks = tuple(block for block in whole if block.exit in layers)
    return replace(blueprint, structure=replace(marks, blocks=blocks))


__all__ = ["ReplacedPart", "find_parts", "shape_of"]
