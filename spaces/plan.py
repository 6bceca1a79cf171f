"""A plan: one complete choice of compression for one model. Everything else is a function of it."""

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
    """One decision: `Choice("block", "stage1", "separable")`."""

    technique: str
    place: str
    value: Value


@dataclass(frozen=True)
class Plan:
    """A frozen, hashable set of choices. `Plan()` is the untouched baseline.

    What a plan does not say is neutral, and it never says what is neutral, so that two plans which
    mean the same are equal. Make one with `Plan.of`.

    Example:
        >>> plan = Plan.of({"block": {"stage1": "separable"}, "bits": {"head": "w8a8"}})
        >>> plan.chosen("block")
        {'stage1': 'separable'}
    """

    choices: tuple[Choice, ...] = ()

    @classmethod
    def of(cls, chosen: Mapping[str, object]) -> "Plan":
        """A plan from technique -> place -> option.

        Raises:
            PlanError: unknown techniques or options; the message says all of them.
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
                faults.append(f"{kind_name} is an object from place to option, got {got}")
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
            raise PlanError("the plan has faults: " + "; ".join(faults))
        return cls.with_meaning(choices)

    @classmethod
    def with_meaning(cls, choices: Iterable[Choice]) -> "Plan":
        """The plan of choices that are not neutral, those left out that mean nothing.

        A criterion means nothing where nothing is pruned.
        """
        values = list(choices)
        present = {choice.technique for choice in values}
        remaining = (choice for choice in values if _means_something(choice.technique, present))
        return cls(tuple(sorted(remaining)))

    def chosen(self, technique: str) -> dict[str, Value]:
        """What is chosen of one technique, by place; neutral places left out."""
        return {
            choice.place: choice.value for choice in self.choices if choice.technique == technique
        }

    def through(self, phase: Phase) -> "Plan":
        """The part of the plan that is done by the end of a phase: what plans can share."""
        choices = (
            choice for choice in self.choices if TECHNIQUES.get(choice.technique).phase <= phase
        )
        return Plan.with_meaning(choices)

    @property
    def input(self) -> "Plan":
        """The part of the plan that changes what the network is given, and none of its parts."""
        choices = (
            choice for choice in self.choices if TECHNIQUES.get(choice.technique).changes_input
        )
        return Plan.with_meaning(choices)

    @property
    def trains_at_last(self) -> bool:
        """Whether its last phase trains too, and does not just round."""
        techniques = (TECHNIQUES.get(choice.technique) for choice in self.choices)
        return any(
            technique.trains and technique.phase is Phase.QUANTIZE for technique in techniques
        )

    @property
    def is_trained(self) -> bool:
        """Whether its network is trained at all; else it is the baseline with rounded numbers."""
        return bool(self.through(Phase.PRUNE).choices) or self.trains_at_last

    @property
    def key(self) -> str:
        """A short name for the plan, the same on every machine: 12 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def describe(self) -> str:
        """The plan in words, place by place within each technique."""
        if not self.choices:
            return "the untouched baseline"
        return "; ".join(
            _words(technique, self.chosen(technique)) for technique in self._techniques()
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {"version": 1, "block": {"stage1": "separable"}, ...}."""
        return {"version": VERSION} | {
            technique: self.chosen(technique) for technique in self._techniques()
        }

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back; equal plans give equal lines."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, data: object) -> "Plan":
        """Reads what `to_dict` wrote.

        Raises:
            PlanError: it is no plan, of another version, or has unknown choices.
        """
        if not isinstance(data, dict):
            raise PlanError(f"a plan is a JSON object, got {type(data).__name__}")
        version = data.get("version")
        if version != VERSION:
            raise PlanError(f'a plan says "version": {VERSION}, got {version!r}')
        return cls.of(
            {technique: by_place for technique, by_place in data.items() if technique != "version"}
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Reads what `to_json` wrote.

        Raises:
            PlanError: as `from_dict`, or the text is no JSON.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # too long a number, too deep a nesting
            raise PlanError(f"a plan is JSON; {error}") from None
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
    """Places from input to output, neighbouring stages in one: " in stem, stages 1-3, head"."""
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
