"""Parsing of a study's options: durations, epochs, granularities, and options of techniques."""

import contextlib
import re
from collections.abc import Iterator, Mapping

from ...errors import InputError, ParedownError
from ...spaces.space import Granularity
from ...spaces.technique import Value
from ...spaces.techniques import TECHNIQUES

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Parse a duration such as "90", "90s", "30m", "1h30m" or "2d" into seconds.

    Raises:
        InputError: not a duration, or zero.
    """
    spelled = text.strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", spelled)
    if not parts or "".join(number + unit for number, unit in parts) != spelled:
        raise InputError(f"expected a duration such as 90s, 30m or 1h30m, got {text!r}")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if seconds <= 0:
        raise InputError(f"a duration must be above zero, got {text!r}")
    return seconds


def duration_text(seconds: float) -> str:
    """A duration in words: 95 -> "1 min 35 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def parse_epochs(text: str) -> float:
    """Parse a training length: "3" is a number of epochs (int), "0.5" a fraction (float).

    Raises:
        InputError: not a number.
    """
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    raise InputError(f"expected a fraction of the epochs such as 0.5, or a count, got {text!r}")


def parse_granularity(value: object) -> object:
    """Parse a granularity for all techniques, or technique = granularity for some of them.

    Raises:
        UnknownName: no such technique.
        InputError: no such granularity.
    """
    if isinstance(value, str) and "=" in value:
        pairs = [part.partition("=") for part in value.split(",")]
        value = {technique.strip(): granularity.strip() for technique, _, granularity in pairs}
    if isinstance(value, Mapping):
        return {
            TECHNIQUES.get(str(technique)).name: _parse_word(granularity)
            for technique, granularity in value.items()
        }
    return _parse_word(value)


def _parse_word(value: object) -> Granularity:
    granularities = (Granularity.NETWORK, Granularity.STAGE, Granularity.SITE)
    for granularity in granularities:
        if value == granularity:
            return granularity
    raise InputError(
        f"expected {', '.join(granularities[:-1])} or {granularities[-1]}, got {value!r}"
    )


def parse_space(value: object) -> dict[str, tuple[Value, ...]]:
    """Parse the options of each technique.

    Raises:
        InputError: some options are invalid; the message lists all, one per line.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"expected a table of technique = [options], got {value!r}")
    parsed, faults = dict[str, tuple[Value, ...]](), list[str]()
    for name, options in value.items():
        try:
            parsed[TECHNIQUES.get(name).name] = tuple(_parse_options(name, options))
        except ParedownError as error:
            faults.append(f"space.{name}: {error}")
    if faults:
        raise InputError("\n".join(faults))
    return parsed


def _parse_options(technique: str, options: object) -> Iterator[Value]:
    if not isinstance(options, list | tuple):
        raise InputError(f"expected a list of options, got {options!r}")
    faults = list[str]()
    for option in options:
        try:
            yield TECHNIQUES.get(technique).parse(option)
        except ParedownError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))
