"""Recording of a network's data flow: which value each operator and module reads and writes.

Modules alone do not show what happens between them: a sum in a block's forward pass, a convolution
whose output two others read, a matrix product outside of layers. This records every operator, on
any device including meta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True)
class Event:
    """A call of an operator.

    Attributes:
        op: the operator's name: "aten::add".
        module: the innermost module in whose forward pass it ran; "" is the network itself.
        reads, writes: the ids of the input and output values.
        shape: the shape of the first output.
    """

    op: str
    module: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass
class Call:
    """A call of a module with a single input tensor.

    Attributes:
        name, module: the module; "" is the network itself.
        reads, writes: the ids of the input and output values.
        input_shape, output_shape: tensor shapes.
        begin, end: `events[begin:end]` are the operators inside.
    """

    name: str
    module: nn.Module
    reads: int
    input_shape: tuple[int, ...]
    begin: int
    writes: int = -1
    output_shape: tuple[int, ...] = ()
    end: int = -1

    @property
    def keeps_images(self) -> bool:
        """Whether input and output are images, [batch, channels, height, width]."""
        return len(self.input_shape) == 4 == len(self.output_shape)


@dataclass
class Flow:
    """The data flow of a run: operators in order, and modules in the order in which they ended."""

    events: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def readers(self, value: int) -> list[Event]:
        """Return the operators that read a value."""
        return [event for event in self.events if value in event.reads]

    def is_leaf(self, call: Call) -> bool:
        """Return whether the called module has no children."""
        return next(call.module.children(), None) is None


def watch(network: nn.Module, images: torch.Tensor) -> Flow:
    """Run a network in evaluation mode and record its data flow.

    Args:
        network: on any device; not changed.
        images: [batch, channels, height, width] on the network's device.
    """
    recorder, training = _Recorder(), network.training
    hooks = recorder.attach(network)
    try:
        with torch.no_grad(), recorder:
            network.eval()(images)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return recorder.flow


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Assigns ids to values; a tensor gets a new id when an operator writes to it in place."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow = Flow()
        self._stack, self._open = [""], list[Call | None]()
        self._numbers, self._alive = dict[int, int](), list[torch.Tensor]()

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        hooks = list[RemovableHandle]()
        for name, module in network.named_modules():
            hooks.append(module.register_forward_pre_hook(self._entering(name), with_kwargs=True))
            hooks.append(module.register_forward_hook(self._leaving()))
        return hooks

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        reads = self._known([args, kwargs or {}])
        out = func(*args, **(kwargs or {}))
        written = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        writes = tuple(self._new(tensor) for tensor in written)
        shape = tuple(written[0].shape) if written else ()
        name = func.name().partition(".")[0]
        self.flow.events.append(Event(name, self._stack[-1], reads, writes, shape))
        return out

    def _entering(self, name: str) -> Any:
        def enter(module: nn.Module, args: Sequence[object], kwargs: dict[str, object]) -> None:
            tensors = [t for t in tree_leaves([args, kwargs]) if isinstance(t, torch.Tensor)]
            call = None
            if len(tensors) == 1:
                value, shape = self._number(tensors[0]), tuple(tensors[0].shape)
                call = Call(name, module, value, shape, begin=len(self.flow.events))
            self._stack.append(name)
            self._open.append(call)

        return enter

    def _leaving(self) -> Any:
        def leave(module: nn.Module, args: object, output: object) -> None:
            self._stack.pop()
            call = self._open.pop()
            if call is not None and isinstance(output, torch.Tensor):
                call.writes, call.output_shape = self._number(output), tuple(output.shape)
                call.end = len(self.flow.events)
                self.flow.calls.append(call)

        return leave

    def _known(self, arguments: object) -> tuple[int, ...]:
        leaves = tree_leaves(arguments)
        return tuple(self._number(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor))

    def _number(self, tensor: torch.Tensor) -> int:
        return self._numbers[id(tensor)] if id(tensor) in self._numbers else self._new(tensor)

    def _new(self, tensor: torch.Tensor) -> int:
        self._alive.append(tensor)  # keep it alive: id() must stay unique
        self._numbers[id(tensor)] = len(self._alive)
        return len(self._alive)
