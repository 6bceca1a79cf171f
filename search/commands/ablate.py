"""`paredown ablate`: the saving and the accuracy cost of each technique of a winner."""

from typing import Annotated

import typer

from .common import (
    Json,
    OneBudget,
    Storage,
    StudyName,
    one_budget,
    opened,
    print_json,
    stderr,
    stdout,
)


def ablate(
    name: StudyName,
    max_drop: OneBudget = None,
    epochs: Annotated[
        str,
        typer.Option(
            metavar="N", help="Training length: a fraction of the study's epochs, or a count."
        ),
    ] = "0.5",
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Retrain a winner without each of its techniques; show what each saves and costs."""
    from ...objectives.training.cache import Cache
    from ..ablation.ablation_table import AblationScreen, ablation_table, how_to_read
    from ..ablation.leave_one_out import ablate as run
    from ..results.summary import summarize
    from ..study.parsing import parse_epochs

    wanted = parse_epochs(epochs)
    study, url = opened(name, storage)
    budget = one_budget(study, max_drop)
    screen = AblationScreen(stderr())
    try:
        ablation = run(study, url, budget, Cache(), screen, wanted)
    finally:
        screen.finished()
    if as_json:
        data = {"study": name, "max_drop": budget.max_drop} | ablation.to_dict()
        print_json(data | {"plan": ablation.plan.to_dict(), "left_out": ablation.left_out})
        return
    console = stdout()
    console.print(ablation_table(ablation, summarize(study, (budget,), storage)))
    console.print(how_to_read(ablation), highlight=False)
