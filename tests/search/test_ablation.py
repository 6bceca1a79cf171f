"""What each technique of a winner saves and costs, and what is kept of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from paredown.errors import InputError, NothingFits
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.outcome import Outcome
from paredown.objectives.training.cache import Cache
from paredown.search.ablation.leave_one_out import AblationCallback, ablate
from paredown.search.ablation.saved_ablation import read_ablations, techniques_of
from paredown.search.isolation.backend import EvaluationFailed
from paredown.search.results.test_scores import read_test_scores
from paredown.search.runner.reopen import reopened
from paredown.search.study.storage import open_storage, open_study
from paredown.spaces.plan import Plan
from torch.utils.flop_counter import FlopCounterMode

from .conftest import TINY, run_all

Run = Callable[..., Any]
URL = "sqlite:///paredown.db"
ANY = Budget(100)
BITS = dict.fromkeys(("stem", "stage1", "stage2", "stage3", "head"), "w8a8")
PLAN = Plan.of(
    {
        "width": {"stage2": 0.5},
        "block": {"stage1": "separable"},
        "prune": {"stage3": 0.5},
        "bits": BITS,
    }
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies: `tiny`, which one plan wins, and one that insists on its bits."""
    folder = tmp_path_factory.mktemp("ablated")
    tiny = TINY.format(sampler="random").replace("[1, 30]", "[100]")
    (folder / "tiny.toml").write_text(tiny.replace("epochs = 1\nmax_lr = 0.05", "epochs = 4"))
    only = '[space]\nwidth = []\nblock = []\nprune = []\nbits = ["w8a8"]\n'
    before, after = tiny.split("[space]")[0], tiny.split("[baseline]")[1]
    (folder / "bits.toml").write_text(f"{before}{only}[baseline]{after}")
    (folder / "plan.json").write_text(PLAN.to_json())
    searches = ("tiny.toml --start plan.json", "bits.toml")
    run_all(folder, *(f"search {typed} --trials 1" for typed in searches))
    return folder


@pytest.fixture
def study(searched: Path, folder: Path) -> optuna.Study:
    """A copy of the study, which nobody has taken apart yet."""
    shutil.copy(searched / "paredown.db", folder / "paredown.db")
    return open_study(open_storage(URL), URL, "tiny")


class Heard(AblationCallback):
    """Notes which stages each network took."""

    def __init__(self) -> None:
        self.stages = dict[str | None, list[tuple[str, int]]]()
        self.drops = dict[str | None, float | None]()

    def begins(self, technique: str | None, number: int, of: int) -> None:
        self.now = self.stages[technique] = []

    def stage(self, name: str, epochs: int = 0) -> None:
        if self.stages:  # before the first, the baseline is loaded
            self.now.append((name, epochs))

    def ended(self, technique: str | None, drop: float | None) -> None:
        self.drops[technique] = drop


def counted(network: torch.nn.Module) -> tuple[int, int]:
    """The params and FLOPs of a network in float32, by torch alone, for one grey 8x8 image."""
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 8, 8, device=device))
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops()


def test_savings_are_those_of_the_networks_without_a_technique(study: optuna.Study) -> None:
    heard = Heard()
    ablation = ablate(study, URL, ANY, Cache(), heard)
    assert ablation.plan == PLAN
    assert [row.technique for row in ablation.rows] == ["width", "block", "prune", "bits"]
    assert ablation.left_out == []
    # Half of the epochs, one at least: 2 of 4 of training, and the one of fine-tuning.
    assert ablation.epochs == 3
    assert ("train", 2) in heard.stages[None]
    assert ("fine-tune", 1) in heard.stages[None]
    # Bits go without training, and so does the structure that is there once pruning is gone.
    assert {stage for stage, _ in heard.stages["bits"]} <= {"score"}
    assert {stage for stage, _ in heard.stages["prune"]} <= {"quantize", "score"}
    for row in ablation.rows:
        assert row.drop_without == heard.drops[row.technique]
        assert row.costs_pp == pytest.approx(ablation.drop - row.drop_without)
    with reopened(study, URL) as (_, task, space):
        evaluator = Evaluator(task, space, Cache())
        floating = Plan(tuple(choice for choice in PLAN.choices if choice.technique != "bits"))
        params, flops = counted(evaluator.network(floating))
        cost = evaluator.predicted_cost(PLAN)
    bits = ablation.rows[-1]
    assert bits.params_effective_ratio == pytest.approx(params / cost.params_effective)
    assert bits.flops_effective_ratio == pytest.approx(flops / cost.flops_effective) == 4


def test_what_is_kept_answers_the_same_question_again(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = read_test_scores(study)
    ablation = ablate(study, URL, ANY, Cache(), AblationCallback())
    stored = study.user_attrs["ablation"]
    assert stored.keys() == {"100"}
    assert stored["100"].keys() == {"plan", "drop", "epochs", "rows"}
    assert Plan.from_json(stored["100"]["plan"]) == PLAN
    assert [set(row) for row in stored["100"]["rows"]] == 4 * [
        {
            "technique",
            "description",
            "params_effective_ratio",
            "flops_effective_ratio",
            "drop_without",
            "costs_pp",
        }
    ]
    assert json.loads(json.dumps(stored)) == stored
    assert read_ablations(study) == {ANY: ablation}
    assert read_test_scores(study) == looks, "the test split is not looked at"

    def never(self: Evaluator, plan: Plan) -> Outcome:
        raise AssertionError("nothing is evaluated for a question that was answered")

    monkeypatch.setattr(Evaluator, "evaluate", never)
    assert ablate(study, URL, ANY, Cache(), AblationCallback()) == ablation
    with pytest.raises(EvaluationFailed, match="was answered"):
        ablate(study, URL, ANY, Cache(), AblationCallback(), epochs=1.0)


def test_an_interrupt_keeps_networks_and_writes_nothing_half(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, asked = Evaluator.evaluate, list[Plan]()

    def interrupted(self: Evaluator, plan: Plan) -> Outcome:
        asked.append(plan)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ablate(study, URL, ANY, Cache(), AblationCallback(), epochs=4)
    assert read_ablations(study) == {}
    monkeypatch.undo()
    heard = Heard()
    ablate(study, URL, ANY, Cache(), heard, epochs=4)
    assert {stage for stage, _ in heard.stages[None]} <= {"quantize", "score"}


@pytest.mark.parametrize(
    ("epochs", "said"),
    [(9, "expected 1 to 5"), (0, "expected 1 to 5"), (1.5, "at most 1.0"), (0.0, "above 0")],
)
def test_epochs_out_of_range_are_refused(study: optuna.Study, epochs: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ablate(study, URL, ANY, Cache(), AblationCallback(), epochs)


def test_a_budget_without_a_winner_fits_nothing(study: optuna.Study) -> None:
    with pytest.raises(NothingFits, match="no compressed network"):
        ablate(study, URL, Budget(0), Cache(), AblationCallback())


def test_the_manner_of_pruning_goes_with_it() -> None:
    plan = Plan.of({"prune": {"stage1": 0.5}, "criterion": {"network": "taylor"}})
    assert techniques_of(plan) == ["prune"]


def test_the_command_prints_a_table_or_json(study: optuna.Study, run: Run) -> None:
    data = run("ablate", "tiny", "--json")
    assert data.code == 0, data.err
    results = json.loads(data.out)
    assert (results["study"], results["max_drop"]) == ("tiny", 100)
    assert results["plan"] == PLAN.to_dict()
    shown = run("ablate", "tiny", "--max-drop", "100")
    assert shown.code == 0, shown.err
    for row in results["rows"]:
        assert f"{row['params_effective_ratio']:.2f}x" in shown.out
        assert row["description"] in shown.out
    assert "w8a8 in stem, stages 1-3, head" in shown.out
    assert "Each row is the winner without one technique." in shown.out
    assert "5 of 5: without bits: drop" in data.err
    assert not shown.err, "it was answered before"


def test_the_command_refuses_what_it_cannot_use(study: optuna.Study, run: Run) -> None:
    for typed, code, got_text in (
        (["tinny"], 2, "did you mean tiny?"),
        (["tiny", "--epochs", "few"], 2, "a fraction of the epochs such as 0.5"),
        (["tiny", "--max-drop", "-3"], 2, "from 0 to 100"),
        (["tiny", "--max-drop", "0"], 3, "no compressed network"),
    ):
        data = run("ablate", *typed)
        assert (data.code, got_text in data.err) == (code, True), data.err
        assert "Traceback" not in data.err


def test_what_a_study_insists_on_is_left_out_and_said(study: optuna.Study, run: Run) -> None:
    data = run("ablate", "bits", "--json")
    assert data.code == 0, data.err
    results = json.loads(data.out)
    assert (results["rows"], results["left_out"], results["epochs"]) == ([], ["bits"], 0)
    assert "Not measured: bits" in run("ablate", "bits").out
