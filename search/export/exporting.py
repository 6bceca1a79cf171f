"""Export of a study's winner to a folder: write the files, check them, describe them."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from torch import nn

from ...errors import FileDiffers, NothingFits
from ...extras import require_extra
from ...objectives.accuracy.budget import Budget
from ...objectives.accuracy.confidence import PairedDrop
from ...objectives.data import ImageSet
from ...objectives.evaluation.evaluator import Evaluator
from ...objectives.evaluation.task import versions
from ...objectives.training.cache import Cache
from ...objectives.training.device import hardware
from ...objectives.training.progress import Progress
from ...spaces.graph.tracing import example_images
from ...spaces.plan import Plan
from ..results.advice import advice
from ..results.pareto import BudgetResult
from ..results.summary import summarize
from ..results.test_scores import read_test_scores, score_once
from ..runner.reopen import check_baseline, reopened
from ..study.config import StudyConfig
from ..study.storage import read_baseline
from .artifacts import keep_exported
from .card import CARD, card
from .checking import Checked, Predictions, check, predict
from .formats import Format
from .latency import check_latency_command
from .manifest import MANIFEST, VERSION, Manifest, digest
from .output_folder import appearing, check_place

PLAN = "plan.json"


@dataclass(frozen=True)
class Exported:
    """An exported folder.

    Attributes:
        folder: path of the folder.
        manifest: its manifest.
        checked: file -> result of its check.
    """

    folder: Path
    manifest: Mapping[str, Any]
    checked: Mapping[str, Checked]


def export(
    study: optuna.Study,
    url: str,
    budget: Budget,
    formats: Sequence[Format],
    output: Path,
    *,
    force: bool,
    licence: str | None,
    latency_command: str | None = None,
    cache: Cache,
    progress: Progress,
) -> Exported:
    """Export the winner of a budget in some formats, and check each file.

    Args:
        study: the study.
        url: URL of its storage, for messages.
        budget: the budget whose winner to export.
        formats: the formats.
        output: output folder, which is created when all files have passed.
        force: overwrite another model's folder.
        licence: licence on the model card.
        latency_command: command that prints the latency of {file} in milliseconds.
        cache: cache of trained networks; a missing network is retrained.
        progress: notified of retraining.

    Raises:
        NothingFits: the budget has no winner.
        InputError: an extra is missing, the folder is taken, or data and weights differ from the
            study's.
        FileDiffers: a file does not match its network; no folder is left.
    """
    for file_format in formats:
        if file_format.extra:
            require_extra(file_format.extra, f"--format {file_format.name}")
    if latency_command:
        check_latency_command(latency_command)
    summary = summarize(study, (budget,), url)
    result = summary.results[0]
    if result.winner is None or result.winner.plan is None:
        raise NothingFits(advice(summary))
    check_place(output, result.winner.plan.key, study.study_name, force)
    with reopened(study, url) as (config, task, space):
        seed = result.retraining.seed if result.retraining else task.seed
        evaluator = Evaluator(task, space, cache, progress, seed=seed)
        check_baseline(study, evaluator)
        score_once(study, result, evaluator.test)
        winner = _Winner(study, result, evaluator, result.winner.plan, config)
        with appearing(output) as folder:
            checked = {
                file_format.file: winner.write(file_format, folder, latency_command)
                for file_format in formats
            }
            data = winner.describe(folder, formats, checked, licence)
    keep_exported(study, url, result.winner.number, output)
    return Exported(output, data, checked)


class _Winner:
    """A winner's network and the baseline, with their predictions."""

    def __init__(
        self,
        study: optuna.Study,
        result: BudgetResult,
        evaluator: Evaluator,
        plan: Plan,
        config: StudyConfig,
    ) -> None:
        self.study, self.result, self.evaluator = study, result, evaluator
        self.plan, self.task = plan, evaluator.task
        self.keep, self.split_seed = config.keep, config.data.split_seed
        splits = self.task.splits
        self.splits: dict[str, ImageSet] = {"search": splits.search, "test": splits.test}
        self.network = evaluator.network(plan).cpu().eval()
        self.baseline = evaluator.baseline.cpu().eval()
        self.predictions = self._predictions(self.network)
        self.baseline_predictions = self._predictions(self.baseline)

    def write(self, file_format: Format, folder: Path, latency_command: str | None) -> Checked:
        """Write and check one file.

        Raises:
            FileDiffers: the file does not match the network.
        """
        path = folder / file_format.file
        images = example_images(self.task.splits.channels, self.task.splits.size, "cpu")
        try:
            file_format.write(self.network, images, path)
        except RuntimeError as error:
            raise FileDiffers(f"{file_format.file} cannot be written: {error}") from None
        with tempfile.TemporaryDirectory() as beside:
            other = Path(beside) / file_format.file
            file_format.write(self.baseline, images, other)
            checked = check(
                file_format.read(path, Manifest(self._network(self.plan), self.task.made_by)),
                self.predictions,
                self.splits,
                self.task.splits.normalisation,
                (path, other),
                file_format.read(other, Manifest(self._network(Plan()), self.task.made_by)),
                latency_command,
            )
        checked.require(file_format.file)
        return checked

    def describe(
        self,
        folder: Path,
        formats: Sequence[Format],
        checked: Mapping[str, Checked],
        licence: str | None,
    ) -> dict[str, Any]:
        """Write plan, manifest and model card; return the manifest."""
        files = {
            file_format.file: {
                "format": file_format.name,
                "sha256": digest(folder / file_format.file),
                "checked": asdict(checked[file_format.file]),
            }
            for file_format in formats
        }
        baseline, budget = read_baseline(self.study), self.result.budget
        paired = {split: self._paired(split) for split in self.splits}
        data = {"manifest": VERSION, "study": self.study.study_name} | self._network(self.plan)
        data |= {
            "plan_key": self.plan.key,
            "max_drop": budget.max_drop,
            "cost": self.evaluator.predicted_cost(self.plan).to_dict(),
            "baseline_cost": baseline.cost.to_dict(),
            "metric": self.task.metric,
            "accuracy": {split: self._drop(split, paired) for split, paired in paired.items()},
            "certainty": paired["test"].certainty(budget),
            "test_images_needed": paired["test"].images_needed(budget),
            "test_looks": len(read_test_scores(self.study)),
            "seeds": {"study": self.task.seed, "network": self.evaluator.seed},
            "versions": versions(),
            "hardware": hardware(),
            "licence": licence,
            "files": files,
        }
        (folder / PLAN).write_text(json.dumps(self.plan.to_dict(), indent=2) + "\n")
        (folder / MANIFEST).write_text(json.dumps(data, indent=2) + "\n")
        (folder / CARD).write_text(card(data, self.plan.describe()))
        return data

    def _network(self, plan: Plan) -> dict[str, Any]:
        """The manifest's entries for a network."""
        splits = self.task.splits
        shown = {"mean": list(splits.normalisation.mean), "std": list(splits.normalisation.std)}
        return {
            "model": self.task.made_by.name,
            "plan": plan.to_dict(),
            "keep": list(self.keep),
            "classes": list(splits.classes),
            "channels": splits.channels,
            "size": splits.size,
            "normalisation": shown,
            "data": {
                "name": splits.name,
                "fingerprint": splits.fingerprint,
                "split_seed": self.split_seed,
                "search_from": splits.search_from,
                "test_fingerprint": splits.test.fingerprint(),
            },
        }

    def _predictions(self, network: nn.Module) -> dict[str, Predictions]:
        return {
            name: predict(network, images, self.task.splits.normalisation, self.task.metric)
            for name, images in self.splits.items()
        }

    def _paired(self, split: str) -> PairedDrop:
        ours, theirs = self.predictions[split], self.baseline_predictions[split]
        return PairedDrop.between(theirs.score, ours.score)

    def _drop(self, split: str, paired: PairedDrop) -> dict[str, Any]:
        ours, theirs = self.predictions[split], self.baseline_predictions[split]
        return {"accuracy": ours.accuracy, "baseline": theirs.accuracy} | paired.to_dict()
