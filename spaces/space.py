"""The search space of a network's plans, as Optuna parameters."""

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from ..errors import PlanError, nearest_names
from ..extras import require_extra
from .apply import predict_graph
from .graph.blueprint import WHOLE, Blueprint, Skipped
from .plan import Choice, Plan
from .technique import Phase, Technique, Value
from .techniques import TECHNIQUES

_LOOKED_AT = 100
"""Random plans that `look_ahead` predicts: enough to meet most interactions of options."""


class Granularity(StrEnum):
    """The level of choices: per network, per stage, or per site where a technique has sites."""

    NETWORK = "network"
    STAGE = "stage"
    SITE = "site"
    BOTH = "both"  # per stage and per site


class Suggests(Protocol):
    """The part of `optuna.Trial` that a space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter: a technique, a place and the options there, the neutral option first.

    Attributes:
        reach: option -> place -> option there, if the hyperparameter covers several places.
    """

    technique: str
    place: str
    options: tuple[Value, ...]
    reach: Mapping[Value, Mapping[str, Value]] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """The name of Optuna's parameter: "stage1.block"."""
        return f"{self.place}.{self.technique}"

    def meaning(self, value: Value) -> Mapping[str, Value]:
        """Return place -> option for a chosen option; empty for the neutral option."""
        if value == TECHNIQUES.get(self.technique).neutral:
            return {}
        return self.reach.get(value, {self.place: value})

    @property
    def all_places(self) -> set[str]:
        """All places that any option changes."""
        return {place for meant in self.reach.values() for place in meant} or {self.place}

    def option_of(self, chosen: Mapping[str, Value]) -> Value:
        """Return the option of a plan, from place -> option of this technique."""
        if not self.reach:
            return chosen.get(self.place, TECHNIQUES.get(self.technique).neutral)
        alike = (option for option, meant in self.reach.items() if chosen == meant)
        return next(alike, TECHNIQUES.get(self.technique).neutral)


@dataclass(frozen=True)
class Space:
    """The search space of one network.

    Attributes:
        blueprint: the baseline network, with channel groups.
        dimensions: the hyperparameters, by technique and then from input to output.
        skipped: places that no technique can change, with reasons.
    """

    blueprint: Blueprint
    dimensions: tuple[Dimension, ...]
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def of(
        cls,
        blueprint: Blueprint,
        options: Mapping[str, Sequence[Value]] | None = None,
        granularity: Granularity | Mapping[str, Granularity] = Granularity.STAGE,
    ) -> "Space":
        """Create the search space of a network.

        Args:
            blueprint: the baseline, with channel groups (`trace_groups.trace_with_groups`).
            options: technique -> options to search. Techniques that are absent use their defaults;
                techniques with an empty list are not searched.
            granularity: the level of choices, for all techniques or by technique. A choice for a
                site overrides the choice for its stage.

        Raises:
            UnknownName, PlanError: unknown technique or invalid option.
        """
        provided = {
            technique: [TECHNIQUES.get(technique).parse(value) for value in values]
            for technique, values in (options or {}).items()
        }
        dimensions, skipped = list[Dimension](), list(blueprint.skipped)
        for technique in TECHNIQUES:
            values = tuple(provided.get(technique.name, technique.default_options()))
            level = (
                granularity
                if isinstance(granularity, Granularity)
                else granularity.get(technique.name, Granularity.STAGE)
            )
            dimensions += _dimensions(blueprint, technique, values, level)
            if any(value != technique.neutral for value in values):
                skipped += technique.skipped(blueprint, values)
        return cls(blueprint, tuple(dimensions), tuple(skipped))

    def require(self) -> None:
        """Validate that the extras required by all options are installed.

        Raises:
            InputError: an extra is missing; the message says how to install it.
        """
        for dimension in self.dimensions:
            for option in dimension.options:
                extra = TECHNIQUES.get(dimension.technique).extra(option)
                if extra:
                    require_extra(extra, f"{dimension.technique} {option}")

    def look_ahead(self) -> "Space":
        """Predict every option alone and some random plans, to fill the caches of block graphs.

        Tracing a new block takes tens of milliseconds; later predictions read it from the cache.
        Returns the space itself.
        """
        untouched = self.params(Plan())
        for dimension in self.dimensions:
            for option in dimension.options:
                predict_graph(self.blueprint, self.plan(untouched | {dimension.name: option}))
        for number in range(_LOOKED_AT):
            predict_graph(self.blueprint, self.sample(random.Random(number)))
        return self

    @property
    def size(self) -> int:
        """The number of plans."""
        return math.prod(len(dimension.options) for dimension in self.dimensions)

    def suggest(self, trial: Suggests) -> Plan:
        """Sample a plan with an Optuna trial."""
        return self.plan(
            {
                dimension.name: trial.suggest_categorical(dimension.name, dimension.options)
                for dimension in self.dimensions
            }
        )

    def plan(self, params: Mapping[str, Value]) -> Plan:
        """Convert a trial's parameters (dimension name -> option) to a plan."""
        return Plan.with_meaning(
            Choice(d.technique, place, value)
            for d in self.dimensions
            for place, value in d.meaning(params[d.name]).items()
        )

    def params(self, plan: Plan) -> dict[str, Value]:
        """Convert a plan to a trial's parameters: the inverse of `plan`."""
        chosen = {name: plan.chosen(name) for name in {choice.technique for choice in plan.choices}}
        return {d.name: d.option_of(chosen.get(d.technique, {})) for d in self.dimensions}

    def sample(self, rng: random.Random) -> Plan:
        """Sample each hyperparameter uniformly."""
        return self.plan({d.name: rng.choice(d.options) for d in self.dimensions})

    def mutate(self, plan: Plan, rng: random.Random, changes: int = 1) -> Plan:
        """Resample up to `changes` hyperparameters of a plan."""
        params = self.params(plan)
        for dimension in rng.sample(self.dimensions, min(changes, len(self.dimensions))):
            params[dimension.name] = rng.choice(dimension.options)
        return self.plan(params)

    def uniform(self, position: float) -> Plan:
        """Choose the option at the same relative position in every dimension.

        Args:
            position: 0 for the first options (the baseline), 1 for the last.
        """
        return self.plan(
            {d.name: d.options[round(position * (len(d.options) - 1))] for d in self.dimensions}
        )

    @property
    def dimensions_that_train(self) -> tuple[Dimension, ...]:
        """The dimensions whose options require training, unlike post-training quantization."""
        return tuple(d for d in self.dimensions if not _only_rounds(d))

    def only(self, dimension: Dimension, option: Value) -> Plan:
        """Return the plan with a single choice.

        It is in the space if all other dimensions offer their neutral option.
        """
        return self.plan(self.params(Plan()) | {dimension.name: option})

    def without_training(self) -> Plan:
        """Return the plan with the last option of each dimension that only quantizes."""
        return self.plan({d.name: d.options[-1 if _only_rounds(d) else 0] for d in self.dimensions})

    def holds(self, plan: Plan) -> bool:
        """Return whether a plan is in the space."""
        return not self._faults(plan)

    def at_other_bits(self, plan: Plan) -> list[Plan]:
        """Return the plans that share this plan's trained network, one per uniform bit-width.

        Where a place does not offer a width, the nearest wider offered width is used.
        """
        rounding = [d for d in self.dimensions if _only_rounds(d)]
        base, plans = self.params(plan.through(Phase.PRUNE)), list[Plan]()
        for option in dict.fromkeys(option for d in rounding for option in d.options):
            narrowest = {d.name: _up_to(option, d.options, rounding) for d in rounding}
            plans.append(self.plan(base | narrowest))
        others = [other for other in dict.fromkeys(plans) if other != plan]
        return [other for other in others if not self._faults(other)]

    def check(self, plan: Plan) -> None:
        """Validate that a plan is in the space.

        Raises:
            PlanError: not in the space; the message lists every invalid choice.
        """
        faults = self._faults(plan)
        if faults:
            raise PlanError("the plan does not fit this model: " + "; ".join(faults))

    @cached_property
    def signature(self) -> str:
        """A digest of all dimensions and the network's layers: 12 hexadecimal digits."""
        parts = [[d.name, list(d.options)] for d in self.dimensions]
        sizes = self.blueprint.sizes
        layers = [
            [layer.name, layer.op, layer.positions, layer.weights(sizes), layer.other_params(sizes)]
            for layer in self.blueprint.layers
        ]
        text = json.dumps([parts, layers, sorted(sizes.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _faults(self, plan: Plan) -> list[str]:
        """List the plan's choices at unknown places and its options that are not offered."""
        params = self.params(plan)
        reached = {(d.technique, at) for d in self.dimensions for at in d.all_places}
        faults = [self._stranger(c) for c in plan.choices if (c.technique, c.place) not in reached]
        faults += [
            f"{d.technique}.{d.place}: {params[d.name]} is not one of "
            f"{', '.join(map(str, d.options))}"
            for d in self.dimensions
            if params[d.name] not in d.options
        ]
        if not faults and self.plan(params) != plan:
            used = {(d.technique, at) for d in self.dimensions for at in d.meaning(params[d.name])}
            odd = dict.fromkeys(
                c.technique for c in plan.choices if (c.technique, c.place) not in used
            )
            faults = [f"{name}: this space has one choice for the whole network" for name in odd]
        return faults

    def _stranger(self, choice: Choice) -> str:
        known = [d.place for d in self.dimensions if d.technique == choice.technique]
        if not known:
            return (
                f"{choice.technique}.{choice.place}: this space does not search {choice.technique}"
            )
        near = nearest_names(choice.place, known)
        return f"{choice.technique}.{choice.place}: no such place; {near}"


def _up_to(option: Value, offered: Sequence[Value], all_of: Sequence[Dimension]) -> Value:
    """Return the last offered option that is not after `option` in the longest option list."""
    longest = max((d.options for d in all_of), key=len)
    earlier = longest[: longest.index(option)] if option in longest else ()
    return next((item for item in (option, *reversed(earlier)) if item in offered), offered[0])


def _only_rounds(dimension: Dimension) -> bool:
    """Return whether a dimension quantizes a trained network without further training."""
    technique = TECHNIQUES.get(dimension.technique)
    return technique.phase is Phase.QUANTIZE and not technique.trains


def _dimensions(
    blueprint: Blueprint, technique: Technique, values: Sequence[Value], granularity: Granularity
) -> Iterator[Dimension]:
    where = {value: _places(blueprint, technique, value, granularity) for value in values}
    if granularity is Granularity.NETWORK and any(len(places) > 1 for places in where.values()):
        fitting = [value for value in values if where[value]]
        keeps = [technique.neutral] if technique.neutral in values or not fitting else []
        reach = {value: technique.everywhere(blueprint, value) for value in fitting}
        if fitting:
            yield Dimension(technique.name, WHOLE, tuple(dict.fromkeys([*keeps, *fitting])), reach)
        return
    known = [*blueprint.stages, *(place for places in where.values() for place in places)]
    for place in dict.fromkeys(known):
        fitting = [
            value for value in values if value != technique.neutral and place in where[value]
        ]
        keeps = [technique.neutral] if technique.neutral in values or not fitting else []
        # A dimension may have a single option: the study allows nothing else there.
        if fitting:
            yield Dimension(technique.name, place, tuple(dict.fromkeys([*keeps, *fitting])))


def _places(
    blueprint: Blueprint, technique: Technique, value: Value, granularity: Granularity
) -> list[str]:
    if value == technique.neutral:
        return []
    stages = not technique.has_sites or granularity is not Granularity.SITE
    sites = technique.has_sites and granularity in (Granularity.SITE, Granularity.BOTH)
    return [
        *(technique.places(blueprint, value) if stages else ()),
        *(technique.sites(blueprint, value) if sites else ()),
    ]
