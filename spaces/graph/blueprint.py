"""A network without its weights: its layers, which channels belong together, and its stages.

Everything that a plan does to a network's cost can be predicted on a blueprint, by arithmetic,
before anything is built. `spaces.graph.tracing` reads a blueprint off a network.
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
"""The first convolution, the linear layers behind the last one, and "stage1"... between."""

WHOLE = "network"
"""The place of choices that are made once."""

ALL_GROUPS = "all groups"
"""What is left alone where no channel of a network can be cut."""


class Op(StrEnum):
    """What a layer computes, as far as its cost goes."""

    CONV = "conv"
    LINEAR = "linear"
    CHANNELWISE = "channelwise"  # so many parameters per channel: batch norm 2, PReLU 1
    OTHER = "other"  # its parameters are known, its arithmetic is not


@dataclass(frozen=True)
class Channels:
    """How many channels a layer reads or writes: some fixed, and some for each channel of a group.

    A concatenation of groups a and b is `shares={"a": 1, "b": 1}`; a linear layer behind a
    flattened 4x4 image of group a reads `shares={"a": 16}`.
    """

    fixed: int = 0
    shares: tuple[tuple[str, int], ...] = ()

    def count(self, sizes: Mapping[str, int]) -> int:
        """The number of channels when the groups have these sizes."""
        total = self.fixed
        for group, share in self.shares:
            total += sizes[group] * share
        return total

    @cached_property
    def groups(self) -> tuple[str, ...]:
        return tuple(group for group, _ in self.shares)

    @classmethod
    def of(cls, group: str) -> "Channels":
        """The channels of one group."""
        return cls(shares=((group, 1),))

    @cached_property
    def group(self) -> str:
        """The group whose channels these are; empty if they are several, fixed, or part of one."""
        whole = self.fixed == 0 and len(self.shares) == 1 and self.shares[0][1] == 1
        return self.shares[0][0] if whole else ""

    def is_group(self, group: str) -> bool:
        """Whether these are exactly the channels of one group."""
        return bool(group) and self.group == group

    def substitute(self, meanings: Mapping[str, "Channels"]) -> "Channels":
        """These channels with some groups put in other terms, as when a block joins a network."""
        fixed, shares = self.fixed, dict[str, int]()
        for group, share in self.shares:
            meaning = meanings.get(group, Channels.of(group))
            fixed += meaning.fixed * share
            for other, times in meaning.shares:
                shares[other] = shares.get(other, 0) + times * share
        return Channels(fixed, tuple(shares.items()))


@dataclass(frozen=True)
class Geometry:
    """What a convolution is besides its channels; [height, width] pairs."""

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
        """The pixels that it writes when it runs once."""
        pixels = 1
        for axis, side in enumerate(self.input_size):
            reach = self.dilation[axis] * (self.kernel[axis] - 1)
            pixels *= (side + 2 * self.padding[axis] - reach - 1) // self.stride[axis] + 1
        return pixels


@dataclass(frozen=True)
class Layer:
    """One module with parameters, in the order in which it runs.

    Attributes:
        name: dotted module name.
        positions: output pixels for which it computes, over all its calls; 0 if it never ran.
        split: into how many groups a convolution's channels fall; 0 = depthwise, one per channel.
        per_channel: parameters per channel of a channelwise layer.
        fixed_params: parameters of an `OTHER` layer.
        stage: "stem", "stage1"..., "head".
        weight_bits, activation_bits: of its weights, and of what it reads.
        zeros: weights that are zero and stored as a mask.
        normalises: the convolution whose output a batch norm alone reads, so that it can be
            folded into it; empty for others.
        is_frozen: whether no technique may touch it.
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
        """Whether it is a convolution or linear layer that runs."""
        return self.op in (Op.CONV, Op.LINEAR) and self.positions > 0

    @cached_property
    def touches(self) -> tuple[str, ...]:
        """The channel groups that it reads or writes."""
        return self.reads.groups + self.writes.groups

    def substituted(self, meanings: Mapping[str, Channels]) -> "Layer":
        """The same layer with some groups put in other terms."""
        if not any(group in meanings for group in self.touches):
            return self
        reads, writes = self.reads.substitute(meanings), self.writes.substitute(meanings)
        return self.but(reads=reads, writes=writes)

    def but(self, **changes: object) -> "Layer":
        """The same layer with some attributes changed.

        As `dataclasses.replace`, at a tenth of its time: costing a plan does little else.
        """
        layer = object.__new__(Layer)
        known = self.__dict__  # cached properties too, which may hold no longer
        layer.__dict__.update({name: known[name] for name in _LAYER_FIELDS} | changes)
        return layer

    def weights(self, sizes: Mapping[str, int]) -> int:
        """Elements of the weight of a convolution or linear layer; 0 for others."""
        if self.op not in (Op.CONV, Op.LINEAR):
            return 0
        area = self.geometry.kernel[0] * self.geometry.kernel[1] if self.geometry else 1
        fan_in = 1 if self.split == 0 else self.reads.count(sizes) // self.split
        return self.writes.count(sizes) * fan_in * area

    def other_params(self, sizes: Mapping[str, int]) -> int:
        """Parameters beside the weight: biases, normalisation, what cannot be told apart."""
        if self.op in (Op.CONV, Op.LINEAR):
            return self.writes.count(sizes) if self.bias else 0
        return self.per_channel * self.writes.count(sizes) + self.fixed_params

    def macs(self, sizes: Mapping[str, int]) -> int:
        """Multiply-accumulates for one image; convolutions and linear layers alone have any."""
        return self.weights(sizes) * self.positions


_LAYER_FIELDS = tuple(field.name for field in fields(Layer))


@dataclass(frozen=True)
class Group:
    """Channels that can only be removed together, as those that a residual sum ties.

    Attributes:
        name: the first layer that writes them.
        size: how many there are.
        stage: the stage whose choices decide about them.
    """

    name: str
    size: int
    stage: str


@dataclass(frozen=True)
class PruningConfig:
    """How channels are cut from a trained network.

    Attributes:
        criterion: says which ones.
        multiple: to which what stays is rounded, where a group is wide enough.
        steps: in how many cuts, with training between.
    """

    criterion: str = "l1"
    multiple: int = WIDEST_MULTIPLE
    steps: int = 1


@dataclass(frozen=True)
class Skipped:
    """A place that a technique does not touch, and why."""

    technique: str
    name: str
    reason: str


@dataclass(frozen=True)
class Blueprint:
    """A network as its plans see it.

    Attributes:
        layers: in running order.
        groups: channel groups by name.
        skipped: what nothing may touch, and why.
        structure: residual blocks, the tail and what no layer stands for.
        pruning: how channels are cut from it once it is trained.
        scaled: share of the image's side -> the same network on smaller images.
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
        """The stages with a layer that computes, from input to output."""
        computing = (layer.stage for layer in self.layers if layer.op in (Op.CONV, Op.LINEAR))
        return tuple(dict.fromkeys(computing))

    @cached_property
    def roots(self) -> dict[str, str]:
        """For each group a layer that writes just that group: where its removal starts."""
        roots = dict[str, str]()
        for layer in self.layers:
            if layer.op in (Op.CONV, Op.LINEAR) and layer.split == 1 and layer.writes.group:
                roots.setdefault(layer.writes.group, layer.name)
        return roots

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return self._by_name[name]

    def under(self, module: str) -> frozenset[str]:
        """The names of a module's layers: its own, and those of what is inside."""
        return frozenset(self._by_module.get(module, ()))

    def resized(self, sizes: Mapping[str, int]) -> "Blueprint":
        """The same network with other group sizes."""
        groups = dict(self.groups)
        for name, size in sizes.items():
            groups[name] = replace(groups[name], size=size)
        return replace(self, groups=MappingProxyType(groups))

    def frozen(self, names: Iterable[str]) -> "Blueprint":
        """The same network where some groups can no longer be cut: their channels are fixed."""
        return self.substituted({name: Channels(self.groups[name].size) for name in set(names)})

    def substituted(self, meanings: Mapping[str, Channels]) -> "Blueprint":
        """The same network with some groups put in other terms; they are groups no more."""
        if not meanings:
            return self
        layers = tuple(layer.substituted(meanings) for layer in self.layers)
        remaining = {name: group for name, group in self.groups.items() if name not in meanings}
        return replace(self, layers=layers, groups=MappingProxyType(remaining))

    def without_layers(self, names: Container[str]) -> "Blueprint":
        """The same network without some layers, and without groups that no layer has any more."""
        layers = tuple(layer for layer in self.layers if layer.name not in names)
        return replace(self, layers=layers).without_orphans()

    def without_orphans(self) -> "Blueprint":
        """The same network without groups that no layer has."""
        used = {group for layer in self.layers for group in layer.touches}
        if used.issuperset(self.groups):
            return self
        remaining = {name: group for name, group in self.groups.items() if name in used}
        return replace(self, groups=MappingProxyType(remaining))

    def with_layers(self, layers: Iterable[Layer]) -> "Blueprint":
        """The same groups over other layers."""
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
