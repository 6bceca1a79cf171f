"""A thin trunk: few channels between blocks, many inside them.

Sandler et al.: MobileNetV2 (2018), https://arxiv.org/abs/1801.04381: blocks six times as wide
inside as outside. Here the blocks keep their hidden width and the trunk that runs between them
gets a sixth of it; the stem gets a sixth of its own channels. What stays are the baseline's
largest channels by L1 norm.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ..graph.blueprint import STEM, Blueprint, Op, Skipped
from ..graph.sites import find_blocks
from ..technique import Phase, TechniqueInfo, Value
from .bases import NamedTechnique, PruningTechnique

_EXPANSION = 6
_MULTIPLES = {"thin": 2, "thin-8": 8}


class Trunk(PruningTechnique, NamedTechnique):
    """How many channels run between a stage's residual blocks."""

    name = "trunk"
    title = "channels between the residual blocks of a stage"
    phase = Phase.STRUCTURE
    neutral_title = "the trunk as it is"
    titles: ClassVar[Mapping[str, str]] = {
        name: f"a sixth of the hidden width, by {many}" for name, many in _MULTIPLES.items()
    }
    info = TechniqueInfo(
        name="",
        title="",
        replaces="trunk of a stage; the stem",
        saves="2x of ResNet-101, 6x of ResNet-18",
        paper="MobileNetV2, Sandler et al. 2018",
        link="https://arxiv.org/abs/1801.04381",
    )

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        if value == self.neutral:
            return ()
        return tuple(stage for stage in blueprint.stages if _sizes(blueprint, {stage: value}))

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        if not any(self.places(blueprint, value) for value in options):
            reason = "no trunk between residual blocks is wider than a sixth of their hidden width"
            yield Skipped(self.name, "the network", reason)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return blueprint.resized(_sizes(blueprint, chosen))


def rounded(width: float, multiple: int) -> int:
    """The nearest multiple that is at least 90 % of a width, as MobileNetV2 rounds."""
    near = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * width else near


def _sizes(blueprint: Blueprint, chosen: Mapping[str, Value]) -> dict[str, int]:
    """Trunk group -> its new size, for those that get smaller."""
    results = dict[str, int]()
    for group, (stage, hidden) in _trunks(blueprint).items():
        if stage in chosen:
            size = rounded(hidden / _EXPANSION, _MULTIPLES[str(chosen[stage])])
            if size < blueprint.groups[group].size:
                results[group] = size
    return results


def _trunks(blueprint: Blueprint) -> dict[str, tuple[str, int]]:
    """Trunk group -> its stage, and the hidden width that it is thinned by."""
    sizes, results = blueprint.sizes, dict[str, tuple[str, int]]()
    for site in find_blocks(blueprint):
        if group := site.writes.group:
            results.setdefault(group, (site.stage, site.hidden.count(sizes)))
    stem = next((layer for layer in blueprint.layers if layer.op is Op.CONV), None)
    if results and stem and stem.stage == STEM and (group := stem.writes.group):
        results.setdefault(group, (STEM, sizes[group]))
    return results
