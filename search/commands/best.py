"""`paredown best`: the winner of each budget."""

from ...lazy_imports import paused_gc
from .common import Json, MaxDrop, Storage, StudyName, opened, require_winners, say


def best(
    name: StudyName,
    max_drop: MaxDrop = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show the winner of each budget, for the study's budgets or any others."""
    from ...objectives.accuracy.budget import parse_budgets

    with paused_gc():
        from ..results.summary import summarize

    budgets = parse_budgets(max_drop) if max_drop else ()
    study, _ = opened(name, storage)
    summary = summarize(study, budgets, storage)
    say(summary, as_json)
    require_winners(summary)
