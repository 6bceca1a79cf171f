"""What a task is made from: names and numbers alone, so that any process can make it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...spaces.graph.frozen import keep
from ...spaces.plan import Plan
from ...spaces.space import Granularity, Space
from ...spaces.technique import Value
from ..accuracy.scoring import Metric
from ..cost.objective import DEFAULT_OBJECTIVES
from ..data import DataRequest
from ..training.recipe import Recipes
from .task import Task


@dataclass(frozen=True)
class TaskSpec:
    """A task and the space of its plans, before anything is loaded.

    Attributes:
        model: its name, a reference to a function of the user's, or the name of a given object.
        data: the images.
        recipes: how networks are trained.
        seed: of initial weights, order of images and augmentation.
        weights: a file with the baseline's weights.
        trained: whether the model comes with its weights.
        metric: what is meant by accuracy.
        objectives: names of what is minimized.
        keep: globs of layers that no technique may touch.
        options: technique -> its options, where they are not the default ones.
        granularity: how finely choices are made.
        start_plans: plans that the space has to hold.
        imports: files and modules of the user's that register techniques.
    """

    model: str
    data: DataRequest
    recipes: Recipes = field(default_factory=Recipes)
    seed: int = 0
    weights: Path | None = None
    trained: bool = False
    metric: Metric = Metric.PLAIN
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    keep: tuple[str, ...] = ()
    options: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    granularity: Granularity | Mapping[str, Granularity] = Granularity.STAGE
    start_plans: tuple[Plan, ...] = ()
    imports: tuple[str, ...] = ()

    def load(self) -> tuple[Task, Space]:
        """Load the images, build the network and read its space off it. Nothing is trained.

        Raises:
            InputError: the model, data or weights cannot be used, or an extra is missing.
            UnknownName: a layer to keep that there is not.
            PlanError: a start plan that is not in the space.
        """
        from ...spaces.graph.tracing import check_classes, example_images
        from ...spaces.pruning.trace_groups import trace_with_groups

        task = Task.load(
            self.model,
            self.data,
            self.recipes,
            self.seed,
            self.weights,
            self.trained,
            self.metric,
            self.objectives,
        )
        network, images = task.build(), example_images(task.splits.channels, task.splits.size)
        blueprint = keep(trace_with_groups(network, images), self.keep)
        check_classes(network, images, task.splits.classes)
        space = Space.of(blueprint, self.options, self.granularity)
        space.require()
        for plan in self.start_plans:
            space.check(plan)
        return task, space
