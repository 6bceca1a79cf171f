"""Read and pack the table of benchmarks/make_table.py: every plan of a space, trained twice.

Drops are in percentage points and accuracies in percent; the axis of seeds comes first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import nan
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from paredown.objectives.cost.cost import Cost
from paredown.objectives.evaluation.checkpoints import Checkpoint
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.search.runner.run_study import prepare
from paredown.search.study.config import load_config
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from paredown.spaces.technique import Phase

TABLE = Path(__file__).parent / "table.npz"
STUDY = Path(__file__).parent / "table.toml"
SEEDS = (0, 1)

CHECKPOINTS = (
    *(("assemble", 0),),
    *(("train", epoch) for epoch in range(1, 6)),
    ("prune", 0),
    *(("fine-tune", epoch) for epoch in range(1, 3)),
)
STAGES = ("assemble", "train", "prune", "fine-tune")
_COSTS = ("params", "params_effective", "macs", "flops_effective", "bops", "bytes")


@dataclass(frozen=True)
class Trained:
    """The results of training a plan with one seed.

    Attributes:
        drop: drop on the search split.
        tested: accuracy on the test split.
        checkpoints: drops during training, that of the structure included.
        seconds: stage -> duration with an empty cache.
        rounding: seconds to quantize and score the plan.
    """

    drop: float
    tested: float
    checkpoints: tuple[Checkpoint, ...]
    seconds: Mapping[str, float]
    rounding: float


class Table:
    """Every plan of one space.

    Args:
        path: file of the packed table.
    """

    def __init__(self, path: Path = TABLE) -> None:
        with numpy.load(path, allow_pickle=False) as packed:
            self._arrays = {name: packed[name] for name in packed.files}
        self.about: dict[str, Any] = json.loads(str(self._arrays.pop("about")))
        self._networks = {plan: i for i, plan in enumerate(self._plans("networks"))}
        self._rows = {plan: i for i, plan in enumerate(self._plans("plans"))}
        self._fitting_errors = dict(
            zip(self._plans("alone"), self._arrays["missed"].tolist(), strict=True)
        )

    @property
    def plans(self) -> list[Plan]:
        """All plans of the table."""
        return list(self._rows)

    @cached_property
    def _prepared(self) -> tuple[Task, Space]:
        return prepare(load_config(str(STUDY), {}))

    @property
    def space(self) -> Space:
        """The search space of the plans."""
        return self._prepared[1]

    @property
    def step(self) -> float:
        """The change of a drop by one image of the search split."""
        return 100 / len(self._prepared[0].splits.search)

    def cost(self, plan: Plan) -> Cost:
        """The cost of a plan."""
        row = self._arrays["costs"][self._rows[plan]]
        return Cost(**dict(zip(_COSTS, row.tolist(), strict=True)))

    def fitting_error(self, plan: Plan) -> float:
        """The fitting error of a plan with a single option: see `Evaluator.fitting_error`."""
        return float(self._fitting_errors[plan])

    def trained(self, plan: Plan, seed: int) -> Trained:
        """The results of training a plan."""
        row, network = self._rows[plan], self._networks[plan.through(Phase.PRUNE)]
        drops = self._arrays["rungs"][seed, network]
        return Trained(
            drop=float(self._arrays["drops"][seed, row]),
            tested=float(self._arrays["tested"][seed, row]),
            checkpoints=tuple(
                Checkpoint(stage, epoch, float(drop))
                for (stage, epoch), drop in zip(CHECKPOINTS, drops, strict=True)
                if not numpy.isnan(drop)
            ),
            seconds={
                stage: float(took)
                for stage, took in zip(STAGES, self._arrays["seconds"][seed, network], strict=True)
            },
            rounding=float(self._arrays["rounding"][seed, row]),
        )

    def _plans(self, name: str) -> list[Plan]:
        return [Plan.from_json(line) for line in str(self._arrays.pop(name)).splitlines()]


def pack(folder: Path, path: Path, evaluator: Evaluator) -> str:
    """Pack the parts that `make_table.py` wrote to a folder; returns a summary as text.

    Args:
        folder: folder with seed0.jsonl, seed1.jsonl and about.json.
        path: file to write.
        evaluator: evaluator of the plans' search space.
    """
    space = evaluator.space
    parts = [_read(folder / f"seed{seed}.jsonl") for seed in SEEDS]
    networks = [plan.to_json() for plan in every_network(space)]
    for seed, part in zip(SEEDS, parts, strict=True):
        if gone := [network for network in networks if network not in part]:
            raise SystemExit(f"seed {seed} lacks {len(gone)} of {len(networks)} networks")
    plans = [row[0] for network in networks for row in parts[0][network]["rows"]]
    alone = [
        space.only(dimension, option)
        for dimension in space.dimensions_that_train
        for option in dimension.options[1:]
    ]
    structures = [_structures(part) for part in parts]
    both = list(zip(parts, structures, strict=True))
    costs = [evaluator.predicted_cost(Plan.from_json(plan)) for plan in plans]
    numpy.savez_compressed(
        path,
        about=numpy.array((folder / "about.json").read_text()),
        networks=numpy.array("\n".join(networks)),
        plans=numpy.array("\n".join(plans)),
        alone=numpy.array("\n".join(plan.to_json() for plan in alone)),
        missed=numpy.array([evaluator.fitting_error(plan) for plan in alone], numpy.float32),
        costs=numpy.array([[getattr(cost, name) for name in _COSTS] for cost in costs]),
        drops=_column(parts, networks, 1),
        tested=_column(parts, networks, 2),
        rounding=_column(parts, networks, 3),
        rungs=numpy.array(
            [[_checkpoints(part[name], known) for name in networks] for part, known in both],
            numpy.float32,
        ),
        seconds=numpy.array(
            [[_seconds(part[name], known) for name in networks] for part, known in both],
            numpy.float32,
        ),
    )
    return f"{len(plans):,} plans of {len(networks):,} networks, {path.stat().st_size:,} bytes"


def every_network(space: Space) -> list[Plan]:
    """Every network of a space that is trained, grouped by structure."""
    names = [dimension.name for dimension in space.dimensions]
    combinations = product(*(dimension.options for dimension in space.dimensions))
    plans = {space.plan(dict(zip(names, pair, strict=True))) for pair in combinations}
    trained = {plan.through(Phase.PRUNE) for plan in plans}
    return sorted(trained, key=lambda p: (p.through(Phase.STRUCTURE).to_json(), p.to_json()))


Line = dict[str, Any]
"""The record of one network: its plan, a row per bit-width, checkpoints and seconds."""


def _read(path: Path) -> dict[str, Line]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["plan"]: line for line in lines}


def _structure(line: Line) -> str:
    return Plan.from_json(line["plan"]).through(Phase.STRUCTURE).to_json()


def _structures(part: Mapping[str, Line]) -> dict[str, Line]:
    """Structure -> the record in which it was trained: the first network that has it."""
    return {_structure(line): line for line in part.values() if "train" in line["seconds"]}


def _checkpoints(line: Line, structures: Mapping[str, Line]) -> list[float]:
    """The drop at each checkpoint; nan where a plan has no such checkpoint."""
    trained = structures.get(_structure(line), {"rungs": []})
    seen = {(stage, epoch): drop for stage, epoch, drop in [*trained["rungs"], *line["rungs"]]}
    own = {(stage, epoch) for stage, epoch, _ in line["rungs"]}
    return [
        seen[checkpoint]
        if checkpoint in seen and (checkpoint in own or checkpoint[0] in ("assemble", "train"))
        else nan
        for checkpoint in CHECKPOINTS
    ]


def _seconds(line: Line, structures: Mapping[str, Line]) -> list[float]:
    """The seconds of each stage with an empty cache."""
    trained = structures.get(_structure(line), {"seconds": {}})["seconds"]
    first = {stage: trained.get(stage, 0.0) for stage in ("assemble", "train")}
    return [(first | line["seconds"]).get(stage, 0.0) for stage in STAGES]


def _column(
    parts: Sequence[Mapping[str, Line]], networks: Sequence[str], column: int
) -> NDArray[numpy.float32]:
    rows = [
        [row[column] for network in networks for row in part[network]["rows"]] for part in parts
    ]
    return numpy.array(rows, numpy.float32)
