"""A thin trunk: few channels between blocks, many inside them.

Sandler et al.: MobileNetV2 (2018), https://arxiv.org/abs/1801.04381: blocks six times as wide
inside as outside. Here the blocks keep their hidden width and the trunk that runs between them
gets a sixth of it; the stem gets a sixth of its own channels. What stays are the baseline's
largest channels by L1 norm.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import nn

from ...errors import UnknownName
from ..blueprint import STEM, Blueprint, LeftAlone, Op
from ..criteria import CRITERIA
from ..cutting import cut
from ..kind import Kind, Phase, Surroundings, Value
from ..sites import find_blocks
from ..technique import Technique

_EXPANSION = 6
_MULTIPLES = {"thin": 2, "thin-8": 8}


class Trunk(Kind):
    """How many channels run between a stage's residual blocks."""

    name = "trunk"
    title = "channels between the residual blocks of a stage"
    phase = Phase.STRUCTURE
    neutral = "original"

    def default_options(self) -> tuple[Value, ...]:
        return ("original",)

    def techniques(self) -> Iterable[Technique]:
        yield Technique("original", "the trunk as it is", "nothing", "nothing")
        for name, multiple in _MULTIPLES.items():
            yield Technique(
                name=name,
                title=f"a sixth of the hidden width, by {multiple}",
                replaces="trunk of a stage; the stem",
                saves="2x of ResNet-101, 6x of ResNet-18",
                paper="MobileNetV2, Sandler et al. 2018",
                link="https://arxiv.org/abs/1801.04381",
            )

    def parse(self, value: object) -> Value:
        allowed = (str(self.neutral), *_MULTIPLES)
        if isinstance(value, str) and value in allowed:
            return value
        raise UnknownName("trunk", str(value), allowed, "paredown techniques")

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        if value == self.neutral:
            return ()
        thin = dict.fromkeys(blueprint.stages, value)
        return tuple(s for s in blueprint.stages if _sizes(blueprint, {s: thin[s]}))

    def left_alone(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[LeftAlone]:
        if not any(self.places(blueprint, value) for value in options):
            reason = "no trunk between residual blocks is wider than a sixth of their hidden width"
            yield LeftAlone(self.name, "the network", reason)

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return blueprint.resized(_sizes(blueprint, chosen))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        thinner = self.foretell(blueprint, chosen)
        return cut(network, around.images, blueprint, thinner, CRITERIA.get("l1").importance())


def rounded(width: float, multiple: int) -> int:
    """The nearest multiple that is at least 90 % of a width, as MobileNetV2 rounds."""
    near = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * width else near


def _sizes(blueprint: Blueprint, chosen: Mapping[str, Value]) -> dict[str, int]:
    """Trunk group -> its new size, for those that get smaller."""
    found = dict[str, int]()
    for group, (stage, hidden) in _trunks(blueprint).items():
        if stage in chosen:
            size = rounded(hidden / _EXPANSION, _MULTIPLES[str(chosen[stage])])
            if size < blueprint.groups[group].size:
                found[group] = size
    return found


def _trunks(blueprint: Blueprint) -> dict[str, tuple[str, int]]:
    """Trunk group -> its stage, and the hidden width that it is thinned by."""
    sizes, found = blueprint.sizes, dict[str, tuple[str, int]]()
    for site in find_blocks(blueprint):
        for group in site.writes.groups:
            if site.writes.is_group(group):
                found.setdefault(group, (site.stage, site.hidden.count(sizes)))
    stem = next((layer for layer in blueprint.layers if layer.op is Op.CONV), None)
    for group in stem.writes.groups if stem and found and stem.stage == STEM else ():
        if group not in found and stem and stem.writes.is_group(group):
            found[group] = (STEM, sizes[group])
    return found
