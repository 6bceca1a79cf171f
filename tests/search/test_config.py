"""Study files and options: what is read, and how faults are told."""

from pathlib import Path

import pytest
from paredown.errors import InputError, StudyFileError, UnknownName
from paredown.search.study.config import load_config
from paredown.search.study.parsing import parse_duration

EVERY_FAULT = """
model = "resnet21"
data = "cifar11"
max_drop = [-1]
trials = 0
sampler = "tpee"
sead = 3
timeout = "3 weeks"

[space]
widht = [1]
width = [2, "a"]
block = ["separabel"]

[train]
epoch = 3
max_lr = -1
"""


def test_the_default_study_is_digits() -> None:
    config = load_config(None, {})
    assert (config.name, config.model, config.data.source) == ("digits", "resnet20", "digits")
    assert [budget.max_drop for budget in config.max_drop] == [0.5, 1.0, 2.0]


def test_options_override_the_file() -> None:
    config = load_config("digits", {"model": "resnet8", "trials": 7, "seed": None})
    assert (config.model, config.trials, config.seed) == ("resnet8", 7, 0)


def test_a_file_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "resnet8"\ndata = "digits"\nmax_drop = 1\n')
    config = load_config(str(path), {})
    assert config.name == "mine"
    assert config.baseline.epochs == 150, "without a word, the paper's recipe"
    assert (config.baseline.max_lr, config.baseline.weight_decay) == (0.0125, 2e-5)


def test_weights_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "resnet8"\ndata = "digits"\nmax_drop = 1\nweights = "w.safetensors"')
    assert load_config(str(path), {}).weights == tmp_path / "w.safetensors"


def test_data_may_be_a_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'model = "resnet8"\nmax_drop = 1\n[data]\nsource = "digits"\nsize = 16\n'
        "mean = [0.5]\nstd = [0.25]\nsplit_seed = 4\n"
    )
    request = load_config(str(path), {}).data.request()
    assert (request.size, request.mean, request.std, request.seed) == (16, (0.5,), (0.25,), 4)


def test_augmentation_and_balance_are_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    top = 'model = "resnet8"\nmax_drop = 1\n{}[data]\nsource = "digits"\n{}'
    path.write_text(top.format("balanced = true\n", "crop = 2\nflip = true\n"))
    config = load_config(str(path), {})
    assert (config.metric, config.data.request().crop) == ("balanced accuracy", 2)
    assert config.data.request().flip is True
    path.write_text(top.format("", "crop = -1\nflip = 'maybe'\n"))
    with pytest.raises(StudyFileError) as caught:
        load_config(str(path), {})
    assert {fault.split(":")[0] for fault in caught.value.faults} == {"data.crop", "data.flip"}


def test_all_faults_are_told_at_once_with_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(EVERY_FAULT)
    with pytest.raises(StudyFileError) as caught:
        load_config(str(path), {})
    reported = {fault.split(":")[0]: fault for fault in caught.value.faults}
    assert set(reported) == {
        "model",
        "data.source",
        "max_drop",
        "trials",
        "sampler",
        "sead",
        "timeout",
        "space.widht",
        "space.width",
        "space.block",
        "train.epoch",
        "train.max_lr",
    }
    assert "resnet20" in reported["model"]
    assert "cifar10" in reported["data.source"]
    assert "did you mean tpe?" in reported["sampler"]
    assert "did you mean seed?" in reported["sead"]
    assert "did you mean width?" in reported["space.widht"]
    assert "got 2;" in reported["space.width"]
    assert "got 'a'" in reported["space.width"]
    assert "did you mean separable?" in reported["space.block"]
    assert "did you mean epochs?" in reported["train.epoch"]
    assert str(caught.value).startswith(f"{path} has 12 faults:\n")


def test_no_toml_says_where(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("model = \n")
    with pytest.raises(StudyFileError, match="line 1"):
        load_config(str(path), {})


@pytest.mark.parametrize("name", ["nowhere/mine.toml", "mine.toml"])
def test_a_missing_file_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study file at"):
        load_config(str(tmp_path / name), {})


def test_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean digits"):
        load_config("digit", {})


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('data = "digits"\n')
    with pytest.raises(StudyFileError) as caught:
        load_config(str(path), {})
    assert {"model: missing", "max_drop: missing"} <= set(caught.value.faults)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1.5m", 90)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "3 weeks", "-5", "0", "1h30x", "nan", "5mm"])
def test_no_durations(text: str) -> None:
    with pytest.raises(InputError):
        parse_duration(text)
