"""Compression plans: immutable, hashable and serialised as JSON."""

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ParedownError, PlanError
from .graph.blueprint import STAGE, STEM, WHOLE
from .technique import Phase, Value
from .techniques import TECHNIQUES

VERSION = 1


class Choice(NamedTuple):
    """One choice of a plan: `Choice("block", "stage1", "separable")`."""

    technique: str
    place: str
    value: Value


@dataclass(frozen=True)
class Plan:
    """A complete compression plan for a model: a set of choices. `Plan()` is the baseline.

    Plans omit neutral options, so plans with the same meaning are equal. Create plans with
    `Plan.of`.

    Example:
        >>> plan = Plan.of({"block": {"stage1": "separable"}, "bits": {"head": "w8a8"}})
        >>> plan.chosen("block")
        {'stage1': 'separable'}
    """

    choices: tuple[Choice, ...] = ()

    @classmethod
    def of(cls, chosen: Mapping[str, object]) -> "Plan":
        """Create a plan from technique -> place -> option.

        Raises:
            PlanError: unknown techniques or invalid options; the message lists all of them.
        """
        faults, choices = list[str](), list[Choice]()
        for kind_name, by_place in chosen.items():
            try:
                technique = TECHNIQUES.get(kind_name)
            except ParedownError as error:
                faults.append(str(error))
                continue
            if not isinstance(by_place, Mapping):
                got = type(by_place).__name__
                faults.append(f"{kind_name}: expected an object of place: option, got {got}")
                continue
            for place, raw in by_place.items():
                try:
                    value = technique.parse(raw)
                except ParedownError as error:
                    faults.append(f"{kind_name}.{place}: {error}")
                    continue
                if value != technique.neutral:
                    choices.append(Choice(kind_name, place, value))
        if faults:
            raise PlanError("invalid plan: " + "; ".join(faults))
        return cls.with_meaning(choices)

    @classmethod
    def with_meaning(cls, choices: Iterable[Choice]) -> "Plan":
        """Create a plan from non-neutral choices, without those that have no effect.

        A pruning criterion, for example, has no effect in a plan that does not prune.
        """
        values = list(choices)
        present = {choice.technique for choice in values}
        remaining = (choice for choice in values if _means_something(choice.technique, present))
        return cls(tuple(sorted(remaining)))

    def chosen(self, technique: str) -> dict[str, Value]:
        """Return place -> option of one technique, without neutral options."""
        return {
            choice.place: choice.value for choice in self.choices if choice.technique == technique
        }

    def through(self, phase: Phase) -> "Plan":
        """Return the choices up to and including a phase; plans with equal ones share training."""
        choices = (
            choice for choice in self.choices if TECHNIQUES.get(choice.technique).phase <= phase
        )
        return Plan.with_meaning(choices)

    @property
    def input(self) -> "Plan":
        """The choices that change only the network's input."""
        choices = (
            choice for choice in self.choices if TECHNIQUES.get(choice.technique).changes_input
        )
        return Plan.with_meaning(choices)

    @property
    def trains_at_last(self) -> bool:
        """Whether quantization includes training, as in quantization-aware training."""
        techniques = (TECHNIQUES.get(choice.technique) for choice in self.choices)
        return any(
            technique.trains and technique.phase is Phase.QUANTIZE for technique in techniques
        )

    @property
    def is_trained(self) -> bool:
        """Whether the plan requires training; otherwise it only quantizes the baseline."""
        return bool(self.through(Phase.PRUNE).choices) or self.trains_at_last

    @property
    def key(self) -> str:
        """A digest of the plan, equal on all machines: 12 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def describe(self) -> str:
        """Describe the plan in words, place by place within each technique."""
        if not self.choices:
            return "the untouched baseline"
        return "; ".join(
            _words(technique, self.chosen(technique)) for technique in self._techniques()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data: {"version": 1, "block": {"stage1": "separable"}, ...}."""
        return {"version": VERSION} | {
            technique: self.chosen(technique) for technique in self._techniques()
        }

    def to_json(self) -> str:
        """Serialise to one line of JSON; equal plans give equal lines."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: object) -> "Plan":
        """Create a plan from the data of `to_dict`.

        Raises:
            PlanError: not a plan, another format version, or unknown choices.
        """
        if not isinstance(data, dict):
            raise PlanError(f"expected a plan as a JSON object, got {type(data).__name__}")
        version = data.get("version")
        if version != VERSION:
            raise PlanError(f'expected a plan with "version": {VERSION}, got {version!r}')
        return cls.of(
            {technique: by_place for technique, by_place in data.items() if technique != "version"}
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Parse the text of `to_json`.

        Raises:
            PlanError: not valid JSON, or as in `from_dict`.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # numbers too long, nesting too deep
            raise PlanError(f"the plan is not valid JSON: {error}") from None
        return cls.from_dict(data)

    def _techniques(self) -> Iterator[str]:
        present = {choice.technique for choice in self.choices}
        return (technique.name for technique in TECHNIQUES if technique.name in present)


def _means_something(technique: str, present: Container[str]) -> bool:
    tuned = TECHNIQUES.get(technique).modifies
    return not tuned or any(other in present for other in tuned)


def _words(technique: str, by_place: Mapping[str, Value]) -> str:
    places = dict[Value, list[str]]()
    for place, value in by_place.items():
        places.setdefault(value, []).append(place)
    parts = (f"{value:g}" if isinstance(value, float) else value for value in places)
    lines = (f"{part}{_where(at)}" for part, at in zip(parts, places.values(), strict=True))
    return f"{technique} " + " and ".join(lines)


def _where(places: list[str]) -> str:
    """Format places from input to output, with ranges of stages: " in stem, stages 1-3, head"."""
    if places == [WHOLE]:
        return ""
    numbers = sorted(int(place[len(STAGE) :]) for place in places if _is_stage(place))
    runs = list[list[int]]()
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    stages = [f"stage {r[0]}" if len(r) == 1 else f"stages {r[0]}-{r[-1]}" for r in runs]
    first = [place for place in places if place == STEM]
    return " in " + ", ".join(
        first + stages + [p for p in places if p != STEM and not _is_stage(p)]
    )


def _is_stage(place: str) -> bool:
    return place.startswith(STAGE) and place[len(STAGE) :].isdigit()
