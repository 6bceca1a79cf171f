"""Thin trunks: few channels between residual blocks, many inside them.

Sandler et al.: MobileNetV2 (2018), https://arxiv.org/abs/1801.04381: blocks are six times as wide
inside as outside. Here the hidden width of the blocks stays and the trunk between them is reduced
to a sixth of it; the stem is reduced to a sixth of its own channels. The baseline's channels with
the largest L1 norm remain.
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
    """The number of channels between a stage's residual blocks."""

    name = "trunk"
    title = "channels between the residual blocks of a stage"
    phase = Phase.STRUCTURE
    neutral_title = "no change"
    titles: ClassVar[Mapping[str, str]] = {
        name: f"a sixth of the hidden width, in multiples of {many}"
        for name, many in _MULTIPLES.items()
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
    """Round to the nearest multiple that is at least 90 % of a width, as MobileNetV2 does."""
    near = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * width else near


def _sizes(blueprint: Blueprint, chosen: Mapping[str, Value]) -> dict[str, int]:
    """Map the trunk's channel groups that shrink to their new sizes."""
    results = dict[str, int]()
    for group, (stage, hidden) in _trunks(blueprint).items():
        if stage in chosen:
            size = rounded(hidden / _EXPANSION, _MULTIPLES[str(chosen[stage])])
            if size < blueprint.groups[group].size:
                results[group] = size
    return results


def _trunks(blueprint: Blueprint) -> dict[str, tuple[str, int]]:
    """Map the trunk's channel groups to their stages and the hidden widths that set their size."""
    sizes, results = blueprint.sizes, dict[str, tuple[str, int]]()
    for site in find_blocks(blueprint):
        if group := site.writes.group:
            results.setdefault(group, (site.stage, site.hidden.count(sizes)))
    stem = next((layer for layer in blueprint.layers if layer.op is Op.CONV), None)
    if results and stem and stem.stage == STEM and (group := stem.writes.group):
        results.setdefault(group, (STEM, sizes[group]))
    return results
