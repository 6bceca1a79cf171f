"""A library of replaced parts, each fitted once, from which the networks of plans are assembled.

Each part is fitted alone to the features of the teacher network. All plans with the same part at
the same place and width share it. After assembly, the parts are fitted to each other for a few
steps, from input to output, so that the network needs little training. Based on Moons et al.: DONNA
(2021), https://arxiv.org/abs/2012.08859, and Molchanov et al.: LANA (2021),
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
    """Fitted parts of networks, stored in a cache.

    Args:
        cache: the cache.
        key: the cache key of the teacher.
        teacher: the network to which parts are fitted, in evaluation mode; not changed.
        calibration: batches of normalised images on the teacher's device.
    """

    def __init__(
        self, cache: Cache, key: str, teacher: nn.Module, calibration: Sequence[torch.Tensor]
    ) -> None:
        self.cache, self.key, self.teacher = cache, key, teacher
        self.images = subsample(calibration)

    def assemble(self, network: nn.Module, parts: Sequence[ReplacedPart]) -> None:
        """Load fitted parts into a network, in place, and fit each to the parts before it."""
        for part, _, wanted in self._fitted(network, parts):
            _fit_part(network, part, wanted, self.images)
        network.eval()

    def errors(self, network: nn.Module, parts: Sequence[ReplacedPart]) -> list[float]:
        """Load fitted parts into a network; return their errors, as shares of the variance."""
        return [missed for _, missed, _ in self._fitted(network, parts)]

    def _fitted(
        self, network: nn.Module, parts: Sequence[ReplacedPart]
    ) -> Iterator[tuple[ReplacedPart, float, torch.Tensor]]:
        """Load the weights of each part; yield the part, its error and its wanted output.

        A part whose output size or channels differ from the teacher's is joined with the next one,
        as where a stride has moved between them; if that is impossible, it is skipped.
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
        """Load a part's fitted weights from the cache, or fit it. Returns its error."""
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
    """Fit parts in place, in running order, to the teacher of a single plan, without a cache."""
    images = subsample(calibration)
    for part in parts:
        _, wanted = teacher_features(teacher, part, images)
        _fit_part(network, part, wanted, images)
    network.eval()


def _fit_part(
    network: nn.Module, part: ReplacedPart, wanted: torch.Tensor, images: torch.Tensor
) -> None:
    """Fit a part to its wanted output on the output of the parts before it, if shapes match."""
    inputs, _ = features_at(network, part, images)
    module = part.of(network)
    if shapes_match(module, inputs, wanted):
        fit(module, inputs, wanted, FIT_IN_NETWORK)


def _holds_tensors_of(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether a cache entry has a module's tensors and the error."""
    own = module.state_dict() | {_ERROR: torch.tensor(0.0)}
    return own.keys() == tensors.keys() and all(
        tensor.shape == tensors[name].shape for name, tensor in own.items()
    )


def _as_list(numbers: torch.Tensor | None) -> list[int] | None:
    return None if numbers is None else numbers.tolist()


__all__ = ["BlockLibrary", "fit_in_place"]


def _code(module: nn.Module) -> dict[str, list[str]]:
    """Return digests of the code of the user's module classes, for the cache key."""
    classes = {type(module) for module in module.modules()}
    theirs = {
        module_type for module_type in classes if not module_type.__module__.startswith("torch.")
    }
    digests = {own_code_digest(module_type) for module_type in theirs} - {""}
    return {"code": sorted(digests)} if digests else {}
