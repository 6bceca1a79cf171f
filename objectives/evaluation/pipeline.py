"""Builds the networks of plans stage by stage: assemble, train, prune, fine-tune, quantize.

Every stage that trains keeps its result in the cache under the part of the plan done so far, so
that plans with the same beginning share it.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property

import torch
from torch import nn

from ...errors import TrainingDiverged
from ...spaces.apply import apply_phase, foretell
from ...spaces.graph.tracing import example_images, trace
from ...spaces.plan import Plan
from ...spaces.space import Space
from ...spaces.technique import Examples, Phase, Surroundings, no_training
from ...spaces.techniques import KINDS
from ..training.block_library import Library, settle
from ..training.cache import Cache, cache_key
from ..training.changed_parts import Part, find_parts
from ..training.device import best_device
from ..training.progress import Clock
from ..training.recipe import Recipe, shortened
from ..training.training_loop import first_batches, recalibrate_batchnorm, seeded, train
from .task import Task

_CALIBRATION_BATCHES = 4

Look = Callable[[nn.Module, str, int, int], None]
"""Is shown a network on its way: (network, stage, epochs done, epochs of the stage)."""


class Builder:
    """Makes the networks of plans.

    Args:
        task: the model, images and recipes.
        space: whose plans are built.
        cache: where trained networks and fitted parts are kept.
        clock: counts the time of each stage.
        look: is shown networks on their way; what it raises ends the work.
        seed: of what plans draw; the baseline has the task's.
    """

    def __init__(
        self, task: Task, space: Space, cache: Cache, clock: Clock, look: Look, seed: int
    ) -> None:
        self.task, self.space, self.cache = task, space, cache
        self.clock, self._look, self.seed = clock, look, seed
        self.device = best_device()
        self._libraries = dict[Plan, Library]()

    @cached_property
    def baseline(self) -> nn.Module:
        """The untouched network, trained or loaded; it is never changed.

        Raises:
            ModelError, WeightsError: it cannot be built, run or filled.
            TrainingDiverged: its training failed.
        """
        network = self.task.build()
        trace(network, self.images("cpu"))
        if self.task.trains_baseline:
            key = self.task.baseline_key
            kept = self.cache.get(key)
            if kept is None or not _fits(network, kept):
                with self.clock.stage("baseline", self.task.recipes.baseline.epochs):
                    network.to(self.device)
                    self._train_baseline(network)
                self.cache.put(key, network.state_dict())
            else:
                network.load_state_dict(kept)
        return _settled(network.to(self.device))

    def network(self, plan: Plan) -> nn.Module:
        """The plan's network, trained, pruned and quantized."""
        network = self._pruned(plan)
        if plan == plan.through(Phase.PRUNE):
            return network
        return self._tuned(plan, network) if plan.trains_at_last else self._rounded(plan, network)

    def assembled(self, plan: Plan) -> nn.Module:
        """The plan's structure, its new parts from the library, before any training."""
        with self.clock.stage("assemble"), seeded(self.seed):
            network, parts = self._untrained(plan.through(Phase.STRUCTURE))
            self._library(plan.input).assemble(network, parts)
            self._recalibrate(network)
        self._look(network, "assemble", 0, 0)
        return network

    def missed(self, plan: Plan) -> float:
        """What a plan's parts miss of the baseline's features, each fitted alone, all together.

        In shares of the features' variance: 0 is the baseline. DONNA foretells accuracies from
        such figures (Moons et al. 2021, https://arxiv.org/abs/2012.08859).
        """
        with self.clock.stage("assemble"), seeded(self.seed):
            network, parts = self._untrained(plan.through(Phase.PRUNE))
            return sum(self._library(plan.input).errors(network, parts))

    def images(self, device: torch.device | str) -> torch.Tensor:
        """Two images of the task's size, for tracing."""
        return example_images(self.task.splits.channels, self.task.splits.size, device)

    def _untrained(self, plan: Plan) -> tuple[nn.Module, list[Part]]:
        """A plan carried out on the baseline, without training, and the parts that it changed."""
        around = self._around(self._examples)
        network = self._carried_out(plan, around)
        return network, find_parts(self.space.blueprint, self.baseline, network, around.kept)

    def _carried_out(self, plan: Plan, around: Surroundings) -> nn.Module:
        network = copy.deepcopy(self.baseline)
        for phase in (Phase.STRUCTURE, Phase.PRUNE):
            network = self._applied(network, plan, phase, around)
        return network

    def _trained(self, plan: Plan) -> nn.Module:
        part = plan.through(Phase.STRUCTURE)
        if not part.choices:
            return copy.deepcopy(self.baseline)
        recipe = self.task.recipes.train
        return self._learned(part, lambda: self.assembled(part), "train", recipe)

    def _pruned(self, plan: Plan) -> nn.Module:
        part, recipe = plan.through(Phase.PRUNE), self.task.recipes.fine_tune
        if part == plan.through(Phase.STRUCTURE):
            return self._trained(plan)

        def make() -> nn.Module:
            network = self._trained(plan)
            with self.clock.stage("prune"):
                network = self._cut(network, part, recipe)
            self._look(network, "prune", 0, 0)
            return network

        return self._learned(part, make, "fine-tune", recipe)

    def _cut(self, network: nn.Module, plan: Plan, recipe: Recipe) -> nn.Module:
        """The network pruned, and what is left used to it."""
        before, around = copy.deepcopy(network), self._around(self._examples, recipe)
        network = self._applied(network, plan, Phase.PRUNE, around)
        blueprint = foretell(self.space.blueprint, plan, Phase.STRUCTURE)
        settle(
            network, find_parts(blueprint, before, network, around.kept), before, around.calibration
        )
        self._recalibrate(network)
        return network

    def _rounded(self, plan: Plan, network: nn.Module) -> nn.Module:
        """The network at the plan's bit-widths, by calibration alone."""
        with self.clock.stage("quantize"):
            around = self._around(self._examples)
            return self._applied(network, plan, Phase.QUANTIZE, around).eval()

    def _tuned(self, plan: Plan, network: nn.Module) -> nn.Module:
        """The network at the plan's bit-widths, trained at them: from the cache, if it is there."""
        key, recipe = self._key(plan, "quantize"), self.task.recipes.quantize
        kept = self._kept(key, lambda: self._rounded(plan, copy.deepcopy(network)))
        if kept is not None:
            return kept
        with self.clock.stage("quantize", recipe.epochs):
            around = self._around(self._examples, recipe)
            network = self._applied(network, plan, Phase.QUANTIZE, around)
        self.cache.put(key, network.state_dict())
        return _settled(network)

    def _tuning(self, recipe: Recipe) -> Callable[[nn.Module, float], None]:
        """What a kind calls to train a network for a share of a recipe."""

        def tune(network: nn.Module, share: float) -> None:
            self._recalibrate(network)
            self._train(network, shortened(recipe, share), teacher=self.baseline)

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
        with self.clock.stage(stage, recipe.epochs):

            def after(epoch: int) -> None:
                self._look(network, stage, epoch, recipe.epochs)

            self._train(network, recipe, self.baseline, after)
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
        with seeded(self.seed):  # new blocks draw weights
            return self._carried_out(part, self._around())

    def _applied(
        self, network: nn.Module, plan: Plan, phase: Phase, around: Surroundings
    ) -> nn.Module:
        return apply_phase(network, self.space.blueprint, plan, phase, around)

    def _around(self, examples: Examples = (), recipe: Recipe | None = None) -> Surroundings:
        """What kinds may look at, and train by if there is a recipe."""
        tune = self._tuning(recipe) if recipe else no_training
        return Surroundings(self.images(self.device), examples, tune)

    def _library(self, given: Plan) -> Library:
        """The library of parts of the baseline, which is given what a plan gives it."""
        if given not in self._libraries:
            teacher, key = self.baseline, self.task.baseline_key
            if given.choices:
                teacher = copy.deepcopy(teacher)
                teacher = self._applied(teacher, given, Phase.STRUCTURE, self._around())
                self._recalibrate(teacher)
            key = cache_key(baseline=key, given=given.to_dict())
            calibration = [images for images, _ in self._examples]
            self._libraries[given] = Library(self.cache, key, teacher, calibration)
        return self._libraries[given]

    @cached_property
    def _examples(self) -> Examples:
        """Training images for what looks at numbers, normalised, the same each time."""
        splits = self.task.splits
        return first_batches(
            self.baseline, splits.train, splits.normalisation, _CALIBRATION_BATCHES
        )

    def _train(
        self,
        network: nn.Module,
        recipe: Recipe,
        teacher: nn.Module | None,
        after_epoch: Callable[[int], None] | None = None,
    ) -> None:
        splits = self.task.splits
        train(
            network,
            splits.train,
            splits.normalisation,
            splits.augmentation,
            recipe,
            self.task.seed if teacher is None else self.seed,
            teacher,
            self.clock.progress,
            after_epoch,
        )

    def _train_baseline(self, network: nn.Module) -> None:
        try:
            self._train(network, self.task.recipes.baseline, teacher=None)
        except TrainingDiverged as error:
            raise TrainingDiverged(
                f"the baseline's training failed: {error}; a lower [baseline] max_lr may help"
            ) from None

    def _key(self, part: Plan, stage: str) -> str:
        recipes = self.task.recipes
        return cache_key(
            stage=stage,
            plan=part.to_dict(),
            seed=self.seed,
            baseline=self.task.baseline_key,
            train=asdict(recipes.train),
            fine_tune=asdict(recipes.fine_tune) if stage != "train" else None,
            quantize=asdict(recipes.quantize) if stage == "quantize" else None,
            **_code(part),
        )


def _code(part: Plan) -> dict[str, list[str]]:
    """What tells apart plans with techniques of the user's own, whose code may change."""
    digests = {KINDS.get(one.kind).code(one.value) for one in part.choices} - {""}
    return {"code": sorted(digests)} if digests else {}


def _fits(network: nn.Module, kept: Mapping[str, torch.Tensor]) -> bool:
    """Whether tensors from the cache are those of the network; a foreign entry counts as none."""
    own = network.state_dict()
    return own.keys() == kept.keys() and all(
        (tensor.shape, tensor.dtype) == (kept[name].shape, kept[name].dtype)
        for name, tensor in own.items()
    )


def _settled(network: nn.Module) -> nn.Module:
    """In evaluation mode, and in one memory format: another would compute other last digits."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()
