"""The plans that are possible for a network. Speaks Optuna, and can also sample without a trial."""

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
"""Plans drawn to look ahead: most of what options do to each other shows in so many."""


class Granularity(StrEnum):
    """How finely choices are made: once for the network, per stage, or per site where there are."""

    NETWORK = "network"
    STAGE = "stage"
    SITE = "site"
    BOTH = "both"  # per stage and per site


class Suggests(Protocol):
    """The part of `optuna.Trial` that a space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Dimension:
    """One decision to take: a technique, a place and the options there, the neutral one first.

    Attributes:
        reach: option -> place -> what it means there, if it is more than the decision's own place.
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
        """What an option chooses, by place; nothing, if it is neutral."""
        if value == TECHNIQUES.get(self.technique).neutral:
            return {}
        return self.reach.get(value, {self.place: value})

    @property
    def all_places(self) -> set[str]:
        """Every place that some option reaches."""
        return {place for meant in self.reach.values() for place in meant} or {self.place}

    def option_of(self, chosen: Mapping[str, Value]) -> Value:
        """The option that a plan takes here: place -> what it chooses of this technique."""
        if not self.reach:
            return chosen.get(self.place, TECHNIQUES.get(self.technique).neutral)
        alike = (option for option, meant in self.reach.items() if chosen == meant)
        return next(alike, TECHNIQUES.get(self.technique).neutral)


@dataclass(frozen=True)
class Space:
    """The plans that are possible for one network, and what they would cost it.

    Attributes:
        blueprint: of the untouched network, with its channel groups.
        dimensions: the decisions, by technique and then from input to output.
        skipped: where nothing can act, and why.
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
        """The space over a network.

        Args:
            blueprint: with channel groups (`tracing.trace_with_groups`).
            options: technique -> the options to search; a technique that is not named keeps its
                defaults, one with no options is not searched.
            granularity: how finely choices are made, of all techniques or by technique; what is
                said of a site goes before what is said of its stage.

        Raises:
            UnknownName, PlanError: a technique or an option that there is not.
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
        """See that everything is installed that some plan needs.

        Raises:
            InputError: an extra is missing; the message says how to install it.
        """
        for dimension in self.dimensions:
            for option in dimension.options:
                extra = TECHNIQUES.get(dimension.technique).extra(option)
                if extra:
                    require_extra(extra, f"{dimension.technique} {option}")

    def look_ahead(self) -> "Space":
        """Look at every option alone and at some together, so that costing is arithmetic after it.

        What an option brings along is found out when it is first met, which takes tens of
        milliseconds; afterwards it is remembered. Returns the space itself.
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
        """How many plans there are."""
        return math.prod(len(dimension.options) for dimension in self.dimensions)

    def suggest(self, trial: Suggests) -> Plan:
        """The plan that a trial proposes."""
        return self.plan(
            {
                dimension.name: trial.suggest_categorical(dimension.name, dimension.options)
                for dimension in self.dimensions
            }
        )

    def plan(self, params: Mapping[str, Value]) -> Plan:
        """The plan of a trial's parameters, one option for each dimension's name."""
        return Plan.with_meaning(
            Choice(d.technique, place, value)
            for d in self.dimensions
            for place, value in d.meaning(params[d.name]).items()
        )

    def params(self, plan: Plan) -> dict[str, Value]:
        """A plan as a trial's parameters: the inverse of `plan`."""
        chosen = {name: plan.chosen(name) for name in {choice.technique for choice in plan.choices}}
        return {d.name: d.option_of(chosen.get(d.technique, {})) for d in self.dimensions}

    def sample(self, rng: random.Random) -> Plan:
        """A plan drawn evenly."""
        return self.plan({d.name: rng.choice(d.options) for d in self.dimensions})

    def mutate(self, plan: Plan, rng: random.Random, changes: int = 1) -> Plan:
        """A plan that differs in up to `changes` decisions."""
        params = self.params(plan)
        for dimension in rng.sample(self.dimensions, min(changes, len(self.dimensions))):
            params[dimension.name] = rng.choice(dimension.options)
        return self.plan(params)

    def uniform(self, position: float) -> Plan:
        """The plan that takes, everywhere, the option at one position of the list.

        Args:
            position: 0 takes the first options (the baseline), 1 the last ones.
        """
        return self.plan(
            {d.name: d.options[round(position * (len(d.options) - 1))] for d in self.dimensions}
        )

    @property
    def dimensions_that_train(self) -> tuple[Dimension, ...]:
        """Those whose options are more than another rounding of a trained network."""
        return tuple(d for d in self.dimensions if not _only_rounds(d))

    def only(self, dimension: Dimension, option: Value) -> Plan:
        """The plan that chooses one option, and leaves all else as it is.

        It lies in the space if all else may stay as it is.
        """
        return self.plan(self.params(Plan()) | {dimension.name: option})

    def without_training(self) -> Plan:
        """The last options of what only rounds a trained network, and nothing else."""
        return self.plan({d.name: d.options[-1 if _only_rounds(d) else 0] for d in self.dimensions})

    def holds(self, plan: Plan) -> bool:
        """Whether a plan lies in the space."""
        return not self._faults(plan)

    def at_other_bits(self, plan: Plan) -> list[Plan]:
        """The same trained network at each bit-width, everywhere at once; none of it trains.

        Where a place does not offer a width, it takes the nearest wider one that it does.
        """
        rounding = [d for d in self.dimensions if _only_rounds(d)]
        base, plans = self.params(plan.through(Phase.PRUNE)), list[Plan]()
        for option in dict.fromkeys(option for d in rounding for option in d.options):
            narrowest = {d.name: _up_to(option, d.options, rounding) for d in rounding}
            plans.append(self.plan(base | narrowest))
        others = [other for other in dict.fromkeys(plans) if other != plan]
        return [other for other in others if not self._faults(other)]

    def check(self, plan: Plan) -> None:
        """See that a plan lies in the space.

        Raises:
            PlanError: it does not; the message says every choice that has no place here.
        """
        faults = self._faults(plan)
        if faults:
            raise PlanError("the plan does not fit this model: " + "; ".join(faults))

    @cached_property
    def signature(self) -> str:
        """Tells spaces apart: 12 hexadecimal digits over all decisions and the network's layers."""
        parts = [[d.name, list(d.options)] for d in self.dimensions]
        sizes = self.blueprint.sizes
        layers = [
            [layer.name, layer.op, layer.positions, layer.weights(sizes), layer.other_params(sizes)]
            for layer in self.blueprint.layers
        ]
        text = json.dumps([parts, layers, sorted(sizes.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _faults(self, plan: Plan) -> list[str]:
        """What a plan says where there is nothing to decide, and what is no option there."""
        params = self.params(plan)
        reached = {(d.technique, at) for d in self.dimensions for at in d.all_places}
        faults = [self._stranger(c) for c in plan.choices if (c.technique, c.place) not in reached]
        faults += [
            f"{d.technique}.{d.place}: {params[d.name]} is not among "
            f"{', '.join(map(str, d.options))}"
            for d in self.dimensions
            if params[d.name] not in d.options
        ]
        if not faults and self.plan(params) != plan:
            used = {(d.technique, at) for d in self.dimensions for at in d.meaning(params[d.name])}
            odd = dict.fromkeys(
                c.technique for c in plan.choices if (c.technique, c.place) not in used
            )
            faults = [f"{name}: this space decides once for the whole network" for name in odd]
        return faults

    def _stranger(self, choice: Choice) -> str:
        known = [d.place for d in self.dimensions if d.technique == choice.technique]
        if not known:
            return (
                f"{choice.technique}.{choice.place}: this space has no choice of {choice.technique}"
            )
        near = nearest_names(choice.place, known)
        return f"{choice.technique}.{choice.place}: no such place; {near}"


def _up_to(option: Value, offered: Sequence[Value], all_of: Sequence[Dimension]) -> Value:
    """The last of what is offered that comes no later than an option in the longest list."""
    longest = max((d.options for d in all_of), key=len)
    earlier = longest[: longest.index(option)] if option in longest else ()
    return next((item for item in (option, *reversed(earlier)) if item in offered), offered[0])


def _only_rounds(dimension: Dimension) -> bool:
    """Whether its options act on a trained network and cost next to nothing."""
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
        # Several options to choose from, or one that the study insists on.
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
