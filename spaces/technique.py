"""The base class of compression techniques, and the records that it works with.

A technique changes a network (`apply`) and predicts that change on the network's blueprint
(`predict_graph`). Because the two agree, the cost of a plan is known before training.
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
    """The listing entry of an option, as `paredown techniques` prints it.

    Attributes:
        name: as written in plans and study files.
        title: description in a few words.
        replaces: the part of a network that the option changes.
        saves: typical savings in that part.
        paper, link: source and its address; empty for common practice.
        extra: the extra of Paredown that the option requires; empty if none.
    """

    name: str
    title: str
    replaces: str
    saves: str
    paper: str = ""
    link: str = ""
    extra: str = ""


class Described:
    """A registered object whose name in plans is that of its `info`."""

    info: TechniqueInfo

    @property
    def name(self) -> str:
        return self.info.name


Value = str | float
"""An option as plans store it: "separable", 0.5, "w8a8"."""


class Phase(IntEnum):
    """The phase of a technique. Training follows STRUCTURE, fine-tuning follows PRUNE."""

    STRUCTURE = 1
    PRUNE = 2
    QUANTIZE = 3


BETWEEN = 0.25
"""The share of a phase's epochs that runs between two steps; the full training follows the last."""

Examples: TypeAlias = "Sequence[tuple[torch.Tensor, torch.Tensor]]"
"""Batches of normalised training images, [batch, channels, height, width], and labels, [batch]."""


def no_training(network: nn.Module, share: float) -> None:
    """Leave a network unchanged: the `tune` of callers that need only shapes."""


@dataclass(frozen=True)
class ApplyContext:
    """Data and callbacks that a technique may use while it changes a network.

    Attributes:
        images: [2, channels, height, width], normalised; used for tracing, so only the shape
            matters.
        examples: training images on the network's device. If empty, data-dependent steps are
            skipped or use defaults, which is sufficient for shapes.
        tune: trains a network in place for the given share of its phase's epochs.
        kept_channels: group -> indices of the remaining channels in the uncut network, [remaining].
            Techniques that cut channels write to it; groups without removed channels are absent.
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
    """Base class for compression techniques.

    A technique offers options, of which a plan chooses at most one per place:
    `plan.chosen("block") == {"stage1": "separable"}`. To add a technique, subclass, set the class
    attributes and register an instance with `TECHNIQUES`.

    The methods are called in this order:

    1. :meth:`parse` for each option in a study file or plan; :meth:`default_options` if the study
       file does not list options.
    2. :meth:`places`, or :meth:`sites` for choices per site, once per option when the search space
       is created; then :meth:`everywhere` for choices per network; then :meth:`skipped`.
    3. :meth:`extra` for each option when a study starts.
    4. :meth:`predict_graph` for each proposed plan that uses the technique, often thousands of
       times. It must be fast and needs neither weights nor images.
    5. :meth:`code` for each evaluated plan: the digest is part of the key of cached networks.
    6. :meth:`apply` for each evaluated plan, in `phase`, after the techniques registered earlier.
       Its result must have the blueprint that `predict_graph` returned; a mismatch is an error.

    :meth:`infos` is called only by listings.

    Attributes:
        name: as written in plans, study files and Optuna's parameters ("stage1.block").
        title: a short description for listings.
        phase: when :meth:`apply` runs. Within a phase, techniques run in registration order.
        neutral: the option that changes nothing; plans omit it.
        has_sites: whether options can be chosen per site as well as per stage.
        trains: whether :meth:`apply` trains the network.
        shapes: whether the options change layers, and not only the values of weights.
        changes_input: whether the options change only the network's input.
        modifies: techniques that this technique configures. A plan without any of them omits it.
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
        """Return the options that a study searches unless its file lists others."""

    @abstractmethod
    def infos(self) -> Iterable[TechniqueInfo]:
        """Yield one record per option, for listings."""

    @abstractmethod
    def parse(self, value: object) -> Value:
        """Validate an option and return its canonical form.

        Raises:
            PlanError, UnknownName: invalid option; the message lists the valid ones.
        """

    def extra(self, value: Value) -> str:
        """Return the extra of Paredown that this option requires; empty if none."""
        return ""

    def code(self, value: Value) -> str:
        """Return a digest of the user's code behind this option; empty if it is Paredown's."""
        return ""

    @abstractmethod
    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        """Return the places where this option changes something. Called once per space."""

    def everywhere(self, blueprint: Blueprint, value: Value) -> Mapping[str, Value]:
        """Expand an option chosen once for the whole network: place -> option."""
        return dict.fromkeys(self.places(blueprint, value), value)

    def sites(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        """Return the sites where this option changes something. Called only if `has_sites`."""
        return ()

    @abstractmethod
    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        """Compute the blueprint of the network that `apply` will return."""

    @abstractmethod
    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        """Change the network, in place where possible, and return it.

        Args:
            network: the network after all earlier techniques.
            blueprint: the predicted blueprint of that network.
            chosen: place -> option, without neutral options.
            context: images and callbacks.
        """

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterable[Skipped]:
        """Yield the places that none of these options can change, with reasons, for display."""
        return ()
