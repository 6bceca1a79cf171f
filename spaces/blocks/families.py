"""Base classes of block families, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

from ...errors import PlanError, UnknownName
from ...lazy_imports import nn, torch
from ...registry import Registry
from ..graph.sites import BlockSpec, ConvSpec, Spec
from ..technique import TechniqueInfo
from .block_graph import BlockGraph


class BlockFamily(ABC):
    """Base class of block families, which build blocks with the interface of a site.

    The interface is the channels in and out, the stride and the image size. Subclass `ConvFamily`
    to replace convolutions or `ResidualFamily` to replace residual blocks, and implement `build`.
    Costs need no code: they are traced from the block.

    The methods are called in this order:

    1. The constructor, once per combination of additions in a plan or study file; then
       :meth:`clash`.
    2. :meth:`takes` and :meth:`why_not` for each site when the search space is created, and
       :meth:`why_not` again for each plan that uses the family. They must be fast.
    3. :meth:`block` on the meta device, without `original`, once per kind of site, to trace the
       block's layers and channels.
    4. :meth:`block` with `original` for each evaluated plan: `build`, then `inherit` for
       convolutions.

    A family is one file in this folder that opens with its paper and registers an instance with
    `FAMILIES`, imported in `blocks/__init__.py`; or a file of the user's, see docs/extending.md.
    Files in this folder take `torch` and `nn` from `lazy_imports` and keep subclasses of
    `nn.Module` in a separate file, so that listings do not import torch.

    Args:
        added: additions to the plain block, as in "ghost+se".

    Attributes:
        additions: the accepted additions, in the order used in names.
        cuttable: whether channels around the block can be pruned; False if its forward pass moves
            or mixes them.
        normalises: whether it contains batch norm, so that the one behind the site is removed.
        by_default: whether studies search it by default.
    """

    info: TechniqueInfo
    additions: ClassVar[tuple[str, ...]] = ()
    cuttable: ClassVar[bool] = True
    normalises: ClassVar[bool] = False
    by_default: ClassVar[bool] = True

    def __init__(self, added: Collection[str] = ()) -> None:
        self.added = tuple(name for name in self.additions if name in added)

    @property
    def name(self) -> str:
        """The name in plans: "ghost", or "ghost+se" with an addition."""
        return "+".join((self.info.name, *self.added))

    @property
    def is_gated(self) -> bool:
        """Whether squeeze-and-excitation is added."""
        return "se" in self.added

    @abstractmethod
    def takes(self, spec: Spec) -> bool:
        """Return whether the family replaces sites of this type."""

    @abstractmethod
    def why_not(self, spec: Spec) -> str:
        """Return why the family cannot replace a site of any type; empty if it can."""

    @abstractmethod
    def block(self, spec: Spec, original: nn.Module | None = None) -> nn.Module:
        """Build the block for a site, with additions, initialised from the original if given.

        Also called on the meta device, so it must not depend on the values of its weights.

        Raises:
            TypeError: the site is of another type.
        """

    def clash(self) -> str:
        """Return why these additions exclude each other; empty if they do not."""
        return ""


class ConvFamily(BlockFamily):
    """Base class of families that replace single convolutions.

    Subclasses implement :meth:`build`, and :meth:`refuses` and :meth:`inherit` where needed.
    """

    additions: ClassVar[tuple[str, ...]] = ("se", "residual")

    @abstractmethod
    def build(self, spec: ConvSpec) -> nn.Module:
        """Build the plain block, [batch, in, h, w] -> [batch, out, h/stride, w/stride]."""

    def refuses(self, spec: ConvSpec) -> str:
        """Return why the family cannot replace this convolution; empty if it can."""
        return ""

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Initialise the plain block from the convolution that it replaces. Called after `build`.

        The default does nothing. Blocks that are still random are later fitted to the
        convolution's outputs (`objectives.training.block_fitting`).
        """

    def takes(self, spec: Spec) -> bool:
        return isinstance(spec, ConvSpec)

    def why_not(self, spec: Spec) -> str:
        return self.refuses(spec) if isinstance(spec, ConvSpec) else "it replaces convolutions"

    def block(self, spec: Spec, original: nn.Module | None = None) -> nn.Module:
        if not isinstance(spec, ConvSpec):
            raise TypeError(f"{self.name} replaces convolutions, got {spec}")
        from .block_layers import AroundIdentity, SqueezeExcite

        block = self.build(spec)
        if isinstance(original, nn.Conv2d):
            self.inherit(block, original)
        if self.is_gated:
            block = nn.Sequential(OrderedDict(block=block, se=SqueezeExcite(spec.out_channels)))
        if "residual" in self.added and spec.keeps_shape:
            block = AroundIdentity(block)
        return block


class ResidualFamily(BlockFamily):
    """Base class of families that replace whole residual blocks.

    Subclasses implement :meth:`build`, and :meth:`refuses` where needed. The additions "narrow" and
    "early" change strided blocks (see `additions`).
    """

    additions: ClassVar[tuple[str, ...]] = ("se", "narrow", "early")

    @abstractmethod
    def build(self, spec: BlockSpec) -> nn.Module:
        """Build the block, [batch, in, h, w] -> [batch, out, h/stride, w/stride]."""

    def refuses(self, spec: BlockSpec) -> str:
        """Return why the family cannot replace this block; empty if it can."""
        return ""

    def takes(self, spec: Spec) -> bool:
        return isinstance(spec, BlockSpec)

    def why_not(self, spec: Spec) -> str:
        return self.refuses(spec) if isinstance(spec, BlockSpec) else "it replaces residual blocks"

    def block(self, spec: Spec, original: nn.Module | None = None) -> nn.Module:
        if not isinstance(spec, BlockSpec):
            raise TypeError(f"{self.name} replaces residual blocks, got {spec}")
        return self.build(spec)

    @property
    def is_narrow(self) -> bool:
        return "narrow" in self.added

    @property
    def is_early(self) -> bool:
        return "early" in self.added

    def clash(self) -> str:
        both = self.is_narrow and self.is_early
        return "narrow and early are mutually exclusive" if both else ""


FAMILIES: Registry[BlockFamily] = Registry(
    "block family", see="paredown techniques", on_replaced=lambda: forget_families()
)


@lru_cache(maxsize=1024)
def find_family(name: str) -> BlockFamily:
    """Look up a family by name, with additions: "ghost", "fire+shuffle+se".

    Raises:
        UnknownName: unknown family or addition.
        PlanError: additions that exclude each other.
    """
    base, *added = name.split("+")
    family = FAMILIES.get(base)
    for text in added:
        if text not in family.additions:
            subject = f"addition to {base}"
            raise UnknownName(subject, text, family.additions, "paredown techniques")
    whole = type(family)(added)
    if clash := whole.clash():
        raise PlanError(f"{name}: {clash}")
    return whole


PieceSource = Callable[[str, Spec], BlockGraph]
"""Returns the block graph of a family at a site: (family name, spec of the site) -> graph."""


@lru_cache(maxsize=8192)
def block_graph(family: str, spec: Spec) -> BlockGraph:
    """Return the graph of a family's block at a site, cached."""
    return _SOURCE.get()(family, spec)


@contextmanager
def pieces_from(source: PieceSource) -> Iterator[None]:
    """Take uncached block graphs from another source, in this context and thread.

    Costs are computed from block graphs alone, so a process that gets them from another process
    does not need torch.
    """
    before = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(before)


def take_piece(family: str, spec: Spec) -> BlockGraph:
    """Build a family's block on the meta device and trace it, or rescale the graph of another."""
    from .block_tracing import take_apart
    from .rescale import resized

    block_family, likes = find_family(family), _likes(family, _at_any_width(spec))
    if likes:
        with torch.device("meta"):
            block = block_family.block(spec)
        for like in likes:
            again = resized(like, block, spec.in_channels, spec.out_channels)
            if again is not None:
                return again
    size = spec.geometry.input_size if isinstance(spec, ConvSpec) else spec.input_size
    new = take_apart(
        lambda: block_family.block(spec),
        spec.in_channels,
        spec.out_channels,
        size,
        cuttable=block_family.cuttable,
    )
    likes.append(new)
    return new


_SOURCE: ContextVar[PieceSource] = ContextVar("source", default=take_piece)


@lru_cache(maxsize=4096)
def _likes(family: str, spec: Spec) -> list[BlockGraph]:
    """Return the cached list of traced graphs of a family at sites that differ only in width."""
    return []


def _at_any_width(spec: Spec) -> Spec:
    """Replace the widths of a spec, keeping whether input and output widths are equal."""
    ends = (1, 1) if spec.in_channels == spec.out_channels else (1, 2)
    if isinstance(spec, ConvSpec):
        return replace(spec, in_channels=ends[0], out_channels=ends[1])
    return replace(spec, in_channels=ends[0], out_channels=ends[1], hidden=1)


def clear_block_graphs() -> None:
    """Clear the caches of block graphs, as when a family changes."""
    block_graph.cache_clear()
    _likes.cache_clear()


def forget_families() -> None:
    """Clear the caches of families and block graphs, as when a family is replaced."""
    find_family.cache_clear()
    clear_block_graphs()


def variants() -> Iterator[str]:
    """Yield the name of every family, alone and with each of its additions."""
    for family in FAMILIES:
        yield family.name
        for addition in family.additions:
            whole = type(family)([addition])
            if not whole.clash():
                yield whole.name


def copy_bias(conv: nn.Conv2d, original: nn.Conv2d) -> None:
    """Copy the first biases of a convolution to another, if both have biases."""
    if conv.bias is not None and original.bias is not None:
        with torch.no_grad():
            conv.bias.copy_(original.bias[: conv.out_channels])


def convolution(block: nn.Module, name: str = "") -> nn.Conv2d:
    """Return the convolution of that name inside a block; without a name, the block itself."""
    module = block.get_submodule(name)
    if not isinstance(module, nn.Conv2d):
        raise TypeError(f"expected a convolution at {name!r}, got {type(module).__name__}")
    return module


__all__ = [
    "FAMILIES",
    "BlockFamily",
    "ConvFamily",
    "ResidualFamily",
    "block_graph",
    "convolution",
    "copy_bias",
    "find_family",
    "pieces_from",
    "variants",
]
