"""NNI quietened, and repaired for the torch of today.

NNI 3.0 was written for torch 2.0 and Python 3.10. Three of its lines no longer fit; all are in the
tracer that its `ModelSpeedup` reads a network with. Its pruners and quantizers need no repair.
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
    """A while in which NNI neither logs each layer nor warns about its own use of torch."""
    with warnings.catch_warnings():
        # NNI registers torch.fx's lists with pytree when it is imported, as torch does by now.
        warnings.filterwarnings("ignore", message=r".*_register_pytree_node` is deprecated")
        warnings.filterwarnings("ignore", message=r".*is already registered as pytree node")
        # QAT's backward pass reads `saved_variables`, which torch calls `saved_tensors` by now.
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
    """A while with random numbers that are always the same, and leave all others as they were."""
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def repair_nni() -> None:
    """Make `ModelSpeedup` run on the torch of today; once is enough, again does no harm."""
    from nni.common.concrete_trace_utils import concrete_tracer

    _forget_builtins_without_module(concrete_tracer)
    _let_purity_take_options(concrete_tracer)
    _take_training_as_given(concrete_tracer)


def _forget_builtins_without_module(tracer: Any) -> None:
    # The tracer wraps torch's functions, and looks each up by its `__module__`. Torch renamed
    # `_TensorBase`, whose methods were an exception, to `TensorBase`; its three static functions,
    # which only make tensors of other classes, have None there and end the look-up in an error.
    wrapped = tracer.ConcreteTracer.default_autowrap_leaf_function
    for function in list(wrapped):
        if getattr(function, "__module__", "") is None:
            del wrapped[function]


def _let_purity_take_options(tracer: Any) -> None:
    # While dead code is removed, the tracer puts a function of its own in the place of
    # `torch.fx.Node.is_impure`, which torch calls with an option (`impure_random`) by now.
    own = tracer.node_is_impure_wrapper
    if hasattr(own, _REPAIRED):
        return

    def is_impure(node: object, *options: object, **named: object) -> bool:
        return bool(own(node))

    setattr(is_impure, _REPAIRED, True)
    tracer.node_is_impure_wrapper = is_impure


def _take_training_as_given(tracer: Any) -> None:
    # The tracer records reading `module.training`, and at a branch on it looks at the bytecode to
    # see that it is one; since Python 3.11 it looks in the wrong place. What is traced is in
    # evaluation mode and stays there.
    tracer.ConcreteTracer.default_module_getattr = ()


def register_types(settings: Any, network: nn.Module, names: Iterable[str]) -> None:
    """Tell NNI what subclasses of convolutions and linear layers are; it goes by class names.

    Args:
        settings: NNI's `PruningSetting` or `QuantizationSetting`.
        network: holds the layers.
        names: of the layers.
    """
    for name in names:
        own = type(network.get_submodule(name)).__name__
        if own not in settings.registry:
            settings.register(own, settings.registry["Conv2d"])  # the same for linear layers
