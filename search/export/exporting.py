"""From the name of a study to a folder that runs: find the winner, write, check, describe."""

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
from ..results.pareto import Verdict
from ..results.summary import answer
from ..results.test_scores import look_once, read_tested
from ..runner.reopen import check_baseline, reopened
from ..study.config import StudyConfig
from ..study.storage import read_baseline
from .artifacts import keep_exported
from .card import CARD, card
from .checking import Answers, Checked, answers, check
from .formats import Format
from .latency import check_latency_command
from .manifest import MANIFEST, VERSION, Manifest, digest
from .output_folder import appearing, check_place

PLAN = "plan.json"


@dataclass(frozen=True)
class Exported:
    """A folder that was written and checked.

    Attributes:
        folder: where it is.
        said: its manifest.
        checked: file -> what was seen of it.
    """

    folder: Path
    said: Mapping[str, Any]
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
    """Write the winner of a budget in some formats, and check each file.

    Args:
        study: that was searched.
        url: its storage, for messages.
        budget: whose winner is meant.
        formats: to write.
        output: the folder; it appears when all files are good.
        force: write over another model's folder.
        licence: for the card, if it is known.
        latency_command: prints the milliseconds of a {file} on the user's device.
        cache: where the study's networks are; what is gone is trained again.
        progress: is told of that.

    Raises:
        NothingFits: the budget has no winner.
        InputError: an extra is missing, the folder is taken, or data and weights are not those of
            the study.
        FileDiffers: a file does not answer like its network; nothing is left of the folder.
    """
    for one in formats:
        if one.extra:
            require_extra(one.extra, f"--format {one.name}")
    if latency_command:
        check_latency_command(latency_command)
    found = answer(study, (budget,), url)
    verdict = found.verdicts[0]
    if verdict.winner is None or verdict.winner.plan is None:
        raise NothingFits(advice(found))
    check_place(output, verdict.winner.plan.key, study.study_name, force)
    with reopened(study, url) as (config, task, space):
        seed = verdict.final.seed if verdict.final else task.seed
        evaluator = Evaluator(task, space, cache, progress, seed=seed)
        check_baseline(study, evaluator)
        look_once(study, verdict, evaluator.test)
        winner = _Winner(study, verdict, evaluator, verdict.winner.plan, config)
        with appearing(output) as folder:
            checked = {one.file: winner.write(one, folder, latency_command) for one in formats}
            said = winner.describe(folder, formats, checked, licence)
    keep_exported(study, url, verdict.winner.number, output)
    return Exported(output, said, checked)


class _Winner:
    """A winner's network, what it answers, and the baseline beside it."""

    def __init__(
        self,
        study: optuna.Study,
        verdict: Verdict,
        evaluator: Evaluator,
        plan: Plan,
        config: StudyConfig,
    ) -> None:
        self.study, self.verdict, self.evaluator = study, verdict, evaluator
        self.plan, self.task = plan, evaluator.task
        self.keep, self.split_seed = config.keep, config.data.split_seed
        splits = self.task.splits
        self.splits: dict[str, ImageSet] = {"search": splits.search, "test": splits.test}
        self.network = evaluator.network(plan).cpu().eval()
        self.baseline = evaluator.baseline.cpu().eval()
        self.answers = self._answers(self.network)
        self.baseline_answers = self._answers(self.baseline)

    def write(self, one: Format, folder: Path, latency_command: str | None) -> Checked:
        """Write and check one file.

        Raises:
            FileDiffers: it is not as good as the network.
        """
        path = folder / one.file
        images = example_images(self.task.splits.channels, self.task.splits.size, "cpu")
        try:
            one.write(self.network, images, path)
        except RuntimeError as error:
            raise FileDiffers(f"{one.file} cannot be written: {error}") from None
        with tempfile.TemporaryDirectory() as beside:
            other = Path(beside) / one.file
            one.write(self.baseline, images, other)
            checked = check(
                one.read(path, Manifest(self._network(self.plan), self.task.made_by)),
                self.answers,
                self.splits,
                self.task.splits.normalisation,
                (path, other),
                one.read(other, Manifest(self._network(Plan()), self.task.made_by)),
                latency_command,
            )
        checked.require(one.file)
        return checked

    def describe(
        self,
        folder: Path,
        formats: Sequence[Format],
        checked: Mapping[str, Checked],
        licence: str | None,
    ) -> dict[str, Any]:
        """Write plan, manifest and card. Returns the manifest."""
        files = {
            one.file: {
                "format": one.name,
                "sha256": digest(folder / one.file),
                "checked": asdict(checked[one.file]),
            }
            for one in formats
        }
        baseline, budget = read_baseline(self.study), self.verdict.budget
        paired = {split: self._paired(split) for split in self.splits}
        said = {"manifest": VERSION, "study": self.study.study_name} | self._network(self.plan)
        said |= {
            "plan_key": self.plan.key,
            "max_drop": budget.max_drop,
            "cost": self.evaluator.foretold_cost(self.plan).to_dict(),
            "baseline_cost": baseline.cost.to_dict(),
            "metric": self.task.metric,
            "accuracy": {split: self._drop(split, one) for split, one in paired.items()},
            "word": paired["test"].word(budget),
            "test_images_needed": paired["test"].images_needed(budget),
            "test_looks": len(read_tested(self.study)),
            "seeds": {"study": self.task.seed, "network": self.evaluator.seed},
            "versions": versions(),
            "hardware": hardware(),
            "licence": licence,
            "files": files,
        }
        (folder / PLAN).write_text(json.dumps(self.plan.to_dict(), indent=2) + "\n")
        (folder / MANIFEST).write_text(json.dumps(said, indent=2) + "\n")
        (folder / CARD).write_text(card(said, self.plan.describe()))
        return said

    def _network(self, plan: Plan) -> dict[str, Any]:
        """What a manifest says of the network itself."""
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

    def _answers(self, network: nn.Module) -> dict[str, Answers]:
        return {
            name: answers(network, images, self.task.splits.normalisation, self.task.metric)
            for name, images in self.splits.items()
        }

    def _paired(self, split: str) -> PairedDrop:
        ours, theirs = self.answers[split], self.baseline_answers[split]
        return PairedDrop.between(theirs.score, ours.score)

    def _drop(self, split: str, paired: PairedDrop) -> dict[str, Any]:
        ours, theirs = self.answers[split], self.baseline_answers[split]
        return {"accuracy": ours.accuracy, "baseline": theirs.accuracy} | paired.to_dict()
