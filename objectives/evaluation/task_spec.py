"""The specification of a task, which is picklable, so that any process can load the task."""

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
    """The specification of a task and its search space.

    Attributes:
        model: a model name, a reference to a user's function, or the name of a Python object.
        data: the request for the data set.
        recipes: the training recipes.
        seed: the seed of initial weights, order of images and augmentation.
        weights: a file with the baseline's weights.
        trained: whether the model has trained weights.
        metric: the accuracy metric.
        objectives: names of the objectives to minimize.
        keep: patterns of layers to freeze.
        options: technique -> options, where not the defaults.
        granularity: the level of choices.
        start_plans: plans that must be in the space.
        imports: the user's files and modules that register extensions.
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
        """Load the data, build the network and create its search space. Nothing is trained.

        Raises:
            InputError: the model, data or weights cannot be used, or an extra is missing.
            UnknownName: a pattern of layers to keep that matches nothing.
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
