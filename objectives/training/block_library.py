"""A library of replacements: parts of networks, each fitted once, from which plans are assembled.

Each part learns alone from the features of the network that it is to stand in: whatever plan asks
for the same part at the same place and width finds it here. Put together, parts are given a short
while to get used to each other, from input to output; then the whole is nearly trained. After
Moons et al.: DONNA (2021), https://arxiv.org/abs/2012.08859, and Molchanov et al.: LANA (2021),
https://arxiv.org/abs/2107.10624.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from ...own_code import own_code_digest
from .block_fitting import (
    FIT_IN_NETWORK,
    FIT_ISOLATED,
    features_at,
    fit,
    shapes_match,
    subsample,
    teacher_features,
)
from .cache import Cache, cache_key, tensors_digest
from .changed_parts import ReplacedPart, shape_of

_ERROR = "error"


class BlockLibrary:
    """Fitted parts, kept in a cache.

    Args:
        cache: where they are kept.
        key: names the network that they are fitted to by all that it comes from.
        teacher: that network, in evaluation mode; it is not changed.
        calibration: batches of normalised images on its device.
    """

    def __init__(
        self, cache: Cache, key: str, teacher: nn.Module, calibration: Sequence[torch.Tensor]
    ) -> None:
        self.cache, self.key, self.teacher = cache, key, teacher
        self.images = subsample(calibration)

    def assemble(self, network: nn.Module, parts: Sequence[ReplacedPart]) -> None:
        """Put fitted parts into a network, in place, and let each get used to those before it."""
        for part, _, wanted in self._fitted(network, parts):
            _fit_part(network, part, wanted, self.images)
        network.eval()

    def errors(self, network: nn.Module, parts: Sequence[ReplacedPart]) -> list[float]:
        """What each part misses alone, as a share of the variance; the network gets the parts."""
        return [missed for _, missed, _ in self._fitted(network, parts)]

    def _fitted(
        self, network: nn.Module, parts: Sequence[ReplacedPart]
    ) -> Iterator[tuple[ReplacedPart, float, torch.Tensor]]:
        """Each part with weights from the library in the network, its error and what it is for.

        Parts whose images or channels are no longer those of the teacher are joined with what
        follows them, as where a stride has moved from one to the other; else they are left out.
        """
        waiting: ReplacedPart | None = None
        for part in parts:
            joined = waiting.with_next(part) if waiting and waiting.leads_to(part) else part
            inputs, wanted = teacher_features(self.teacher, joined, self.images)
            if shapes_match(joined.of(network), inputs, wanted):
                missed = self._start(joined, joined.of(network), inputs, wanted)
                yield joined, missed, wanted
                waiting = None
            else:
                waiting = joined

    def _start(
        self, part: ReplacedPart, module: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor
    ) -> float:
        """Give a part its fitted weights: from the cache, else fitted now. Returns its error."""
        key = cache_key(
            library=self.key,
            modules=part.modules,
            shape=shape_of(module),
            begins=tensors_digest(module.state_dict()),
            reads=_as_list(part.reads),
            writes=_as_list(part.writes),
            **_code(module),
        )
        tensors = self.cache.get(key)
        if tensors is not None and _holds_tensors_of(module, tensors):
            missed = float(tensors.pop(_ERROR))
            module.load_state_dict(tensors)
            return missed
        missed = fit(module, inputs, wanted, FIT_ISOLATED)
        self.cache.put(key, module.state_dict() | {_ERROR: torch.tensor(missed)})
        return missed


def fit_in_place(
    network: nn.Module,
    parts: Sequence[ReplacedPart],
    teacher: nn.Module,
    calibration: Sequence[torch.Tensor],
) -> None:
    """Fit parts in place, in running order, to a teacher that is no other plan's."""
    images = subsample(calibration)
    for part in parts:
        _, wanted = teacher_features(teacher, part, images)
        _fit_part(network, part, wanted, images)
    network.eval()


def _fit_part(
    network: nn.Module, part: ReplacedPart, wanted: torch.Tensor, images: torch.Tensor
) -> None:
    """Let a part make what is wanted of what the parts in front of it give; if it can."""
    inputs, _ = features_at(network, part, images)
    module = part.of(network)
    if shapes_match(module, inputs, wanted):
        fit(module, inputs, wanted, FIT_IN_NETWORK)


def _holds_tensors_of(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether an entry of the cache holds a module's tensors, and the error beside them."""
    own = module.state_dict() | {_ERROR: torch.tensor(0.0)}
    return own.keys() == tensors.keys() and all(
        tensor.shape == tensors[name].shape for name, tensor in own.items()
    )


def _as_list(numbers: torch.Tensor | None) -> list[int] | None:
    return None if numbers is None else numbers.tolist()


__all__ = ["BlockLibrary", "fit_in_place"]


def _code(module: nn.Module) -> dict[str, list[str]]:
    """What tells apart parts of the user's own classes, whose code may change."""
    classes = {type(module) for module in module.modules()}
    theirs = {
        module_type for module_type in classes if not module_type.__module__.startswith("torch.")
    }
    digests = {own_code_digest(module_type) for module_type in theirs} - {""}
    return {"code": sorted(digests)} if digests else {}
