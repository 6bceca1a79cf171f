"""`paredown.pare`: networks and datasets given as objects, and what comes back."""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas
import paredown
import pytest
import torch
from paredown.errors import InputError, ModelError, NothingFits, StudyFileError, UserCodeError
from paredown.objectives.accuracy.budget import Budget
from paredown.search.export import formats
from paredown.search.isolation.backend import TaskSummary
from paredown.search.results.summary import summarize
from paredown.search.study.config import StudyConfig
from paredown.search.study.storage import Baseline
from paredown.search.study.trial_record import TrialRecord
from paredown.spaces.plan import Plan
from sklearn import datasets
from torch import nn
from torch.utils.data import Dataset, Subset

from .conftest import Run, fit_quickly

TINY: dict[str, Any] = {
    "space": {
        "block": ["original", "separable"],
        "prune": [0.0, 0.5],
        "bits": ["w32a32", "w16a16", "w8a8"],
    },
    "recipes": {"train": {"epochs": 1, "max_lr": 0.05}, "fine_tune": {"epochs": 1}},
    "finalists": 1,
    "seed": 3,
    "progress": False,
}


class Digits(Dataset[tuple[npt.NDArray[np.uint8], int]]):
    """scikit-learn's digits as 8x8 arrays of bytes."""

    def __init__(self) -> None:
        bunch = datasets.load_digits()
        self.images = (bunch.images * 255 / 16).round().astype(np.uint8)
        self.labels = bunch.target

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[npt.NDArray[np.uint8], int]:
        return self.images[place], int(self.labels[place])


class Net(nn.Module):
    """A small network of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, padding=1, stride=2, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(24, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(images).mean((2, 3)))
        return scores


def trained_net(images: Dataset[Any]) -> Net:
    """Trained with plain torch, then frozen and in training mode, as somebody may have left it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
        pixels = torch.stack([torch.from_numpy(item)[None] for item, _ in images])  # type: ignore[attr-defined]
        labels = torch.tensor([label for _, label in images])  # type: ignore[attr-defined]
        shown = (pixels / 255 - GREY[0]) / GREY[1]
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(8):
            for chosen in torch.split(torch.randperm(len(labels)), 64):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(shown[chosen]), labels[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    net.zero_grad(set_to_none=True)
    return net.requires_grad_(False)


GREY = (0.3053, 0.3759)
"""Mean and standard deviation of the digits."""


class Diary(paredown.Callback):
    """Notes which hook was called."""

    def __init__(self) -> None:
        self.said = list[str]()
        self.trials = list[int]()

    def stage(self, name: str, epochs: int = 0) -> None:
        self.said.append(f"stage {name}")

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        self.said.append("prepared")

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        self.said.append("baseline")

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        self.said.append("begins")

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        self.said.append("ended")
        self.trials.append(record.number)

    def retraining_begins(self, record: TrialRecord) -> None:
        self.said.append("retraining")

    def finished(self) -> None:
        self.said.append("finished")


@dataclass
class Pared:
    """A search over a network of the user's, and what was there before it."""

    net: Net
    before: dict[str, torch.Tensor]
    random: tuple[torch.Tensor, torch.Tensor]
    verbosity: int
    images: Digits
    result: paredown.Result
    diary: Diary


@pytest.fixture(scope="module")
def pared() -> Iterator[Pared]:
    images = Digits()
    train, test = Subset(images, range(1200)), Subset(images, range(1200, 1797))
    net, diary = trained_net(train), Diary()
    before = {name: item.clone() for name, item in net.state_dict().items()}
    random, verbosity = torch.get_rng_state(), optuna.logging.get_verbosity()
    with pytest.MonkeyPatch.context() as patch:
        fit_quickly(patch)
        result = paredown.pare(
            net,
            train,
            test,
            max_drop=[1, 30],
            trials=4,
            images={"mean": GREY[:1], "std": GREY[1:]},
            callbacks=[diary],
            **TINY,
        )
        # Taken here: other tests of this process draw numbers before the one that compares.
        drawn = (random, torch.get_rng_state())
        yield Pared(net, before, drawn, verbosity, images, result, diary)


def test_what_the_caller_gave_is_as_it_was(pared: Pared) -> None:
    now = pared.net.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in pared.before.items())
    assert pared.net.training
    assert not any(
        parameter.requires_grad or parameter.grad is not None
        for parameter in pared.net.parameters()
    )
    for module in pared.net.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.equal(*pared.random)
    assert optuna.logging.get_verbosity() == pared.verbosity


def test_a_given_network_is_the_baseline_untrained(pared: Pared) -> None:
    right = 0
    with torch.no_grad():
        for place in range(1200, 1797):
            image, label = pared.images[place]
            shown = (torch.from_numpy(image)[None, None] / 255 - GREY[0]) / GREY[1]
            right += int(pared.net.eval()(shown).argmax()) == label
    pared.net.train()
    winner = pared.result.best(30)
    assert winner.test_accuracy is not None
    assert winner.test_drop is not None
    on_test = winner.test_accuracy + winner.test_drop
    summary = summarize(pared.result.study, [Budget(30)])
    # Half of the 597 images, which the network has not seen, were searched on.
    assert summary.images is not None
    assert (summary.images.train, summary.images.search, summary.images.test) == (1200, 298, 299)
    both = (298 * summary.baseline.accuracy + 299 * on_test) / 597
    assert both == pytest.approx(100 * right / 597)
    assert "stage baseline" not in pared.diary.said


@pytest.mark.parametrize("model", [Net(), Net], ids=["network", "function"])
def test_what_is_not_trained_is_trained_first(model: Any, pared: Pared) -> None:
    diary = Diary()
    recipes = TINY["recipes"] | {"baseline": {"epochs": 1, "max_lr": 0.1}}
    options = TINY | {"recipes": recipes, "trials": 1, "finalists": 0, "callbacks": [diary]}
    options |= {"trained": False} if isinstance(model, Net) else {}
    before = copy.deepcopy(model)
    paredown.pare(model, Subset(pared.images, range(300)), **options)
    assert "stage baseline" in diary.said
    if isinstance(model, Net):
        assert all(map(torch.equal, before.parameters(), model.parameters()))


def test_a_network_without_numbers_is_refused(pared: Pared) -> None:
    with pytest.raises(ModelError, match="meta device; expected one with weights"):
        paredown.pare(Net().to("meta"), pared.images, progress=False)


def test_callbacks_are_told_in_order(pared: Pared) -> None:
    parts = [word for word in pared.diary.said if not word.startswith("stage")]
    assert parts[:2] == ["prepared", "baseline"]
    assert parts[2:4] == ["begins", "ended"]
    assert parts[-1] == "finished"
    assert parts.count("begins") == parts.count("ended") == len(pared.result.trials())
    assert parts.index("retraining") > max(i for i, word in enumerate(parts) if word == "ended")
    assert pared.diary.trials == list(range(len(pared.diary.trials)))


def test_best_says_what_the_command_says(pared: Pared) -> None:
    data = summarize(pared.result.study, [Budget(30)]).to_dict()["budgets"][0]
    best = pared.result.best(30)
    assert (best.trial, best.accuracy, best.drop) == (data["trial"], data["accuracy"], data["drop"])
    assert best.plan.to_dict() == data["plan"]
    assert best.cost.to_dict().items() <= data.items()
    assert best.compression == data["compression"]
    assert best.retrained_drop == data["retraining"]["drop"]
    assert (best.test_accuracy, best.test_drop) == (data["test_accuracy"], data["test_drop"])
    assert best.certainty == data["certainty"]
    assert best.interval is not None
    assert best.test_drop is not None
    assert best.interval[0] <= best.test_drop <= best.interval[1]
    assert pared.result.best().max_drop == 1


def test_the_front_is_a_frame_of_plans_that_nothing_beats(pared: Pared) -> None:
    frame = pared.result.front()
    assert isinstance(frame, pandas.DataFrame)
    assert set(frame.max_drop) <= {1.0, 30.0}
    rows = frame[frame.max_drop == 30]
    assert (rows["drop"] <= 30).all()
    assert rows.params_effective.is_monotonic_increasing
    assert rows.flops_effective.is_monotonic_decreasing
    assert (rows.flops == 2 * rows.macs).all()
    best = pared.result.best(30)
    (winner,) = rows[rows.is_winner].itertuples()
    assert (winner.trial, winner.plan) == (best.trial, best.plan.describe())
    assert (winner.params, winner.bytes) == (best.cost.params, best.cost.bytes)
    assert winner.drop == best.drop
    pandas.testing.assert_frame_equal(
        pared.result.front(30), rows.reset_index(drop=True), check_dtype=False
    )


def test_trials_are_a_frame_too(pared: Pared) -> None:
    frame = pared.result.trials()
    assert len(frame) == len(pared.result.study.trials)
    assert list(frame.trial) == list(range(len(frame)))
    assert (frame.status == "evaluated").sum() + (frame.status == "early_stopped").sum() == 4
    assert frame.plan[0] == "the untouched baseline"
    assert frame["drop"][0] == 0


def test_the_winners_network_scores_as_the_search_said(pared: Pared) -> None:
    network, best = pared.result.network(30), pared.result.best(30)
    mean, std = pared.result.normalisation
    images = torch.stack([torch.from_numpy(item) for item in pared.images.images[1200:]])[:, None]
    with torch.no_grad():
        scores = network((images / 255 - torch.tensor(mean)) / torch.tensor(std))
    right = (scores.argmax(1) == torch.from_numpy(pared.images.labels[1200:])).float().mean()
    (data,) = summarize(pared.result.study, [Budget(30)]).to_dict()["budgets"]
    assert best.test_accuracy is not None
    both = (298 * data["retraining"]["accuracy"] + 299 * best.test_accuracy) / 597
    assert float(100 * right) == pytest.approx(both, abs=0.2)
    assert not network.training


def test_what_is_exported_is_the_winner(pared: Pared, tmp_path: Path) -> None:
    folder = pared.result.export(tmp_path / "small", 30, ["safetensors"], licence="MIT")
    data = json.loads((folder / "manifest.json").read_text())
    assert data["plan"] == pared.result.best(30).plan.to_dict()
    images = torch.randn(4, 1, 8, 8)
    network = paredown.load(folder, model=pared.net)
    with torch.no_grad():
        assert torch.allclose(network(images), pared.result.network(30)(images), atol=1e-4)
    with pytest.raises(InputError, match="is not empty and not an exported model"):
        pared.result.export(folder.parent, 30)


def test_a_budget_that_nothing_fits_says_what_would(pared: Pared) -> None:
    result = pare_again(
        pared,
        max_drop=0,
        trials=2,
        space={"prune": [0.0, 0.9], "block": ["original"], "width": [1.0], "bits": ["w32a32"]},
        recipes={"fine_tune": {"epochs": 0}},
        finalists=0,
    )
    with pytest.raises(
        NothingFits, match=r"the smallest feasible budget is [\d.]+ pp: max_drop=[\d.]+"
    ):
        result.best()
    with pytest.raises(NothingFits, match="max_drop="):
        result.export("nowhere")
    assert list(result.front().plan) == ["the untouched baseline"]
    assert not result.front().is_winner.any()


def test_the_report_is_the_commands(pared: Pared, tmp_path: Path) -> None:
    page = pared.result.report(tmp_path / "report.html").read_text()
    assert "Net" in page
    assert pared.result.best(30).plan.describe() in page
    (tmp_path / "notes.html").write_text("mine")
    with pytest.raises(InputError):
        pared.result.report(tmp_path / "notes.html")


def test_it_shows_as_a_table(pared: Pared) -> None:
    message, html = repr(pared.result), pared.result._repr_html_()
    smaller = f"{pared.result.best(30).compression:.1f}x"
    for text in (message, html):
        assert "30 pp" in text
        assert smaller in text
    assert html.startswith("<pre")


def test_every_fault_is_told_at_once_by_its_argument() -> None:
    with pytest.raises(StudyFileError) as failed:
        paredown.pare(
            "resnet9",
            "dijits",
            max_drop=[-1],
            trials=0,
            images={"sise": 8},
            recipes={"train": {"epochs": -1}, "tune": {}},
            sampler="tpee",
            trails=3,  # type: ignore[call-arg]
        )
    faults = "\n".join(failed.value.faults)
    for text in (
        "model: unknown model 'resnet9'",
        "train: unknown data set 'dijits'",
        "max_drop: expected a budget",
        "trials: ",
        "images.sise: no such key; did you mean size?",
        "recipes.train.epochs: ",
        "recipes.tune: no such recipe; did you mean fine_tune?",
        "sampler: unknown sampler 'tpee'",
        "trails: no such key; did you mean trials",
    ):
        assert text in faults
    assert len(failed.value.faults) == 9


@pytest.mark.parametrize(
    ("model", "train", "said"),
    [
        (3, "digits", "model: expected a network, a function that returns one"),
        (lambda: 1 / 0, "digits", "model: .*ZeroDivisionError"),
        ("resnet8", [1, 2], "item 0 of train is a int"),
        ("resnet8", 7, "train, a int, has no length"),
    ],
)
def test_objects_that_are_none_are_named(model: Any, train: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        paredown.pare(model, train, progress=False)


class Failing(paredown.Callback):
    def trial_begins(self, number: int | None, plan: Plan) -> None:
        raise RuntimeError("mine")


class Stopping(paredown.Callback):
    def __init__(self, at: str) -> None:
        self.at = at

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        if self.at == "baseline":
            raise KeyboardInterrupt

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        if self.at == "prepared":
            raise KeyboardInterrupt

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        if self.at == "trial" and len(records) == 2:
            raise KeyboardInterrupt


def test_a_callback_that_fails_ends_the_search_with_its_own_error(pared: Pared) -> None:
    with pytest.raises(UserCodeError, match=r"callback Failing failed with RuntimeError: mine"):
        pare_again(pared, callbacks=[Failing()])
    with pytest.raises(InputError, match=r"inherit from paredown\.Callback"):
        pare_again(pared, callbacks=[print])


def test_ctrl_c_returns_what_there_is(pared: Pared) -> None:
    result = pare_again(pared, callbacks=[Stopping("trial")])
    assert result.interrupted
    assert len(result.trials()) == 2
    assert not pared.result.interrupted
    with pytest.raises(KeyboardInterrupt):
        pare_again(pared, callbacks=[Stopping("prepared")])


def test_the_screen_shows_lines_where_there_is_no_terminal(
    pared: Pared, capsys: pytest.CaptureFixture[str]
) -> None:
    pare_again(pared, progress=True)
    out = capsys.readouterr().out
    assert "stored in memory" in out
    assert "baseline: " in out


def test_notebooks_get_plain_lines(
    pared: Pared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = pare_again(pared, progress=True)
    assert "baseline: " in capsys.readouterr().out  # rich would display HTML instead
    assert "30 pp" in repr(result)
    assert "\x1b" not in repr(result)
    assert not capsys.readouterr().out


def pare_again(pared: Pared, **options: Any) -> paredown.Result:
    """The same search, of which all networks are in the cache."""
    provided = TINY | {"trials": 4, "max_drop": [1, 30]} | options
    train, test = Subset(pared.images, range(1200)), Subset(pared.images, range(1200, 1797))
    images = {"mean": GREY[:1], "std": GREY[1:]}
    return paredown.pare(pared.net, train, test, images=images, **provided)


def test_a_stored_study_goes_on_and_the_command_reads_it(
    folder: Path, run: Run, pared: Pared
) -> None:
    stored = {"storage": "sqlite:///paredown.db", "name": "mine"}
    first = pare_again(pared, trials=1, **stored)
    again = pare_again(pared, trials=3, **stored)
    assert first.trials().trial.equals(again.trials().trial[: len(first.trials())])
    assert again.study.user_attrs["baseline"] == first.study.user_attrs["baseline"]
    ran = run("best", "mine", "--max-drop", "30", "--json")
    assert json.loads(ran.out)["budgets"][0]["trial"] == again.best(30).trial
    del first, again
    ran = run("export", "mine", "--max-drop", "30")
    assert ran.code == 2
    assert "passed as a Python object" in ran.err


def test_the_ten_lines_of_the_docs_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    lines, _, watching = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert indent(lines.split("\n\n")[1], " " * 8) in (paredown.pare.__doc__ or "")
    assert len([line for line in lines.splitlines() if line]) <= 10
    real = paredown.pare

    def quickly(*args: Any, **options: Any) -> paredown.Result:
        recipes = TINY["recipes"] | {"baseline": {"epochs": 6, "max_lr": 0.1}}
        return real("resnet8", *args[1:], **options | TINY | {"recipes": recipes, "trials": 2})

    monkeypatch.setattr(paredown, "pare", quickly)
    monkeypatch.setattr(formats, "installed_formats", lambda: formats.parse_formats("safetensors"))
    scope: dict[str, Any] = {}
    exec(lines, scope)
    assert scope["winner"].plan == scope["result"].best(1).plan
    assert (folder / "digits-1pp" / "model.safetensors").is_file()
    assert (folder / "digits.html").is_file()
    exec(watching, scope)
    assert scope["result"].best().cost.bytes
