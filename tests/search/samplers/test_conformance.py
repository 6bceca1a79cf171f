"""What every registered sampler does."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from paredown.errors import UnknownName
from paredown.search.samplers import SAMPLERS, Observation, SamplingProblem, make_sampler

SPACE = {
    "stage1.width": CategoricalDistribution([1.0, 0.5, 0.25]),
    "stage1.bits": CategoricalDistribution(["w32", "w8"]),
    "stage2.width": CategoricalDistribution([1.0, 0.5, 0.25]),
    "stage2.bits": CategoricalDistribution(["w32", "w8"]),
}


def objectives(params: Mapping[str, Any]) -> tuple[float, float]:
    size = params["stage1.width"] + 2 * params["stage2.width"]
    return size, 2 * size + (params["stage1.bits"] == "w32")


def observe(trial: FrozenTrial) -> Observation | None:
    results = trial.user_attrs.get("drop")
    return None if results is None else Observation(results)


def test_budget_comes_first() -> None:
    assert SAMPLERS.names == ("budget", "tpe", "nsga2", "gp", "random")


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownName):
        make_sampler("bugdet", 0, SamplingProblem(SPACE, objectives, observe, [1.0], [3.0, 7.0]))


@pytest.mark.parametrize("name", SAMPLERS.names)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_small_study(name: str) -> None:
    problem = SamplingProblem(SPACE, objectives, observe, [0.5, 1.0], [3.0, 7.0])
    study = optuna.create_study(directions=["minimize"] * 2, sampler=make_sampler(name, 1, problem))
    for number in range(12):
        trial = study.ask(dict(SPACE))
        if number != 5:
            trial.set_user_attr("drop", 3.0 - objectives(trial.params)[0])
        trial.set_constraint("drop", trial.user_attrs.get("drop", 1.0) - 1.0)
        study.tell(trial, objectives(trial.params))
    for done in study.trials:
        assert all(value in SPACE[key].choices for key, value in done.params.items())
