"""What 0.4 and the first builds of 0.5 wrote is read under today's names."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from paredown.search.ablation.saved_ablation import read_ablations
from paredown.search.results.test_scores import read_test_scores
from paredown.search.study.config import load_config
from paredown.search.study.legacy_names import study_attributes, trial_attributes
from paredown.search.study.retrainings import read_retrainings
from paredown.search.study.saved_config import read_saved_config, save_config
from paredown.search.study.timings import read_hardware, read_timings
from paredown.search.study.trial_record import (
    TrialStatus,
    has_ended,
    is_left_running,
    observe,
    read_records,
)
from paredown.spaces.plan import Plan
from paredown.spaces.space import Granularity

COST = {
    "params": 8,
    "params_effective": 8.0,
    "macs": 8,
    "flops_effective": 16.0,
    "bops": 8192,
    "bytes": 32,
}


def study_with(attributes: dict[str, Any]) -> optuna.Study:
    """A study with one trial that has these attributes."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.COMPLETE,
            values=[8.0, 16.0],
            params={"stage1.width": 0.5},
            distributions={"stage1.width": CategoricalDistribution([1.0, 0.5])},
            user_attrs=attributes,
        )
    )
    return study


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("evaluated", TrialStatus.EVALUATED),
        ("hopeless", TrialStatus.EARLY_STOPPED),
        ("beaten", TrialStatus.DOMINATED),
        ("shared", TrialStatus.REUSED_WEIGHTS),
        ("repeated", TrialStatus.REPEATED),
    ],
)
def test_trials_keep_their_meaning(how: str, status: TrialStatus) -> None:
    share = {"channels": 0.5, "params": 0.25, "macs": 0.25}
    study = study_with(
        {
            "plan": Plan().to_json(),
            "how": how,
            "why": "a reason",
            "removed": json.dumps(share),
            "rungs": json.dumps({"train 3": 2.0}),
            "drop_at_least_pp": 4.5,
            **COST,
        }
    )
    (record,) = read_records(study.get_trials())
    assert (record.status, record.reason, record.drop_lower_bound) == (status, "a reason", 4.5)
    assert record.pruned_share is not None
    assert record.pruned_share.params == 0.25
    assert record.checkpoints == {"train 3": 2.0}
    assert has_ended(study.trials[0])
    observed = observe(study.trials[0])
    assert observed is not None
    assert observed.is_censored


def test_a_stopped_trial_is_still_tried_again() -> None:
    trial = study_with({"how": "stopped", "why": "its process is gone"}).trials[0]
    assert is_left_running(trial)


def test_studies_keep_what_they_know() -> None:
    study = study_with({})
    plan = Plan().to_json()
    final = {"plan": plan, "seed": 1, "accuracy": 90.0, "drop": 2.0, "searched": 1.0}
    tested = {Plan().key: {"accuracy": 90.0, "drop": 1.5}}
    row = {
        "technique": "width",
        "words": "width 0.5 in stage 1",
        "params_effective_ratio": 2.0,
        "flops_effective_ratio": 2.0,
        "drop_without": 1.0,
        "costs_pp": 0.5,
    }
    study.set_user_attr("finalists", json.dumps([final]))
    study.set_user_attr("tested", tested)
    study.set_user_attr("spent_seconds", json.dumps({"training": 3.0}))
    study.set_user_attr("ran_on", ["a machine"])
    study.set_user_attr("ablation", {"1": {"plan": plan, "drop": 1.0, "epochs": 2, "rows": [row]}})
    (retraining,) = read_retrainings(study)
    assert (retraining.drop, retraining.search_drop) == (2.0, 1.0)
    assert read_test_scores(study)[Plan().key].drop == 1.5
    assert read_timings(study) == {"training": 3.0}
    assert read_hardware(study) == ["a machine"]
    (ablation,) = read_ablations(study).values()
    assert ablation.rows[0].description == "width 0.5 in stage 1"


def test_a_study_file_s_old_key_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text('model = "resnet8"\ndata = "digits"\nmax_drop = 1\nper = "site"\n')
    assert load_config(str(path), {}).granularity is Granularity.SITE
    over = load_config(str(path), {"granularity": "network"})
    assert over.granularity is Granularity.NETWORK


def test_a_kept_configuration_s_old_key_still_counts() -> None:
    study = study_with({})
    config = load_config("digits", {"granularity": "site"})
    save_config(study, config)
    stored = dict(study.user_attrs["config"])
    stored["per"] = stored.pop("granularity")
    older = study_with({})
    older.set_user_attr("asked", stored)
    assert read_saved_config(older) == read_saved_config(study)


def test_todays_name_holds_where_both_are() -> None:
    attributes = {"how": "evaluated", "status": "failed", "why": "old"}
    assert trial_attributes(attributes) == {"status": "failed", "reason": "old"}
    assert study_attributes({"asked": {"per": 1}, "config": {"granularity": 2}}) == {
        "config": {"granularity": 2}
    }


def test_what_is_of_today_is_not_touched() -> None:
    attributes = {"status": "early_stopped", "reason": "x"}
    assert trial_attributes(attributes) is attributes
