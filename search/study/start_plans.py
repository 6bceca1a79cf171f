"""Plans named by the user: a JSON file, or an approach of the paper."""

from pathlib import Path

from ...errors import PlanError
from ...spaces.approaches import find_approach
from ...spaces.plan import Plan

_APPROACH = "approach:"


def read_plan(path: Path) -> Plan:
    """Read the plan of a JSON file.

    Raises:
        PlanError: the file cannot be read, or is not a plan.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}") from None
    return Plan.from_json(text)


def start_plan(text: str, model: str) -> Plan:
    """Parse a start plan.

    Args:
        text: "approach:13", or the path of a plan's file.
        model: name of the study's model.

    Raises:
        UnknownName, PlanError: no such plan, or a plan for another model.
    """
    if not text.startswith(_APPROACH):
        if not text.endswith(".json"):
            raise PlanError(f"expected approach:NUMBER or a plan's .json file, got {text!r}")
        return read_plan(Path(text))
    number = text.removeprefix(_APPROACH)
    if not number.isdecimal() or len(number) > 4:
        raise PlanError(f"expected approach:NUMBER, got {text!r}")
    approach = find_approach(model, int(number))
    if approach.model != model:
        raise PlanError(f"{text} is a plan for {approach.model}, not for {model}")
    return approach.plan
