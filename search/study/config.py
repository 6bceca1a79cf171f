"""The configuration of a study and its validation, which reports all faults at once."""

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
    """The data set of a study: source, preprocessing, augmentation and splits.

    Attributes:
        source: a registered name, a folder, `package.module:function` or `file.py:function`.
        size: image size, in pixels per side; by default the data set's own.
        channels: 1 (grey) or 3 (RGB); by default the data set's own, or what the model takes.
        mean, std: normalisation of pixels in [0, 1]: one value, or one per channel. By default the
            values published with a data set, ImageNet's for other photographs, and 0.5 and 0.25 for
            other grey images.
        crop: padding of the random crop in training, in pixels; 0 for none.
        flip: whether images are mirrored at random in training.
        split_seed: seed of the splits, where the data set has none.
        search: source of the search split, "train" or "test", where the data set has no split for
            it. By default "test" if weights are given, else "train".
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
        """The request to load this data set."""
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
        """The same data set with the splits of 0.4, which ignored whether weights were given."""
        earlier = self.model_copy()
        earlier._weights_given = False
        return earlier


class StudyConfig(BaseModel):
    """The validated configuration of a study: a study file with the command's options applied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    imports: tuple[str, ...] = ()  # validated first: later fields may name what they register
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
        """The accuracy metric."""
        return Metric.BALANCED if self.balanced else Metric.PLAIN

    @property
    def recipes(self) -> Recipes:
        return Recipes(self.baseline, self.train, self.fine_tune, self.quantize)

    @property
    def task_spec(self) -> TaskSpec:
        """The specification of the study's task and search space."""
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
        """The plans to evaluate first."""
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
            raise ValueError("each objective may be listed only once")
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
    """Load the configuration of a built-in study or study file, with overrides.

    Args:
        study: a name in studies/, or the path of a TOML file; None is the default study.
        overrides: key -> value; None where an option is not set.

    Raises:
        UnknownName: no such study.
        StudyFileError: the file or the options have faults; the message lists all.
    """
    provided = {key: value for key, value in overrides.items() if value is not None}
    study = DEFAULT_STUDY if study is None else study
    source, data = read_study(study)
    data.setdefault("name", Path(study).stem)
    if isinstance(data.get("data"), dict) and isinstance(provided.get("data"), str):
        provided["data"] = {"source": provided["data"]}
    return check_config(source, data | provided)


def check_config(source: str, data: Mapping[str, Any]) -> StudyConfig:
    """Validate the configuration of a study.

    Args:
        source: name of the file or call, for errors.
        data: key -> value, as in a study file.

    Raises:
        StudyFileError: the configuration has faults; the message lists all.
        UserCodeError: an installed extension failed.
    """
    load_extensions()
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        faults = [fault for detail in error.errors() for fault in _sentences(detail)]
        raise StudyFileError(source, list(dict.fromkeys(faults))) from None


def _checked(parse: Callable[[], Parsed]) -> Parsed:
    """Raise Paredown's errors as ValueError, the only errors that pydantic collects."""
    try:
        return parse()
    except ParedownError as error:
        raise ValueError(str(error)) from None


def _sentences(detail: ErrorDetails) -> list[str]:
    """A fault in words, beginning with its key; a fault in [space] may give several."""
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
    if detail["type"] == "value_error":  # Paredown's own errors already state what was found
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
