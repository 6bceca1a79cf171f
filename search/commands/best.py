"""`paredown best`: what any budget buys, from the trials there are."""

from .common import Json, MaxDrop, Storage, StudyName, require_winners, say


def best(
    name: StudyName,
    max_drop: MaxDrop = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Say what each budget buys, for the budgets of the study or any others."""
    from ...objectives.budget import parse_budgets
    from ..answers import answer
    from ..storage import default_storage, open_storage, open_study

    url = default_storage() if storage is None else storage
    budgets = parse_budgets(max_drop) if max_drop else ()
    study = open_study(open_storage(url, must_exist=True), url, name)
    found = answer(study, budgets, storage)
    say(found, as_json)
    require_winners(found)
