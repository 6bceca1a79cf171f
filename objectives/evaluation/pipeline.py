"""The training pipeline of plans: assemble, train, prune, fine-tune, quantize.

The result of every stage with training is cached under the choices of the phases so far, so that
plans with the same first phases share it.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property

import torch
from torch import nn

from ...errors import TrainingDiverged
from ...spaces.apply import apply_phase, predict_graph
from ...spaces.graph.tracing import example_images, trace
from ...spaces.plan import Plan
from ...spaces.space import Space
from ...spaces.technique import ApplyContext, Examples, Phase, no_training
from ...spaces.techniques import TECHNIQUES
from ..training.block_library import BlockLibrary, fit_in_place
from ..training.cache import Cache, cache_key
from ..training.changed_parts import ReplacedPart, find_parts
from ..training.device import best_device
from ..training.progress import StageTimer
from ..training.recipe import Recipe, shortened
from ..training.training_loop import first_batches, recalibrate_batchnorm, seeded, train
from .task import Task

_CALIBRATION_BATCHES = 4

Look = Callable[[nn.Module, str, int, int], None]
"""Called with checkpoints of a network: (network, stage, completed epochs, all epochs)."""


class TrainingPipeline:
    """Builds and trains the networks of plans.

    Args:
        task: the model, images and recipes.
        space: the search space of the plans.
        cache: the cache of trained networks and fitted parts.
        timer: measures the time of each stage.
        look: called with checkpoints; an exception that it raises ends the evaluation.
        seed: the seed of building and training plans; the baseline has the task's.
    """

    def __init__(
        self, task: Task, space: Space, cache: Cache, timer: StageTimer, look: Look, seed: int
    ) -> None:
        self.task, self.space, self.cache = task, space, cache
        self.timer, self._look, self.seed = timer, look, seed
        self.device = best_device()
        self._libraries = dict[Plan, BlockLibrary]()

    @cached_property
    def baseline(self) -> nn.Module:
        """The baseline network, trained or loaded; it is never changed.

        Raises:
            ModelError, WeightsError: the network cannot be built or run, or weights do not match.
            TrainingDiverged: the training failed.
        """
        network = self.task.build()
        trace(network, self.images("cpu"))
        if self.task.trains_baseline:
            key = self.task.baseline_key
            tensors = self.cache.get(key)
            if tensors is None or not _fits(network, tensors):
                with self.timer.stage("baseline", self.task.recipes.baseline.epochs):
                    network.to(self.device)
                    self._train_baseline(network)
                self.cache.put(key, network.state_dict())
            else:
                network.load_state_dict(tensors)
        return _in_eval_mode(network.to(self.device))

    def network(self, plan: Plan) -> nn.Module:
        """Return the plan's network, trained, pruned and quantized."""
        network = self._pruned(plan)
        if plan == plan.through(Phase.PRUNE):
            return network
        return self._tuned(plan, network) if plan.trains_at_last else self._rounded(plan, network)

    def assembled(self, plan: Plan) -> nn.Module:
        """Return the plan's network with fitted parts from the library, before training."""
        with self.timer.stage("assemble"), seeded(self.seed):
            network, parts = self._untrained(plan.through(Phase.STRUCTURE))
            self._library(plan.input).assemble(network, parts)
            self._recalibrate(network)
        self._look(network, "assemble", 0, 0)
        return network

    def fitting_error(self, plan: Plan) -> float:
        """Compute the sum of the errors of a plan's parts, each fitted alone to the baseline.

        Errors are shares of the variance of features; 0 for the baseline. DONNA predicts accuracies
        from such errors (Moons et al. 2021, https://arxiv.org/abs/2012.08859).
        """
        with self.timer.stage("assemble"), seeded(self.seed):
            network, parts = self._untrained(plan.through(Phase.PRUNE))
            return sum(self._library(plan.input).errors(network, parts))

    def images(self, device: torch.device | str) -> torch.Tensor:
        """Create two images of the task's size, for tracing."""
        return example_images(self.task.splits.channels, self.task.splits.size, device)

    def _untrained(self, plan: Plan) -> tuple[nn.Module, list[ReplacedPart]]:
        """Apply a plan to the baseline without training. Returns network and changed parts."""
        context = self._context(self._examples)
        network = self._carried_out(plan, context)
        return network, find_parts(
            self.space.blueprint, self.baseline, network, context.kept_channels
        )

    def _carried_out(self, plan: Plan, context: ApplyContext) -> nn.Module:
        network = copy.deepcopy(self.baseline)
        for phase in (Phase.STRUCTURE, Phase.PRUNE):
            network = self._applied(network, plan, phase, context)
        return network

    def _trained(self, plan: Plan) -> nn.Module:
        part = plan.through(Phase.STRUCTURE)
        if not part.choices:
            return copy.deepcopy(self.baseline)
        recipe = self.task.recipes.train
        return self._load_or_train(part, lambda: self.assembled(part), "train", recipe)

    def _pruned(self, plan: Plan) -> nn.Module:
        part, recipe = plan.through(Phase.PRUNE), self.task.recipes.fine_tune
        if part == plan.through(Phase.STRUCTURE):
            return self._trained(plan)

        def make() -> nn.Module:
            network = self._trained(plan)
            with self.timer.stage("prune"):
                network = self._cut(network, part, recipe)
            self._look(network, "prune", 0, 0)
            return network

        return self._load_or_train(part, make, "fine-tune", recipe)

    def _cut(self, network: nn.Module, plan: Plan, recipe: Recipe) -> nn.Module:
        """Prune the network, and fit the pruned parts to the features before pruning."""
        before, context = copy.deepcopy(network), self._context(self._examples, recipe)
        network = self._applied(network, plan, Phase.PRUNE, context)
        blueprint = predict_graph(self.space.blueprint, plan, Phase.STRUCTURE)
        fit_in_place(
            network,
            find_parts(blueprint, before, network, context.kept_channels),
            before,
            context.calibration,
        )
        self._recalibrate(network)
        return network

    def _rounded(self, plan: Plan, network: nn.Module) -> nn.Module:
        """Quantize the network by calibration only."""
        with self.timer.stage("quantize"):
            context = self._context(self._examples)
            return self._applied(network, plan, Phase.QUANTIZE, context).eval()

    def _tuned(self, plan: Plan, network: nn.Module) -> nn.Module:
        """Return the network after quantization-aware training, cached."""
        key, recipe = self._key(plan, "quantize"), self.task.recipes.quantize
        cached = self._load_cached(key, lambda: self._rounded(plan, copy.deepcopy(network)))
        if cached is not None:
            return cached
        with self.timer.stage("quantize", recipe.epochs):
            context = self._context(self._examples, recipe)
            network = self._applied(network, plan, Phase.QUANTIZE, context)
        self.cache.put(key, network.state_dict())
        return _in_eval_mode(network)

    def _tuning(self, recipe: Recipe) -> Callable[[nn.Module, float], None]:
        """Return the function with which techniques train for a share of a recipe's epochs."""

        def tune(network: nn.Module, share: float) -> None:
            self._recalibrate(network)
            self._train(network, shortened(recipe, share), teacher=self.baseline)

        return tune

    def _recalibrate(self, network: nn.Module) -> None:
        splits = self.task.splits
        recalibrate_batchnorm(network, splits.train, splits.normalisation)

    def _load_or_train(
        self, part: Plan, make: Callable[[], nn.Module], stage: str, recipe: Recipe
    ) -> nn.Module:
        """Return the network of a plan's first phases from the cache, or build and train it."""
        key = self._key(part, stage)
        cached = self._load_cached(key, lambda: self._empty(part))
        if cached is not None:
            return cached
        network = make()
        with self.timer.stage(stage, recipe.epochs):

            def after(epoch: int) -> None:
                self._look(network, stage, epoch, recipe.epochs)

            self._train(network, recipe, self.baseline, after)
        self.cache.put(key, network.state_dict())
        return _in_eval_mode(network)

    def _load_cached(self, key: str, empty: Callable[[], nn.Module]) -> nn.Module | None:
        """Load a network from the cache; None if it has no matching entry."""
        tensors = self.cache.get(key)
        if tensors is None:
            return None
        network = empty()
        if not _fits(network, tensors):
            return None
        network.load_state_dict(tensors)
        return _in_eval_mode(network)

    def _empty(self, part: Plan) -> nn.Module:
        """Build the network of a plan's first phases, whose weights will be loaded."""
        with seeded(self.seed):  # new blocks have random weights
            return self._carried_out(part, self._context())

    def _applied(
        self, network: nn.Module, plan: Plan, phase: Phase, context: ApplyContext
    ) -> nn.Module:
        return apply_phase(network, self.space.blueprint, plan, phase, context)

    def _context(self, examples: Examples = (), recipe: Recipe | None = None) -> ApplyContext:
        """Create the context of techniques, with training if there is a recipe."""
        tune = self._tuning(recipe) if recipe else no_training
        return ApplyContext(self.images(self.device), examples, tune)

    def _library(self, prefix: Plan) -> BlockLibrary:
        """Return the library of parts for a baseline with the input of a plan (resolution)."""
        if prefix not in self._libraries:
            teacher, key = self.baseline, self.task.baseline_key
            if prefix.choices:
                teacher = copy.deepcopy(teacher)
                teacher = self._applied(teacher, prefix, Phase.STRUCTURE, self._context())
                self._recalibrate(teacher)
            key = cache_key(baseline=key, given=prefix.to_dict())
            calibration = [images for images, _ in self._examples]
            self._libraries[prefix] = BlockLibrary(self.cache, key, teacher, calibration)
        return self._libraries[prefix]

    @cached_property
    def _examples(self) -> Examples:
        """Normalised training images for calibration and criteria, the same in each run."""
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
            self.timer.progress,
            after_epoch,
        )

    def _train_baseline(self, network: nn.Module) -> None:
        try:
            self._train(network, self.task.recipes.baseline, teacher=None)
        except TrainingDiverged as error:
            raise TrainingDiverged(
                f"the training of the baseline failed: {error}; try a lower max_lr in [baseline]"
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
    """Return digests of the user's code in a plan's techniques, for the cache key."""
    digests = {TECHNIQUES.get(choice.technique).code(choice.value) for choice in part.choices} - {
        ""
    }
    return {"code": sorted(digests)} if digests else {}


def _fits(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether tensors from the cache match a network's names, shapes and types."""
    own = network.state_dict()
    return own.keys() == tensors.keys() and all(
        (tensor.shape, tensor.dtype) == (tensors[name].shape, tensors[name].dtype)
        for name, tensor in own.items()
    )


def _in_eval_mode(network: nn.Module) -> nn.Module:
    """Set evaluation mode and memory format; another format would change rounding errors."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()
