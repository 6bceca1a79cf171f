"""Creation of a study's report."""

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import jinja2
import optuna
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ...objectives.accuracy.budget import Budget
from ...version import __version__
from ..ablation.saved_ablation import read_ablations
from ..formatting import points, short
from ..results.summary import summarize
from ..study.storage import shown_url
from .cells import budget_cards, winner_rows
from .page_file import MARK, as_json, check_place, write_page
from .pictures import pictures
from .settings import facts, saved_study

_HERE = files("paredown") / "search" / "report"


def make_report(
    study: optuna.Study,
    path: str | Path,
    *,
    budgets: Sequence[Budget] = (),
    storage: str | None = None,
    force: bool = False,
) -> Path:
    """Write a study's report, a self-contained HTML file.

    Args:
        study: a study from `open_study`.
        path: output file.
        budgets: budgets to report; by default the study's own.
        storage: URL of the storage; None for the default storage.
        force: overwrite a file that is not a report.

    Returns:
        The path of the file.

    Raises:
        StorageError: the study has no baseline yet.
        InputError: the path is taken by another file, or cannot be written.
    """
    path = Path(path)
    check_place(path, force=force)
    summary = summarize(study, budgets, shown_url(storage) if storage else None)
    saved, ablations = saved_study(study), read_ablations(study)
    page = _template().render(
        mark=MARK,
        version=__version__,
        made=f"{datetime.now():%Y-%m-%d}",
        style=Markup(_text("style.css")),
        plotly=Markup(get_plotlyjs()),
        script=Markup(_text("draw.js")),
        summary=summary,
        summary_json=as_json(summary.to_dict()),
        saved=saved,
        facts=facts(study, summary, saved),
        cards=budget_cards(summary),
        rows=winner_rows(summary),
        pictures=pictures(study, summary, list(ablations.values())),
        ablations=ablations,
    )
    write_page(path, page)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"points": points, "short": short}
    return environment.from_string(_text("page.html"))


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
