"""Evaluates plans stage by stage: structure, train, prune, fine-tune, quantize, score.

Every stage that trains keeps its result in the cache under the part of the plan done so far, so
that plans with the same beginning share it.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property

import torch
from torch import nn

from ..errors import TrainingDiverged
from ..spaces.apply import apply_phase, foretell
from ..spaces.kind import Examples, Phase, Surroundings, no_training
from ..spaces.plan import Plan
from ..spaces.space import Space
from ..spaces.tracing import example_images, trace
from .budget import drop_between
from .cache import Cache, cache_key, tensors_digest
from .cost import Cost, check_prediction, count, measure
from .data import ImageSet
from .device import best_device
from .outcome import Outcome
from .progress import SILENT, Progress
from .scoring import Score, score
from .task import Task
from .training import Recipe, first_batches, recalibrate_batchnorm, seeded, train

_CALIBRATION_BATCHES = 4


class Evaluator:
    """Turns plans into outcomes for one task and one space.

    Args:
        task: the model, images and recipes.
        space: whose plans are evaluated.
        cache: where trained networks are kept.
        progress: is told of stages and epochs.
    """

    def __init__(self, task: Task, space: Space, cache: Cache, progress: Progress = SILENT) -> None:
        self.task, self.space, self.cache, self.progress = task, space, cache, progress
        self.device = best_device()
        self._clock = dict[str, float]()

    def foretold_cost(self, plan: Plan) -> Cost:
        """What a plan costs, without building it."""
        return count(foretell(self.space.blueprint, plan))

    @cached_property
    def baseline(self) -> nn.Module:
        """The untouched network, trained or loaded; it is never changed.

        Raises:
            ModelError, WeightsError: it cannot be built, run or filled.
            TrainingDiverged: its training failed.
        """
        network = self.task.build()
        trace(network, self._images("cpu"))
        if self.task.weights is None:
            key = self.task.baseline_key
            kept = self.cache.get(key)
            if kept is None or not _fits(network, kept):
                with self._stage("baseline", self.task.recipes.baseline.epochs):
                    network.to(self.device)
                    self._train_baseline(network)
                self.cache.put(key, network.state_dict())
            else:
                network.load_state_dict(kept)
        return _settled(network.to(self.device))

    @cached_property
    def baseline_score(self) -> Score:
        """The baseline's answers on the search split."""
        return self._score(self.baseline, self.task.splits.search)

    @property
    def baseline_digest(self) -> str:
        """12 hexadecimal digits over the baseline's weights."""
        return tensors_digest(self.baseline.state_dict())[:12]

    def evaluate(self, plan: Plan) -> Outcome:
        """Build, train and score a plan on the search split.

        Raises:
            PlanError: the plan is not in the space.
            TrainingDiverged: its training failed.
            PredictionMismatch: it does not cost what was foretold.
        """
        self.space.check(plan)
        return self._outcome(plan, self.task.splits.search, self.baseline_score)

    def test(self, plan: Plan) -> Outcome:
        """Score a plan on the test split, which is for winners alone."""
        return self._outcome(plan, self.task.splits.test, self._baseline_test_score)

    def network(self, plan: Plan) -> nn.Module:
        """The plan's network, trained, pruned and quantized."""
        self.space.check(plan)
        network = self._pruned(plan)
        if plan == plan.through(Phase.PRUNE):
            return network
        return self._tuned(plan, network) if plan.trains_at_last else self._rounded(plan, network)

    @cached_property
    def _baseline_test_score(self) -> Score:
        return self._score(self.baseline, self.task.splits.test)

    def _outcome(self, plan: Plan, images: ImageSet, baseline: Score) -> Outcome:
        self._clock = {}
        network = self.network(plan)
        measured = measure(network, self._images(self.device))
        check_prediction(self.foretold_cost(plan), measured, f"plan {plan.key}")
        with self._stage("score"):
            accuracy = self._score(network, images).accuracy
        drop = drop_between(baseline.accuracy, accuracy)
        return Outcome(plan, measured, accuracy, drop, dict(self._clock))

    def _trained(self, plan: Plan) -> nn.Module:
        part = plan.through(Phase.STRUCTURE)
        if not part.choices:
            return copy.deepcopy(self.baseline)

        def make() -> nn.Module:
            with self._stage("structure"), seeded(self.task.seed):
                network = copy.deepcopy(self.baseline)
                return self._applied(network, part, Phase.STRUCTURE, self._examples)

        return self._learned(part, make, "train", self.task.recipes.train)

    def _pruned(self, plan: Plan) -> nn.Module:
        part = plan.through(Phase.PRUNE)
        if part == plan.through(Phase.STRUCTURE):
            return self._trained(plan)

        def make() -> nn.Module:
            network, recipe = self._trained(plan), self.task.recipes.fine_tune
            with self._stage("prune"):
                network = self._applied(
                    network, part, Phase.PRUNE, self._examples, self._tuning(recipe)
                )
                self._recalibrate(network)
            return network

        return self._learned(part, make, "fine-tune", self.task.recipes.fine_tune)

    def _rounded(self, plan: Plan, network: nn.Module) -> nn.Module:
        """The network at the plan's bit-widths, by calibration alone."""
        with self._stage("quantize"):
            return self._applied(network, plan, Phase.QUANTIZE, self._examples).eval()

    def _tuned(self, plan: Plan, network: nn.Module) -> nn.Module:
        """The network at the plan's bit-widths, trained at them: from the cache, if it is there."""
        key, recipe = self._key(plan, "quantize"), self.task.recipes.quantize
        kept = self._kept(key, lambda: self._rounded(plan, copy.deepcopy(network)))
        if kept is not None:
            return kept
        with self._stage("quantize", recipe.epochs):
            tune = self._tuning(recipe)
            network = self._applied(network, plan, Phase.QUANTIZE, self._examples, tune)
        self.cache.put(key, network.state_dict())
        return _settled(network)

    def _tuning(self, recipe: Recipe) -> Callable[[nn.Module, float], None]:
        """What a kind calls to train a network for a share of a recipe."""

        def tune(network: nn.Module, share: float) -> None:
            self._recalibrate(network)
            self._train(network, _share(recipe, share), teacher=self.baseline)

        return tune

    def _recalibrate(self, network: nn.Module) -> None:
        splits = self.task.splits
        recalibrate_batchnorm(network, splits.train, splits.normalisation)

    def _learned(
        self, part: Plan, make: Callable[[], nn.Module], stage: str, recipe: Recipe
    ) -> nn.Module:
        """The network of a plan's prefix: from the cache, else made and trained."""
        key = self._key(part, stage)
        kept = self._kept(key, lambda: self._empty(part))
        if kept is not None:
            return kept
        network = make()
        with self._stage(stage, recipe.epochs):
            self._train(network, recipe, teacher=self.baseline)
        self.cache.put(key, network.state_dict())
        return _settled(network)

    def _kept(self, key: str, empty: Callable[[], nn.Module]) -> nn.Module | None:
        """The network that the cache holds weights for, if it does and they fit."""
        kept = self.cache.get(key)
        if kept is None:
            return None
        network = empty()
        if not _fits(network, kept):
            return None
        network.load_state_dict(kept)
        return _settled(network)

    def _empty(self, part: Plan) -> nn.Module:
        """The network of a plan's prefix with weights still to come."""
        network = copy.deepcopy(self.baseline)
        with seeded(self.task.seed):  # new blocks draw weights
            for phase in (Phase.STRUCTURE, Phase.PRUNE):
                network = self._applied(network, part, phase)
        return network

    def _applied(
        self,
        network: nn.Module,
        plan: Plan,
        phase: Phase,
        examples: Examples = (),
        tune: Callable[[nn.Module, float], None] = no_training,
    ) -> nn.Module:
        around = Surroundings(self._images(self.device), examples, tune)
        return apply_phase(network, self.space.blueprint, plan, phase, around)

    @cached_property
    def _examples(self) -> Examples:
        """Training images for what looks at numbers, normalised, the same each time."""
        splits = self.task.splits
        return first_batches(
            self.baseline, splits.train, splits.normalisation, _CALIBRATION_BATCHES
        )

    def _train(self, network: nn.Module, recipe: Recipe, teacher: nn.Module | None) -> None:
        splits = self.task.splits
        train(
            network,
            splits.train,
            splits.normalisation,
            splits.augmentation,
            recipe,
            self.task.seed,
            teacher,
            self.progress,
        )

    def _train_baseline(self, network: nn.Module) -> None:
        try:
            self._train(network, self.task.recipes.baseline, teacher=None)
        except TrainingDiverged as error:
            raise TrainingDiverged(
                f"the baseline's training failed: {error}; a lower [baseline] max_lr may help"
            ) from None

    def _score(self, network: nn.Module, images: ImageSet) -> Score:
        return score(network, images, self.task.splits.normalisation)

    def _images(self, device: torch.device | str) -> torch.Tensor:
        return example_images(self.task.splits.channels, self.task.splits.size, device)

    def _key(self, part: Plan, stage: str) -> str:
        recipes = self.task.recipes
        return cache_key(
            stage=stage,
            plan=part.to_dict(),
            baseline=self.task.baseline_key,
            train=asdict(recipes.train),
            fine_tune=asdict(recipes.fine_tune) if stage != "train" else None,
            quantize=asdict(recipes.quantize) if stage == "quantize" else None,
        )

    @contextmanager
    def _stage(self, name: str, epochs: int = 0) -> Iterator[None]:
        self.progress.stage(name, epochs)
        start = time.perf_counter()
        yield
        self._clock[name] = self._clock.get(name, 0.0) + time.perf_counter() - start


def _fits(network: nn.Module, kept: Mapping[str, torch.Tensor]) -> bool:
    """Whether tensors from the cache are those of the network; a foreign entry counts as none."""
    own = network.state_dict()
    return own.keys() == kept.keys() and all(
        (tensor.shape, tensor.dtype) == (kept[name].shape, kept[name].dtype)
        for name, tensor in own.items()
    )


def _share(recipe: Recipe, share: float) -> Recipe:
    """A recipe for part of the epochs; one at least, if there are any."""
    epochs = max(1, round(recipe.epochs * share)) if recipe.epochs else 0
    return replace(recipe, epochs=epochs)


def _settled(network: nn.Module) -> nn.Module:
    """In evaluation mode, and in one memory format: another would compute other last digits."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()
