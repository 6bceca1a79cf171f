"""What a study is asked: what to search, on what, for how long. All faults are told at once."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from ...errors import ParedownError, StudyFileError, nearest_names
from ...extensions import load_extensions
from ...objectives.accuracy.budget import Budget, parse_budgets
from ...objectives.accuracy.scoring import Metric
from ...objectives.cost.objective import DEFAULT_OBJECTIVES, OBJECTIVES
from ...objectives.data import DataRequest, find_data
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.recipe import Recipe, Recipes
from ...references import load_code
from ...spaces.models import find_model
from ...spaces.plan import Plan
from ...spaces.space import Granularity
from ...spaces.technique import Value
from ..samplers import SAMPLERS
from .config_file import read_study
from .parsing import parse_duration, parse_granularity, parse_space
from .start_plans import start_plan

DEFAULT_STUDY = "digits"

Parsed = TypeVar("Parsed")


class DataConfig(BaseModel):
    """The images: a set by name, a folder or a function, and how they are shown.

    Attributes:
        source: a registered name, a folder, `package.module:function` or `file.py:function`.
        size: the side that images are fitted to, in pixels; by default the set's own.
        channels: 1 (grey) or 3 (colour); by default the set's own, or what the model takes.
        mean, std: what is subtracted from pixels of 0 to 1, and what they are divided by then: one
            value, or one per channel. By default those published with a set, ImageNet's for other
            photographs, and 0.5 and 0.25 for other grey images.
        crop: by how many pixels images are moved while a network trains; 0 for not at all.
        flip: whether every second image is mirrored then.
        split_seed: decides the split, where the set does not.
        search: which part the search images come from, "train" or "test", where the set has none
            for it. By default "test" if weights are given, else "train".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    channels: Literal[1, 3] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: Annotated[int, Field(ge=0, le=4096)] | None = None
    flip: bool | None = None
    split_seed: Annotated[int, Field(ge=0)] = 0
    search: Literal["train", "test"] | None = None
    _weights_given: bool | None = PrivateAttr(default=None)

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        _checked(lambda: find_data(value))
        return value

    def request(self) -> DataRequest:
        """The same as the data folder wants it."""
        return DataRequest(
            self.source,
            size=self.size,
            seed=self.split_seed,
            channels=self.channels,
            mean=self.mean,
            std=self.std,
            crop=self.crop,
            flip=self.flip,
            search=self.search,
            weights_given=self._weights_given,
        )

    def split_before_0_5(self) -> "DataConfig":
        """The same, split as if no weights were given, which is how 0.4 split all images."""
        earlier = self.model_copy()
        earlier._weights_given = False
        return earlier


class StudyConfig(BaseModel):
    """One study, whole: what a study file says, with the command's options over it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    imports: tuple[str, ...] = ()  # first: what they register, the others may name
    title: str = ""
    name: Annotated[str, Field(min_length=1)]
    model: str
    data: DataConfig
    max_drop: tuple[Budget, ...]
    objectives: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)] = DEFAULT_OBJECTIVES
    trials: Annotated[int, Field(ge=1)] = 100
    finalists: Annotated[int, Field(ge=0, le=100)] = 4
    timeout: Annotated[float, Field(gt=0, le=1e9)] | None = None
    stall: Annotated[float, Field(gt=0, le=1e9)] = 600.0
    sampler: str = "budget"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    weights: Path | None = None
    trained: bool = False
    balanced: bool = False
    granularity: Granularity | dict[str, Granularity] = Granularity.STAGE
    keep: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    space: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    baseline: Recipe = Field(default_factory=Recipe)
    train: Recipe = Field(default_factory=lambda: Recipes().train)
    fine_tune: Recipe = Field(default_factory=lambda: Recipes().fine_tune)
    quantize: Recipe = Field(default_factory=lambda: Recipes().quantize)

    @property
    def metric(self) -> Metric:
        """What is meant by accuracy."""
        return Metric.BALANCED if self.balanced else Metric.PLAIN

    @property
    def recipes(self) -> Recipes:
        return Recipes(self.baseline, self.train, self.fine_tune, self.quantize)

    @property
    def task_spec(self) -> TaskSpec:
        """What the study's task and space are made from."""
        return TaskSpec(
            model=self.model,
            data=self.data.request(),
            recipes=self.recipes,
            seed=self.seed,
            weights=self.weights,
            trained=self.trained,
            metric=self.metric,
            objectives=self.objectives,
            keep=self.keep,
            options=self.space,
            granularity=self.granularity,
            start_plans=self.start_plans,
            imports=self.imports,
        )

    @cached_property
    def start_plans(self) -> tuple[Plan, ...]:
        """The plans to try before all others."""
        return tuple(start_plan(text, self.model) for text in self.start)

    @field_validator("imports")
    @classmethod
    def _importable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            _checked(partial(load_code, place))
        return value

    @field_validator("start")
    @classmethod
    def _known_starts(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        model = info.data.get("model")
        for text in value if model else ():
            _checked(partial(start_plan, text, str(model)))
        return value

    @field_validator("granularity", mode="before")
    @classmethod
    def _known_granularity(cls, value: object) -> object:
        return _checked(lambda: parse_granularity(value))

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        _checked(lambda: find_model(value))
        return value

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        return _checked(lambda: SAMPLERS.get(value).name)

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = _checked(lambda: tuple(OBJECTIVES.get(name).name for name in value))
        if len(set(names)) < len(names):
            raise ValueError("each objective may be named once")
        return names

    @field_validator("data", mode="before")
    @classmethod
    def _data(cls, value: object) -> object:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("max_drop", mode="before")
    @classmethod
    def _budgets(cls, value: object) -> object:
        values = value if isinstance(value, list | tuple) else [value]
        return _checked(lambda: parse_budgets(values))

    @field_validator("timeout", "stall", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return _checked(lambda: parse_duration(value)) if isinstance(value, str) else value

    @field_validator("space", mode="before")
    @classmethod
    def _options(cls, value: object) -> object:
        return _checked(lambda: parse_space(value))


def load_config(study: str | None, overrides: Mapping[str, Any]) -> StudyConfig:
    """The study of a name or file, with options over it.

    Args:
        study: a name in studies/, or the path of a TOML file; None is the default study.
        overrides: key -> value, None where the user said nothing.

    Raises:
        UnknownName: no such study.
        StudyFileError: the file or the options have faults; all are told.
    """
    provided = {key: value for key, value in overrides.items() if value is not None}
    study = DEFAULT_STUDY if study is None else study
    source, data = read_study(study)
    data.setdefault("name", Path(study).stem)
    if isinstance(data.get("data"), dict) and isinstance(provided.get("data"), str):
        provided["data"] = {"source": provided["data"]}
    return check_config(source, data | provided)


def check_config(source: str, data: Mapping[str, Any]) -> StudyConfig:
    """A study from all that is said of it.

    Args:
        source: where it is said, for errors.
        data: key -> value, as in a study file.

    Raises:
        StudyFileError: it has faults; all are told.
        UserCodeError: an installed extension failed.
    """
    load_extensions()
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        faults = [fault for detail in error.errors() for fault in _sentences(detail)]
        raise StudyFileError(source, list(dict.fromkeys(faults))) from None


def _checked(parse: Callable[[], Parsed]) -> Parsed:
    """Pydantic gathers ValueErrors, and only these."""
    try:
        return parse()
    except ParedownError as error:
        raise ValueError(str(error)) from None


def _sentences(detail: ErrorDetails) -> list[str]:
    """A fault in words, beginning with its key; the options of a space come as several."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys_beside(detail["loc"])
        return [f"{key}: no such key; {nearest_names(str(detail['loc'][-1]), known)}"]
    if detail["type"] == "missing":
        return [f"{key}: missing"]
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if message.startswith("space."):
        return message.splitlines()
    if detail["type"] == "value_error":  # of Paredown's own errors, which say what came
        return [f"{key}: {message}".replace("\n", "\n  ")]
    got = detail["input"]
    if detail["type"] in ("dataclass_type", "model_type", "dict_type"):
        message = "expected a table"
    got_text = "" if "got" in message or str(got) in message else f", got {got!r}"
    return [f"{key}: {message}{got_text}"]


def _keys_beside(where: tuple[int | str, ...]) -> list[str]:
    if len(where) == 1:
        return sorted(StudyConfig.model_fields)
    section = StudyConfig.model_fields[str(where[0])].annotation
    if section is DataConfig:
        return sorted(DataConfig.model_fields)
    return sorted(Recipe.__dataclass_fields__)


__all__ = [
    "DEFAULT_STUDY",
    "DataConfig",
    "StudyConfig",
    "check_config",
    "load_config",
]
