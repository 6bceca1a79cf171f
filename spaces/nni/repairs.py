"""Patches of NNI for current versions of torch and Python.

NNI 3.0 was written for torch 2.0 and Python 3.10. Three places in the tracer of its `ModelSpeedup`
fail with later versions. Its pruners and quantizers need no patch.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_REPAIRED = "_repaired_by_paredown"


@contextmanager
def quiet_nni() -> Iterator[None]:
    """Silence NNI's log of each layer and the warnings about its use of torch."""
    with warnings.catch_warnings():
        # On import, NNI registers torch.fx's lists with pytree, as torch itself does since 2.1.
        warnings.filterwarnings("ignore", message=r".*_register_pytree_node` is deprecated")
        warnings.filterwarnings("ignore", message=r".*is already registered as pytree node")
        # QAT's backward pass reads `saved_variables`, the deprecated name of `saved_tensors`.
        warnings.filterwarnings("ignore", message=r"'saved_variables' is deprecated")
        import nni.compression.speedup  # noqa: F401

        logger = logging.getLogger("nni")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def own_randomness(network: nn.Module) -> Iterator[None]:
    """Seed torch with 0 inside, and restore its random state afterwards."""
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def repair_nni() -> None:
    """Patch `ModelSpeedup` for current versions of torch; idempotent."""
    from nni.common.concrete_trace_utils import concrete_tracer

    _forget_builtins_without_module(concrete_tracer)
    _let_purity_take_options(concrete_tracer)
    _take_training_as_given(concrete_tracer)


def _forget_builtins_without_module(tracer: Any) -> None:
    # NOTE: the tracer wraps torch's functions and looks up each by its `__module__`, except the
    # methods of `_TensorBase`, which torch renamed to `TensorBase`. Its three static functions,
    # which only create tensors of other classes, have `__module__` None, and the look-up fails.
    wrapped = tracer.ConcreteTracer.default_autowrap_leaf_function
    for function in list(wrapped):
        if getattr(function, "__module__", "") is None:
            del wrapped[function]


def _let_purity_take_options(tracer: Any) -> None:
    # NOTE: for dead code elimination, the tracer replaces `torch.fx.Node.is_impure` by its own
    # function, which lacks the argument `impure_random` that torch now passes.
    own = tracer.node_is_impure_wrapper
    if hasattr(own, _REPAIRED):
        return

    def is_impure(node: object, *options: object, **named: object) -> bool:
        return bool(own(node))

    setattr(is_impure, _REPAIRED, True)
    tracer.node_is_impure_wrapper = is_impure


def _take_training_as_given(tracer: Any) -> None:
    # NOTE: the tracer records reads of `module.training` and inspects the bytecode to detect
    # branches on it, at the wrong position since Python 3.11. Without this record, `training` is a
    # constant, which is correct because networks are traced in evaluation mode.
    tracer.ConcreteTracer.default_module_getattr = ()


def register_types(settings: Any, network: nn.Module, names: Iterable[str]) -> None:
    """Register subclasses of convolutions and linear layers with NNI, which uses class names.

    Args:
        settings: NNI's `PruningSetting` or `QuantizationSetting`.
        network: the network that contains the layers.
        names: the names of the layers.
    """
    for name in names:
        own = type(network.get_submodule(name)).__name__
        if own not in settings.registry:
            settings.register(own, settings.registry["Conv2d"])  # equal to that of Linear
