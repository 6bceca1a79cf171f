"""The techniques that a plan is made of: what each offers, predicts and does.

A technique knows both sides of its techniques: what they do to a network, and what they do to its
blueprint. That the two agree is what makes costs known before training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, TypeAlias

from ..lazy_imports import nn, torch
from .graph.blueprint import Blueprint, Skipped


@dataclass(frozen=True)
class TechniqueInfo:
    """One thing that a plan can do to a network.

    Attributes:
        name: as written in plans and study files.
        title: in words.
        replaces: what it acts on.
        saves: what it typically saves there.
        paper, link: what it comes from and where to read it; empty if it is common knowledge.
        extra: of Paredown that must be installed; empty if none.
    """

    name: str
    title: str
    replaces: str
    saves: str
    paper: str = ""
    link: str = ""
    extra: str = ""


class Described:
    """Anything that is listed, and named in plans, by its technique."""

    info: TechniqueInfo

    @property
    def name(self) -> str:
        return self.info.name


Value = str | float
"""One option, as it stands in a plan: "separable", 0.5, "w8a8"."""


class Phase(IntEnum):
    """When a technique acts. A network is trained after STRUCTURE and fine-tuned after PRUNE."""

    STRUCTURE = 1
    PRUNE = 2
    QUANTIZE = 3


BETWEEN = 0.25
"""The share of a phase's training that comes between two steps; all of it comes after the last."""

Examples: TypeAlias = "Sequence[tuple[torch.Tensor, torch.Tensor]]"
"""Batches of normalised training images, [batch, channels, height, width], and labels, [batch]."""


def no_training(network: nn.Module, share: float) -> None:
    """Leaves a network as it is: for whoever only wants to see its shape."""


@dataclass(frozen=True)
class ApplyContext:
    """What a technique may look at and use while it changes a network.

    Attributes:
        images: [2, channels, height, width], normalised; for tracing, only the shape matters.
        examples: training images on the network's device; without any, what needs them is left
            out or done blindly, which is enough to see shapes.
        tune: trains a network, in place, for this share of the epochs that its phase is given.
        kept_channels: group -> which of its channels are left, by their numbers before any went:
            [left]. Techniques that cut note it here; a group that lost none is not there.
    """

    images: torch.Tensor
    examples: Examples = ()
    tune: Callable[[nn.Module, float], None] = no_training
    kept_channels: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def calibration(self) -> list[torch.Tensor]:
        """The images of the examples."""
        return [images for images, _ in self.examples]


class Technique(ABC):
    """One technique, made per place: `plan.chosen("block") == {"stage1": "separable"}`.

    Subclass it, give the class attributes, and register an instance with `TECHNIQUES`.

    Attributes:
        name: as written in plans, study files and Optuna's parameters ("stage1.block").
        title: in words, for listings.
        phase: when it acts. Techniques of one phase act in the order of their registration.
        neutral: the option that changes nothing; plans leave it out.
        has_sites: whether it can be chosen per site too, and not per stage alone.
        trains: whether it trains the network while it acts.
        shapes: whether what it chooses can be seen in the network's layers, and not in their
            weights alone.
        changes_input: whether it changes what the network is given and none of its parts.
        modifies: techniques whose choices it says the manner of; where a plan has none of theirs,
            it means nothing and is left out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    phase: ClassVar[Phase]
    neutral: ClassVar[Value]
    has_sites: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    shapes: ClassVar[bool] = True
    changes_input: ClassVar[bool] = False
    modifies: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def default_options(self) -> tuple[Value, ...]:
        """What a study searches when its file does not say."""

    @abstractmethod
    def infos(self) -> Iterable[TechniqueInfo]:
        """Its techniques, for listings."""

    @abstractmethod
    def parse(self, value: object) -> Value:
        """An option as the user wrote it, made canonical.

        Raises:
            PlanError or UnknownName: it is not one; the message says what is.
        """

    def extra(self, value: Value) -> str:
        """The extra of Paredown that must be installed for this option; empty if none."""
        return ""

    def code(self, value: Value) -> str:
        """A digest of the user's own code behind this option; empty if it is Paredown's."""
        return ""

    @abstractmethod
    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        """The places of a network where this option changes something. Called once per space."""

    def everywhere(self, blueprint: Blueprint, value: Value) -> Mapping[str, Value]:
        """What this option means for the whole network: place -> option."""
        return dict.fromkeys(self.places(blueprint, value), value)

    def sites(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        """The single sites where this option changes something, if the technique has sites at
        all."""
        return ()

    @abstractmethod
    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        """The blueprint of what `apply` will make, by arithmetic alone."""

    @abstractmethod
    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        """Do it to the network, in place where that is possible, and return the network.

        Args:
            network: the network as the techniques before this one left it.
            blueprint: what was predicted of that network.
            chosen: place -> option, neutral ones left out.
            context: images to look at.
        """

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterable[Skipped]:
        """Places that none of these options can touch, and why. For the reader's eyes only."""
        return ()
