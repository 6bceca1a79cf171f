"""The report: what is on the page, that nothing of it comes from elsewhere, and how it looks."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from paredown.errors import InputError
from paredown.objectives.cost.cost import Cost
from paredown.search import cli
from paredown.search.report.making import make_report
from paredown.search.study.attributes import BASELINE, BUDGETS, IDENTITY
from paredown.search.study.storage import Baseline, open_storage, open_study
from paredown.spaces.plan import Plan

from ..conftest import Browser
from .conftest import TINY, Run, fit_quickly

NAME = "<script>document.title='owned'</script> & co"
PICTURES = {"front", "bars", "drops", "progress", "parallel", "times", "layers"}


@dataclass
class Page(HTMLParser):
    """What a report holds, read without a browser."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=dict)  # id or picture -> a script's text
    cells: dict[float, dict[str, Any]] = field(default_factory=dict)  # budget -> key -> value

    def __post_init__(self) -> None:
        super().__init__()
        self._script, self._row = "", dict[str, Any]()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        data = dict(attrs)
        self.tags.append((tag, data))
        if tag == "script":
            self._script = data.get("id") or data.get("data-picture") or "code"
        if tag == "tr" and data.get("data-max-drop"):
            self._row = self.cells.setdefault(float(str(data["data-max-drop"])), {})
        if tag == "td" and data.get("data-key"):
            self._row[str(data["data-key"])] = json.loads(str(data["data-value"]))

    def handle_endtag(self, tag: str) -> None:
        self._script = "" if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script:
            self.inside[self._script] = self.inside.get(self._script, "") + data

    @property
    def ids(self) -> set[str]:
        return {str(data["id"]) for _, data in self.tags if data.get("id")}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has ended, whose name is as bad as names can be."""
    folder = tmp_path_factory.mktemp("reported")
    study = TINY.format(sampler="random").replace("trials = 4", "trials = 2")
    (folder / "tiny.toml").write_text(study)
    with pytest.MonkeyPatch.context() as patch:
        fit_quickly(patch)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["paredown", "search", "tiny.toml", "--name", NAME])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    return folder


@pytest.fixture(scope="module")
def study(searched: Path) -> optuna.Study:
    """That study."""
    url = f"sqlite:///{searched / 'paredown.db'}"
    return open_study(open_storage(url), url, NAME)


@pytest.fixture(scope="module")
def page(study: optuna.Study, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Its report."""
    path = make_report(study, tmp_path_factory.mktemp("page") / "r.html")
    return Page(path.read_text())


@pytest.fixture
def bare() -> optuna.Study:
    """A study whose baseline alone is known."""
    study = optuna.create_study(directions=["minimize", "minimize"], study_name="bare")
    cost = Cost(100, 100.0, 1000, 2000.0, 0, 400)
    study.set_user_attr(BASELINE, Baseline(90.0, cost, "digest").to_dict())
    study.set_user_attr(BUDGETS, [1.0])
    study.set_user_attr(IDENTITY, json.dumps({"model": "resnet8", "data": "digits", "classes": 10}))
    return study


@pytest.fixture
def ran(run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs commands beside the study."""
    monkeypatch.chdir(searched)
    return run


@pytest.fixture
def ablated(study: optuna.Study) -> Iterator[optuna.Study]:
    """The study with an ablation of a winner."""
    row = {
        "technique": "block",
        "description": "block <b>separable</b> in stage 1",
        "params_effective_ratio": 3.25,
        "flops_effective_ratio": 2.5,
        "drop_without": 0.5,
        "costs_pp": -0.25,
    }
    plan = Plan.of({"block": {"stage1": "separable"}}).to_json()
    data = {"30.0": {"plan": plan, "drop": 0.25, "epochs": 2, "rows": [row]}}
    study.set_user_attr("ablation", data)
    yield study
    study.set_user_attr("ablation", {})


def best(ran: Run) -> dict[str, Any]:
    """What `paredown best --json` prints."""
    results: dict[str, Any] = json.loads(ran("best", NAME, "--json").out)
    return results


def test_the_command_says_where_the_report_is(ran: Run, searched: Path) -> None:
    done = ran("report", NAME)
    assert done.code == 0, done.err
    (path,) = searched.glob("*-report.html")
    assert path.name == "script-document.title-owned-script-co-report.html"
    assert path.name in done.out
    assert path.as_uri() in done.out
    page = Page(path.read_text())
    assert {f"picture-{name}" for name in PICTURES} == set(page.inside) - {"summary", "code"}
    assert page.ids >= {"configuration", "winners", "attribution", "reading"}
    for text in page.inside:
        if text != "code":
            json.loads(page.inside[text])
    assert "over all runs of the study" in page.text


def test_its_numbers_are_those_of_best(page: Page, ran: Run) -> None:
    expected = best(ran)
    assert json.loads(page.inside["summary"]) == expected
    assert set(page.cells) == {item["max_drop"] for item in expected["budgets"]}
    for item in expected["budgets"]:
        cells = page.cells[item["max_drop"]]
        if not item["feasible"]:
            assert not cells
            continue
        assert len(cells) == 10
        for key, value in cells.items():
            part: Any = item
            for name in key.split("."):
                part = None if part is None else part[name]
            assert value == part, key


def test_nothing_comes_from_the_network(page: Page) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "iframe", "object", "embed"})
    for tag, data in page.tags:
        for attribute in ("src", "href", "srcset", "data", "action", "poster"):
            value = data.get(attribute)
            assert value is None or value.startswith(("#", "data:")), (tag, attribute, value)
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert not re.search(r"@import|url\(|http", style)


def test_names_are_text_and_nothing_else(ablated: optuna.Study, tmp_path: Path) -> None:
    text = make_report(ablated, tmp_path / "r.html").read_text()
    assert "<script>document" not in text
    assert "&lt;script&gt;document" in text
    assert "<b>separable" not in text
    assert "&lt;b&gt;separable" in text


def test_an_ablation_is_shown_once_there_is_one(ablated: optuna.Study, tmp_path: Path) -> None:
    text = make_report(ablated, tmp_path / "with.html").read_text()
    assert "picture-attribution-0" in text
    for data in ("The winner at 30 pp", "3.25x", "2.50x", "+0.50", "-0.25", "2 epochs"):
        assert data in text
    assert "paredown ablate" not in text
    ablated.set_user_attr("ablation", {})
    assert "paredown ablate" in make_report(ablated, tmp_path / "without.html").read_text()


def test_a_model_that_is_gone_costs_one_picture(study: optuna.Study, tmp_path: Path) -> None:
    asked = study.user_attrs["config"]
    gone = asked | {"data": asked["data"] | {"source": str(tmp_path / "gone")}}
    study.set_user_attr("config", gone)
    try:
        page = Page(make_report(study, tmp_path / "r.html").read_text())
    finally:
        study.set_user_attr("config", asked)
    assert "picture-layers" not in page.ids
    assert "picture-front" in page.ids
    assert "This figure needs the model and its data:" in page.text


def test_a_study_without_trials_has_a_report(bare: optuna.Study, tmp_path: Path) -> None:
    page = Page(make_report(bare, tmp_path / "r.html").read_text())
    assert "not feasible" in page.text
    assert "picture-front" in page.ids


def test_only_reports_are_written_over(bare: optuna.Study, ran: Run, tmp_path: Path) -> None:
    path = make_report(bare, tmp_path / "r.html")
    assert make_report(bare, path) == path
    thesis = tmp_path / "thesis.html"
    thesis.write_text("years of work")
    refused = ran("report", NAME, "-o", str(thesis))
    assert refused.code == 2
    assert "--force" in refused.err
    assert thesis.read_text() == "years of work"
    with pytest.raises(InputError, match="is a folder"):
        make_report(bare, tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        make_report(bare, tmp_path / "nowhere" / "r.html")
    make_report(bare, thesis, force=True)
    assert "Paredown report" in thesis.read_text()[:500]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_password_stays_at_home(bare: optuna.Study, tmp_path: Path) -> None:
    address = "postgresql://me:secret@there/studies"
    text = make_report(bare, tmp_path / "r.html", storage=address).read_text()
    assert "me:***@there" in text
    assert "secret" not in text


def test_an_unknown_study_is_told_with_the_nearest(ran: Run) -> None:
    refused = ran("report", "tinny")
    assert refused.code == 2
    assert "unknown study 'tinny'" in refused.err


DRAWN = """
    return [...document.querySelectorAll(".figure")].map(figure => {
      const inks = [...figure.querySelectorAll("svg.main-svg, canvas")];
      const sizes = inks.map(ink => ink.getBoundingClientRect());
      return {
        name: figure.id.replace("picture-", ""),
        drawn: figure.classList.contains("js-plotly-plot")
          && sizes.some(size => size.width > 200 && size.height > 80),
        marks: figure.querySelectorAll(".point, .js-line, .gl-canvas").length,
      };
    });"""
CELLS = """
    return [...document.querySelectorAll("#winners-table tr[data-max-drop]")].map(row => [
      Number(row.dataset.maxDrop),
      Object.fromEntries([...row.querySelectorAll("td[data-key]")].map(
        cell => [cell.dataset.key, cell.textContent])),
    ]);"""
ACROSS = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"


def test_chromium_draws_it(
    browser: Browser, ablated: optuna.Study, ran: Run, tmp_path: Path
) -> None:
    browser.open(make_report(ablated, tmp_path / "r.html"), 1280)
    for width in (1280, 400):
        browser.resize(width)
        pictures = browser.run(DRAWN)
        assert {item["name"] for item in pictures} == PICTURES | {"attribution-0"}
        for item in pictures:
            assert item["drawn"], (width, item)
            assert item["marks"], (width, item)
        assert browser.run(ACROSS) == [width, width]
    assert browser.errors() == []
    assert browser.run('return performance.getEntriesByType("resource").length') == 0
    assert browser.run("return document.title") != "owned"
    shown = dict(browser.run(CELLS))
    expected = {item["max_drop"]: item for item in best(ran)["budgets"]}
    assert set(shown) == set(expected)
    for max_drop, item in expected.items():
        cells = shown[max_drop]
        if item["feasible"]:
            low, high = item["test"]["low"], item["test"]["high"]
            assert cells["drop"] == f"{item['drop']:+.2f}"
            assert cells["test_drop"] == f"{item['test_drop']:+.2f}"
            assert cells["test.low"] == f"{low:+.2f} to {high:+.2f}"
            assert cells["compression"] == f"{item['compression']:.1f}x"
            assert cells["certainty"] == item["certainty"]
