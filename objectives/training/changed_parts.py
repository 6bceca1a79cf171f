"""The parts of a network that a plan has changed, each with what it stands in for.

A part is a residual block, or outside of them a convolution with its batch norm or a linear layer.
What comes in and goes out of it are channels of the network as it was, all of them or those that
are left: so it can learn from that network's features alone, whatever else the plan changes.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from ...spaces.graph.blueprint import Blueprint, Channels
from ...spaces.graph.sites import find_blocks


@dataclass(frozen=True, eq=False)
class ReplacedPart:
    """A part of a network and its likeness in the network before the change.

    Attributes:
        modules: their names, in running order; the first one's input is the part's, and the last
            one's output.
        input_channels, output_channels: the channels that the old part read and wrote.
        reads, writes: which of these are left: [channels]; None if all are.
    """

    modules: tuple[str, ...]
    input_channels: Channels
    output_channels: Channels
    reads: torch.Tensor | None
    writes: torch.Tensor | None

    def of(self, network: nn.Module) -> nn.Sequential:
        """The part as a module of that network."""
        return nn.Sequential(*(network.get_submodule(name) for name in self.modules))

    def is_in(self, network: nn.Module) -> bool:
        """Whether that network still has it."""
        names = {name for name, _ in network.named_modules()}
        return names.issuperset(self.modules)

    def leads_to(self, other: "ReplacedPart") -> bool:
        """Whether another reads just what this one writes."""
        return self.output_channels == other.input_channels

    def with_next(self, behind: "ReplacedPart") -> "ReplacedPart":
        """The two as one."""
        modules = (*self.modules, *behind.modules)
        return ReplacedPart(
            modules, self.input_channels, behind.output_channels, self.reads, behind.writes
        )


def find_parts(
    blueprint: Blueprint, old: nn.Module, new: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> list[ReplacedPart]:
    """The parts that were changed, in running order.

    Args:
        blueprint: of the old network.
        old, new: the network before the change and after it.
        tensors: group -> which of its channels are left; groups that lost none are not there.
    """
    return [
        part
        for part in _parts(blueprint, tensors)
        if part.is_in(new) and shape_of(part.of(old)) != shape_of(part.of(new))
    ]


def shape_of(module: nn.Module) -> str:
    """A module without its numbers: classes, plain attributes and shapes of all that is inside."""
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
    """All parts of a network; those behind channels that cannot be told apart are left out."""
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
    """Whether it is known which of these channels are left; not where several groups join."""
    return bool(channels.group) or not any(group in tensors for group in channels.groups)


def _interfaces(
    blueprint: Blueprint,
) -> Iterator[tuple[tuple[str, ...], Channels, Channels]]:
    """Modules that go together, and the channels that they read and write."""
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
    """The blueprint without residual blocks whose convolutions have been replaced one by one."""
    marks = blueprint.structure
    whole = (b for b in marks.blocks if b.entry in layers and b.middle in layers)
    blocks = tuple(block for block in whole if block.exit in layers)
    return replace(blueprint, structure=replace(marks, blocks=blocks))


__all__ = ["ReplacedPart", "find_parts", "shape_of"]
