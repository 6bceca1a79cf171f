"""docs/extending.md: its files are run as they stand, its studies shortened; errors are told."""

import importlib.metadata
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import paredown
import pytest
from paredown import extend, extensions
from paredown.errors import InputError, StudyFileError, UserCodeError
from paredown.search.study.saved_config import read_saved_config
from paredown.search.study.storage import default_storage, open_storage, open_study
from paredown.search.study.trial_record import TrialStatus, read_records
from paredown.spaces.blocks.families import forget_families
from paredown.spaces.plan import Plan

from .conftest import Run

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
STUDIES = {
    "thin": "my_blocks.py",
    "spread": "my_criterion.py",
    "stripes": "my_data.py",
    "milliseconds": "my_latency.py",
}


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    for registry in (extend.FAMILIES, extend.CRITERIA, extend.SOURCES, extend.OBJECTIVES):
        monkeypatch.setattr(registry, "_records", dict(registry._records))
        monkeypatch.setattr(registry, "_files", dict(registry._files))
    yield
    forget_families()
    extensions.load_extensions.cache_clear()


@pytest.fixture
def written(folder: Path) -> Path:
    """The page's examples as files: FILE.py, and NAME.toml for each study."""
    for name, text in re.findall(
        r"`(\w+\.py)`: [^`]*```python\n(.*?)```", PAGE.read_text(), re.DOTALL
    ):
        (folder / name).write_text(text)
    for text in re.findall(r"^```toml\n(imports.*?)```", PAGE.read_text(), re.DOTALL | re.M):
        name = re.search(r'name = "(\w+)"', text)
        assert name
        (folder / f"{name[1]}.toml").write_text(text)
    assert {path.stem for path in folder.glob("*.toml")} >= STUDIES.keys()
    assert {path.name for path in folder.glob("*.py")} == set(STUDIES.values())
    return folder


def shorten(study: Path) -> None:
    """Make a study of the page quick: its trainings short, and little else to choose."""
    text = re.sub(r"epochs = \d+", "epochs = 1", study.read_text())
    text = text.replace("trials = 4", "trials = 2\nfinalists = 0").replace("[5]", "[100]")
    text = text if "[space]" in text else text + "\n[space]\n"
    if study.stem == "milliseconds":
        text = text.replace("[space]\n", '[space]\nbits = ["w32a32", "w8a8"]\n')
    few = {"width": "[1.0]", "bits": '["w32a32"]', "block": '["original"]', "prune": "[0.0]"}
    remaining = "".join(
        f"{technique} = {name}\n"
        for technique, name in few.items()
        if f"\n{technique} = " not in text
    )
    study.write_text(text.replace("[space]\n", f"[space]\n{remaining}"))


PLANS = {
    "thin": '{"version": 1, "block": {"stage3": "thin"}}',
    "spread": '{"version": 1, "criterion": {"network": "spread"}, "prune": {"stage3": 0.5}}',
    "stripes": '{"version": 1}',
    "milliseconds": '{"version": 1}',
}


def searched(name: str, run: Run) -> optuna.Study:
    """A study of the page after two trials, one of them with what it imports."""
    shorten(Path(f"{name}.toml"))
    Path("plan.json").write_text(PLANS[name])
    ran = run("search", f"{name}.toml", "--start", "plan.json")
    assert ran.code in (0, 3), ran.err
    return open_study(open_storage(default_storage()), default_storage(), name)


@pytest.mark.parametrize("name", STUDIES)
def test_the_examples_search(name: str, written: Path, run: Run) -> None:
    study = searched(name, run)
    records = read_records(study.trials)
    plan = Plan.from_json(PLANS[name])
    assert TrialStatus.EVALUATED in [record.status for record in records if record.plan == plan]
    assert read_saved_config(study).imports == (str(written / STUDIES[name]),)


def test_best_and_export_find_the_imports_of_a_study_again(
    written: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched("thin", run)
    for module in [name for name in sys.modules if name.startswith("my_blocks_")]:
        monkeypatch.delitem(sys.modules, module)  # as in another process
    monkeypatch.setattr(extend.FAMILIES, "_records", dict(BUILT_IN))
    forget_families()
    monkeypatch.chdir(written.parent)
    where = ("--storage", f"sqlite:///{written / 'paredown.db'}")
    ran = run("best", "thin", *where, "--json")
    (budget,) = json.loads(ran.out)["budgets"]
    assert "thin" in budget["plan"]["block"].values()
    ran = run("export", "thin", *where, "--format", "safetensors", "--json")
    assert ran.code == 0, ran.err
    network = paredown.load(written.parent / "thin-100pp")
    assert (
        sum(parameter.numel() for parameter in network.parameters())
        == json.loads(ran.out)["cost"]["params"]
    )
    (written / "my_blocks.py").unlink()
    ran = run("best", "thin", *where)
    assert ran.code == 2
    assert "my_blocks.py cannot be read: no such file" in ran.err


def test_an_objective_is_what_is_minimized(written: Path, run: Run) -> None:
    study = searched("milliseconds", run)
    assert len(study.directions) == 2
    assert study.metric_names == ["bytes of parameters", "milliseconds on the device"]
    for trial in study.trials:
        assert trial.values[0] == trial.user_attrs["bytes"]
        assert trial.user_attrs["objectives"] == dict(
            zip(("bytes", "milliseconds"), trial.values, strict=True)
        )
    # ResNet-8 has a stem, six convolutions in blocks and a linear layer; shortcuts are slices.
    untouched = next(t for t in study.trials if t.user_attrs["plan"] == '{"version": 1}')
    assert untouched.values[1] == pytest.approx(8 * 0.02 + untouched.user_attrs["macs"] * 4e-7)
    data = json.loads(run("best", "milliseconds", "--json").out)
    (budget,), base = data["budgets"], data["baseline"]["objectives"]

    def relative(figures: dict[str, float]) -> float:
        return float(math.prod(figures[name] / base[name] for name in base))

    within = [t.user_attrs for t in study.trials if t.user_attrs.get("drop_pp", 101) <= 100]
    least = min(relative(data["objectives"]) for data in within)
    assert relative(budget["objectives"]) == least
    assert "milliseconds" in run("best", "milliseconds").out
    text = Path("milliseconds.toml").read_text()
    Path("milliseconds.toml").write_text(text.replace('["bytes", "milliseconds"]', '["bytes"]'))
    ran = run("search", "milliseconds.toml")
    assert ran.code == 2
    assert "objectives.milliseconds is " in ran.err


def pared(*objectives: str, **options: Any) -> paredown.Result:
    space = {"width": [1.0], "block": ["original"], "prune": [0.0, 0.5], "bits": ["w32a32", "w8a8"]}
    recipes = {"baseline": {"epochs": 1}, "train": {"epochs": 1}, "fine_tune": {"epochs": 1}}
    quickly: dict[str, Any] = {
        "finalists": 0,
        "trials": 2,
        "progress": False,
        "space": space,
        "recipes": recipes,
    }
    return paredown.pare(
        "resnet8", "digits", max_drop=100, objectives=objectives, **quickly | options
    )


@pytest.mark.parametrize("objectives", [("macs",), ("params", "macs", "bops")])
def test_any_number_of_objectives_may_be_minimized(
    objectives: tuple[str, ...], folder: Path
) -> None:
    result = pared(*objectives)
    for trial in result.study.trials:
        assert trial.values == [trial.user_attrs[name] for name in objectives]
    least = result.trials()[list(objectives)].prod(axis=1).min()
    best = result.best()
    assert math.prod(getattr(best.cost, name) for name in objectives) == least
    assert "front" in result.report("report.html").read_text()


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (-1.0, "returned -1 for the plan"),
        (math.nan, "returned nan"),
        (None, "failed with TypeError"),
    ],
)
def test_an_objective_that_is_no_figure_is_told(figure: Any, said: str) -> None:
    extend.OBJECTIVES.register(extend.Objective("odd", "odd", lambda *_: figure))
    with pytest.raises(InputError, match=f"the objective 'odd' {said}"):
        pared("bytes", "odd")
    extend.OBJECTIVES.register(extend.Objective("odd", "odd", lambda *_: 1.0), replace=True)
    with pytest.raises(StudyFileError, match="objectives: unknown objective 'ood'; did you"):
        pared("bytes", "ood")
    with pytest.raises(StudyFileError, match="objectives: each objective may be listed only once"):
        pared("bytes", "bytes")


BUILT_IN = dict(extend.FAMILIES._records)


def test_a_file_is_run_once_and_again_when_it_changed(written: Path, run: Run) -> None:
    shorten(written / "thin.toml")
    for _ in range(2):
        assert run("search", "thin.toml", "--dry-run").code == 0
    file = written / "my_blocks.py"
    file.write_text(file.read_text().replace("// 4", "// 2"))
    assert run("search", "thin.toml", "--dry-run").code == 0
    spec_built = extend.FAMILIES.get("thin")
    assert type(spec_built).__module__.startswith("my_blocks")


def test_a_changed_block_is_another_study(written: Path, run: Run) -> None:
    searched("thin", run)
    file = written / "my_blocks.py"
    file.write_text(file.read_text() + "\n# the same block\n")
    ran = run("search", "thin.toml")
    assert ran.code == 2
    assert "code.block.thin" in ran.err


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        ('["none.py"]', "none.py cannot be read: no such file"),
        ('["no_such_package"]', "no module 'no_such_package'"),
        ('["not a name"]', "expected path/to/file.py or package.module"),
        ('["raises.py"]', "raises.py failed with ZeroDivisionError"),
        ('["taken.py"]', "pruning criterion 'l1' is registered twice"),
    ],
)
def test_imports_that_fail_are_told(imports: str, said: str, written: Path, run: Run) -> None:
    (written / "raises.py").write_text("1 / 0\n")
    taken = (written / "my_criterion.py").read_text().replace('"spread"', '"l1"')
    (written / "taken.py").write_text(taken)
    study = (written / "tiny.toml").read_text()
    (written / "tiny.toml").write_text(f"imports = {imports}\n{study}")
    ran = run("search", "tiny.toml", "--dry-run")
    assert ran.code == 2
    assert "imports: " in ran.err
    assert said in ran.err


def installed(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    """As if a package with that entry point were installed."""
    point = importlib.metadata.EntryPoint(name, module, extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: (point,))
    extensions.load_extensions.cache_clear()


def test_installed_extensions_are_there_by_name(
    written: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (written / "my_criterion.py").rename(written / "installed_criterion.py")
    monkeypatch.syspath_prepend(written)
    installed(monkeypatch, "mine", "installed_criterion")
    assert "spread" in run("techniques").out
    shorten(written / "spread.toml")
    text = (written / "spread.toml").read_text().replace('imports = ["my_criterion.py"]', "")
    (written / "spread.toml").write_text(text)
    assert run("search", "spread.toml", "--dry-run").code == 0


def test_a_broken_extension_is_named(
    written: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "broken", "no_such_module_at_all")
    ran = run("techniques")
    assert ran.code == 2
    assert "the installed extension 'broken' failed with ModuleNotFoundError" in ran.err
    with pytest.raises(UserCodeError, match="'broken'"):
        paredown.pare("resnet8", "digits", progress=False)
