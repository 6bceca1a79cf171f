"""A block family: what can stand in for a convolution or a residual block. One file each."""

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
    """Builds blocks that keep a site's interface: channels in and out, stride, image size.

    To add one, write a file in this folder that opens with its paper, subclass `ConvFamily` or
    `ResidualFamily`, register an instance with `FAMILIES`, and import it in `blocks/__init__.py`;
    or write it in a file of your own: see docs/extending.md. Its cost needs no word: it is read off
    the block itself. A file in this folder takes `torch` and `nn` from `lazy_imports`, and classes
    of nn.Module go into a file beside it, so that listing techniques does not wait for torch.

    Args:
        added: additions to the plain block, as in "ghost+se".

    Attributes:
        additions: what may be added, in the order in which names have it.
        cuttable: whether channels can be cut around the block; not where it moves or mixes them
            in its forward pass.
        normalises: whether it brings batch norm, so that the one behind the site goes.
        by_default: whether a study that does not say otherwise tries it.
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
        """As written in plans: "ghost", or "ghost+se" with an addition."""
        return "+".join((self.info.name, *self.added))

    @property
    def is_gated(self) -> bool:
        """Whether squeeze-and-excitation is added."""
        return "se" in self.added

    @abstractmethod
    def takes(self, spec: Spec) -> bool:
        """Whether a site is of the sort that the family replaces at all."""

    @abstractmethod
    def why_not(self, spec: Spec) -> str:
        """Why the family cannot act at a site, of whatever sort; empty if it can."""

    @abstractmethod
    def block(self, spec: Spec, original: nn.Module | None = None) -> nn.Module:
        """A block for a site, with what is added to it, started from the original if there is one.

        Called on the meta device too, so it must not look at numbers of its own.

        Raises:
            TypeError: the site is of another sort.
        """

    def clash(self) -> str:
        """Why these additions do not go together; empty if they do."""
        return ""


class ConvFamily(BlockFamily):
    """A family that replaces single convolutions."""

    additions: ClassVar[tuple[str, ...]] = ("se", "residual")

    @abstractmethod
    def build(self, spec: ConvSpec) -> nn.Module:
        """The plain block for that place, [batch, in, h, w] -> [batch, out, h/stride, w/stride]."""

    def refuses(self, spec: ConvSpec) -> str:
        """Why the family cannot act there; empty if it can."""
        return ""

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Start the plain block from the weights of the convolution that it replaces.

        The default does nothing: what is still noise is fitted to the convolution's outputs
        (`objectives.training.block_fitting`).
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
    """A family that replaces whole residual blocks.

    Where a block makes images smaller, "narrow" and "early" say how (see `additions`).
    """

    additions: ClassVar[tuple[str, ...]] = ("se", "narrow", "early")

    @abstractmethod
    def build(self, spec: BlockSpec) -> nn.Module:
        """A block for that place, [batch, in, h, w] -> [batch, out, h/stride, w/stride]."""

    def refuses(self, spec: BlockSpec) -> str:
        """Why the family cannot act there; empty if it can."""
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
        return "narrow and early are two answers to one question" if both else ""


FAMILIES: Registry[BlockFamily] = Registry(
    "block family", see="paredown techniques", on_replaced=lambda: forget_families()
)


@lru_cache(maxsize=1024)
def find_family(name: str) -> BlockFamily:
    """The family of that name, with its additions: "ghost", "fire+shuffle+se".

    Raises:
        UnknownName: no such family or addition.
        PlanError: additions that do not go together.
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
"""Gives the piece of a family's block for a place."""


@lru_cache(maxsize=8192)
def block_graph(family: str, spec: Spec) -> BlockGraph:
    """A family's block for that place, as layers: found out once, then remembered."""
    return _SOURCE.get()(family, spec)


@contextmanager
def pieces_from(source: PieceSource) -> Iterator[None]:
    """Pieces that are not remembered yet are taken from there, inside and in this thread.

    Costs are predicted from pieces by arithmetic, so a process that has them from another one needs
    no torch.
    """
    before = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(before)


def take_piece(family: str, spec: Spec) -> BlockGraph:
    """Build a family's block on the meta device, and take it apart."""
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
    """The pieces that were taken apart of a family's blocks at a sort of site."""
    return []


def _at_any_width(spec: Spec) -> Spec:
    """What specs of one sort share: whether the ends are equally wide, but not how wide."""
    ends = (1, 1) if spec.in_channels == spec.out_channels else (1, 2)
    if isinstance(spec, ConvSpec):
        return replace(spec, in_channels=ends[0], out_channels=ends[1])
    return replace(spec, in_channels=ends[0], out_channels=ends[1], hidden=1)


def clear_block_graphs() -> None:
    """Forget what was found out about blocks, as when a family changes."""
    block_graph.cache_clear()
    _likes.cache_clear()


def forget_families() -> None:
    """Forget all that was found out about families, as when another takes one's name."""
    find_family.cache_clear()
    clear_block_graphs()


def variants() -> Iterator[str]:
    """Every family by name, and every family with each of its additions."""
    for family in FAMILIES:
        yield family.name
        for addition in family.additions:
            whole = type(family)([addition])
            if not whole.clash():
                yield whole.name


def copy_bias(conv: nn.Conv2d, original: nn.Conv2d) -> None:
    """Start a convolution's bias from the first ones of another, where both have any."""
    if conv.bias is not None and original.bias is not None:
        with torch.no_grad():
            conv.bias.copy_(original.bias[: conv.out_channels])


def convolution(block: nn.Module, name: str = "") -> nn.Conv2d:
    """The convolution of that name inside a block; without a name, the block itself."""
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
