"""Where the time of a search goes: seconds per part, none of them counted twice."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from ..objectives.outcome import Outcome
from ..objectives.rungs import Hopeless
from ..spaces.plan import Plan

TRAINING = "training"
PRUNING = "pruning"
QUANTIZING = "quantizing"
SCORING = "scoring"
ASSEMBLING = "assembling"
SAMPLING = "sampling"
STORAGE = "storage"
UNFINISHED = "unfinished"
OTHER = "other"

_PART_OF = {
    "baseline": TRAINING,
    "train": TRAINING,
    "fine-tune": TRAINING,
    "prune": PRUNING,
    "quantize": QUANTIZING,
    "score": SCORING,
    "assemble": ASSEMBLING,
}
"""Stage of an evaluation -> part; a stage that is not here is a part by its own name."""

T = TypeVar("T")


class Profile:
    """Adds up the seconds of each part; a part within a part is taken off the outer one.

    Args:
        clock: what time it is, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent = dict[str, float]()
        self._counted = [0.0]  # per part under way: what the parts within it have taken so far

    @property
    def seconds(self) -> Mapping[str, float]:
        """Part -> seconds, the longest first."""
        return dict(sorted(self._spent.items(), key=lambda one: -one[1]))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time inside under a part, but for what other parts in there count."""
        began = self._clock()
        self._counted.append(0.0)
        try:
            yield
        finally:
            took = self._clock() - began
            self._add(name, took - self._counted.pop())
            self._counted[-1] += took

    def timed(self, thing: T, name: str) -> T:
        """The same thing, with the time inside its methods counted under a part."""
        return cast("T", _Timed(thing, self, name))

    def evaluation(
        self, evaluate: Callable[[Plan], Outcome], plan: Plan, rest: str = OTHER
    ) -> Outcome:
        """Evaluate a plan and count each stage under its part.

        Args:
            evaluate: gives the outcome of a plan.
            plan: to evaluate.
            rest: the part of what belongs to no stage.
        """
        # The stages of what is interrupted or fails are told to nobody.
        with self.part(UNFINISHED):
            began, spent = self._clock(), dict[str, float]()
            try:
                outcome = evaluate(plan)
                spent = dict(outcome.seconds)
            except Hopeless as stopped:
                spent = dict(stopped.seconds)
                raise
            finally:
                if spent:
                    self._share(spent, self._clock() - began, plan, rest)
        return outcome

    def _share(self, spent: Mapping[str, float], took: float, plan: Plan, rest: str) -> None:
        """Count the stages of an evaluation under their parts."""
        for stage, seconds in spent.items():
            trains = stage == "quantize" and plan.trains_at_last
            self._move(TRAINING if trains else _PART_OF.get(stage, stage), seconds)
        self._move(rest, took - sum(spent.values()))

    def _move(self, name: str, seconds: float) -> None:
        """Count seconds that have passed in the part under way under another one."""
        self._add(name, seconds)
        self._counted[-1] += seconds

    def _add(self, name: str, seconds: float) -> None:
        self._spent[name] = self._spent.get(name, 0.0) + seconds


class _Timed:
    """Stands for something else, and counts the time inside its methods."""

    def __init__(self, thing: object, profile: Profile, name: str) -> None:
        self._thing, self._profile, self._name = thing, profile, name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._thing, attribute)
        if not callable(found):
            return found

        @wraps(found)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._profile.part(self._name):
                return found(*args, **kwargs)

        return timed
