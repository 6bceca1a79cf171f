"""The blueprint of a network: its layers, channel groups and stages, without weights.

The cost of a plan's network is predicted on a blueprint, before the network is built.
`spaces.graph.tracing` creates blueprints.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from .channel_rounding import WIDEST_MULTIPLE
from .structure import NetworkStructure
from .submodules import holders

STEM = "stem"
HEAD = "head"
STAGE = "stage"
"""Stages: the first convolution, the linear layers behind the last one, and "stage1"... between."""

WHOLE = "network"
"""The place of choices for the whole network."""

ALL_GROUPS = "all groups"
"""The name of the skipped item if no channel of a network can be pruned."""


class Op(StrEnum):
    """The type of a layer, which determines its cost."""

    CONV = "conv"
    LINEAR = "linear"
    CHANNELWISE = "channelwise"  # a number of parameters per channel: batch norm 2, PReLU 1
    OTHER = "other"  # known parameters, unknown arithmetic


@dataclass(frozen=True)
class Channels:
    """A number of channels: a fixed part, plus a multiple of the size of each channel group.

    A concatenation of groups a and b is `shares={"a": 1, "b": 1}`; a linear layer behind a
    flattened 4x4 image of group a reads `shares={"a": 16}`.
    """

    fixed: int = 0
    shares: tuple[tuple[str, int], ...] = ()

    def count(self, sizes: Mapping[str, int]) -> int:
        """Return the number of channels for given group sizes."""
        total = self.fixed
        for group, share in self.shares:
            total += sizes[group] * share
        return total

    @cached_property
    def groups(self) -> tuple[str, ...]:
        return tuple(group for group, _ in self.shares)

    @classmethod
    def of(cls, group: str) -> "Channels":
        """Create the channels of one group."""
        return cls(shares=((group, 1),))

    @cached_property
    def group(self) -> str:
        """The group that these channels are, exactly once; empty if there is no such group."""
        whole = self.fixed == 0 and len(self.shares) == 1 and self.shares[0][1] == 1
        return self.shares[0][0] if whole else ""

    def is_group(self, group: str) -> bool:
        """Return whether these are exactly the channels of a group."""
        return bool(group) and self.group == group

    def substitute(self, meanings: Mapping[str, "Channels"]) -> "Channels":
        """Replace groups by other channels, as when a block is inserted into a network."""
        fixed, shares = self.fixed, dict[str, int]()
        for group, share in self.shares:
            meaning = meanings.get(group, Channels.of(group))
            fixed += meaning.fixed * share
            for other, times in meaning.shares:
                shares[other] = shares.get(other, 0) + times * share
        return Channels(fixed, tuple(shares.items()))


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution as [height, width] pairs."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    input_size: tuple[int, int]
    padding_mode: str = "zeros"

    @property
    def text(self) -> str:
        return f"{self.kernel[0]}x{self.kernel[1]}"

    @property
    def output_pixels(self) -> int:
        """The number of output pixels of one call."""
        pixels = 1
        for axis, side in enumerate(self.input_size):
            reach = self.dilation[axis] * (self.kernel[axis] - 1)
            pixels *= (side + 2 * self.padding[axis] - reach - 1) // self.stride[axis] + 1
        return pixels


@dataclass(frozen=True)
class Layer:
    """A module with parameters.

    Attributes:
        name: dotted module name.
        positions: output pixels over all calls for one image; 0 if the layer never runs.
        split: the number of groups of a convolution; 0 for depthwise, one group per channel.
        per_channel: parameters per channel of a channelwise layer.
        fixed_params: parameters of an `OTHER` layer.
        stage: "stem", "stage1"..., "head".
        weight_bits, activation_bits: the bits of the weights and of the inputs.
        zeros: the number of weights that are zero and stored as a mask.
        normalises: for a batch norm that alone reads a convolution's output, that convolution, into
            which it can be folded; empty for other layers.
        is_frozen: whether techniques must not change the layer.
    """

    name: str
    op: Op
    reads: Channels
    writes: Channels
    stage: str = ""
    positions: int = 0
    split: int = 1
    bias: bool = False
    per_channel: int = 0
    fixed_params: int = 0
    geometry: Geometry | None = None
    weight_bits: int = 32
    activation_bits: int = 32
    zeros: int = 0
    normalises: str = ""
    is_frozen: bool = False

    @cached_property
    def computes(self) -> bool:
        """Whether the layer has MACs: a convolution or linear layer that runs."""
        return self.op in (Op.CONV, Op.LINEAR) and self.positions > 0

    @cached_property
    def touches(self) -> tuple[str, ...]:
        """The channel groups that the layer reads or writes."""
        return self.reads.groups + self.writes.groups

    def substituted(self, meanings: Mapping[str, Channels]) -> "Layer":
        """Replace groups by other channels."""
        if not any(group in meanings for group in self.touches):
            return self
        reads, writes = self.reads.substitute(meanings), self.writes.substitute(meanings)
        return self.but(reads=reads, writes=writes)

    def but(self, **changes: object) -> "Layer":
        """Return a copy with some attributes changed.

        Like `dataclasses.replace`, but ten times as fast: predicting costs does little else.
        """
        layer = object.__new__(Layer)
        known = self.__dict__  # includes cached properties, which must not be copied
        layer.__dict__.update({name: known[name] for name in _LAYER_FIELDS} | changes)
        return layer

    def weights(self, sizes: Mapping[str, int]) -> int:
        """Count the weights of a convolution or linear layer; 0 for other layers."""
        if self.op not in (Op.CONV, Op.LINEAR):
            return 0
        area = self.geometry.kernel[0] * self.geometry.kernel[1] if self.geometry else 1
        fan_in = 1 if self.split == 0 else self.reads.count(sizes) // self.split
        return self.writes.count(sizes) * fan_in * area

    def other_params(self, sizes: Mapping[str, int]) -> int:
        """Count all other parameters: biases, normalisation, `OTHER` layers."""
        if self.op in (Op.CONV, Op.LINEAR):
            return self.writes.count(sizes) if self.bias else 0
        return self.per_channel * self.writes.count(sizes) + self.fixed_params

    def macs(self, sizes: Mapping[str, int]) -> int:
        """Count the MACs for one image; only convolutions and linear layers have any."""
        return self.weights(sizes) * self.positions


_LAYER_FIELDS = tuple(field.name for field in fields(Layer))


@dataclass(frozen=True)
class Group:
    """A channel group: channels of several layers that must be removed together.

    A residual sum, for example, ties the channels of its inputs.

    Attributes:
        name: the first layer that writes the channels.
        size: the number of channels.
        stage: the stage whose choices apply to the group.
    """

    name: str
    size: int
    stage: str


@dataclass(frozen=True)
class PruningConfig:
    """The configuration of channel pruning.

    Attributes:
        criterion: the criterion that selects the channels.
        multiple: the multiple to which remaining channels are rounded in wide groups.
        steps: the number of cuts, with training in between.
    """

    criterion: str = "l1"
    multiple: int = WIDEST_MULTIPLE
    steps: int = 1


@dataclass(frozen=True)
class Skipped:
    """A layer, block or group that a technique cannot change, with the reason."""

    technique: str
    name: str
    reason: str


@dataclass(frozen=True)
class Blueprint:
    """A network without weights.

    Attributes:
        layers: in running order.
        groups: channel groups by name.
        skipped: groups and operators that cannot be pruned or counted, with reasons.
        structure: residual blocks, classifier head and uncounted operators.
        pruning: the configuration of channel pruning.
        scaled: fraction of the image's side length -> the blueprint on smaller images.
    """

    layers: tuple[Layer, ...]
    groups: Mapping[str, Group] = field(default_factory=lambda: MappingProxyType({}))
    skipped: tuple[Skipped, ...] = ()
    structure: NetworkStructure = field(default_factory=NetworkStructure)
    pruning: PruningConfig = field(default_factory=PruningConfig)
    scaled: Mapping[float, "Blueprint"] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    @cached_property
    def sizes(self) -> dict[str, int]:
        return {name: group.size for name, group in self.groups.items()}

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages with a convolution or linear layer, from input to output."""
        computing = (layer.stage for layer in self.layers if layer.op in (Op.CONV, Op.LINEAR))
        return tuple(dict.fromkeys(computing))

    @cached_property
    def roots(self) -> dict[str, str]:
        """Map each group to a layer that writes exactly that group, where its pruning starts."""
        roots = dict[str, str]()
        for layer in self.layers:
            if layer.op in (Op.CONV, Op.LINEAR) and layer.split == 1 and layer.writes.group:
                roots.setdefault(layer.writes.group, layer.name)
        return roots

    def layer(self, name: str) -> Layer:
        """Return the layer of that name."""
        return self._by_name[name]

    def under(self, module: str) -> frozenset[str]:
        """Return the names of the layers that are a module or inside it."""
        return frozenset(self._by_module.get(module, ()))

    def resized(self, sizes: Mapping[str, int]) -> "Blueprint":
        """Return a copy with other group sizes."""
        groups = dict(self.groups)
        for name, size in sizes.items():
            groups[name] = replace(groups[name], size=size)
        return replace(self, groups=MappingProxyType(groups))

    def frozen(self, names: Iterable[str]) -> "Blueprint":
        """Return a copy in which the channels of some groups are fixed and cannot be pruned."""
        return self.substituted({name: Channels(self.groups[name].size) for name in set(names)})

    def substituted(self, meanings: Mapping[str, Channels]) -> "Blueprint":
        """Return a copy in which some groups are replaced by other channels and removed."""
        if not meanings:
            return self
        layers = tuple(layer.substituted(meanings) for layer in self.layers)
        remaining = {name: group for name, group in self.groups.items() if name not in meanings}
        return replace(self, layers=layers, groups=MappingProxyType(remaining))

    def without_layers(self, names: Container[str]) -> "Blueprint":
        """Return a copy without some layers, and without groups that no layer has any more."""
        layers = tuple(layer for layer in self.layers if layer.name not in names)
        return replace(self, layers=layers).without_orphans()

    def without_orphans(self) -> "Blueprint":
        """Return a copy without groups that no layer has."""
        used = {group for layer in self.layers for group in layer.touches}
        if used.issuperset(self.groups):
            return self
        remaining = {name: group for name, group in self.groups.items() if name in used}
        return replace(self, groups=MappingProxyType(remaining))

    def with_layers(self, layers: Iterable[Layer]) -> "Blueprint":
        """Return a copy with other layers and the same groups."""
        return replace(self, layers=tuple(layers))

    @cached_property
    def _by_module(self) -> dict[str, list[str]]:
        results = dict[str, list[str]]()
        for layer in self.layers:
            for module in holders(layer.name):
                results.setdefault(module, []).append(layer.name)
        return results

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}
