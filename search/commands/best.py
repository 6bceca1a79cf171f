"""`paredown best`: what any budget buys, from the trials there are."""

from ...lazy_imports import paused_gc
from .common import Json, MaxDrop, Storage, StudyName, opened, require_winners, say


def best(
    name: StudyName,
    max_drop: MaxDrop = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Say what each budget buys, for the budgets of the study or any others."""
    from ...objectives.accuracy.budget import parse_budgets

    with paused_gc():
        from ..results.summary import summarize

    budgets = parse_budgets(max_drop) if max_drop else ()
    study, _ = opened(name, storage)
    summary = summarize(study, budgets, storage)
    say(summary, as_json)
    require_winners(summary)
