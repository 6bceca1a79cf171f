"""Tracing of a network to a blueprint: a single run records the shapes at each module.

Only modules and shapes are used, not class names of models, so that any CNN can be traced.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from ...errors import ModelError, first_names
from .blueprint import Blueprint, Channels, Geometry, Layer, Op
from .stages import with_stages
from .zero_masks import STORED_ZEROS


def example_images(channels: int, size: int, device: torch.device | str = "meta") -> torch.Tensor:
    """Create two blank images, [2, channels, size, size]: batch norm rejects a single pixel."""
    return torch.zeros(2, channels, size, size, device=device)


def on_meta(network: nn.Module) -> nn.Module:
    """Copy a network to the meta device, in evaluation mode."""
    # The memo avoids a copy of the weights, which deepcopy would make first: 45 MB for ResNet-18.
    blank = dict[int, torch.Tensor]()
    for parameter in network.parameters():
        blank[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in network.buffers():
        blank[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(network, blank).to("meta").eval()


def trace(network: nn.Module, images: torch.Tensor) -> Blueprint:
    """Trace the layers of a network, with fixed channels: sufficient for its cost.

    Args:
        network: on any device; not changed.
        images: [batch, channels, height, width] on the network's device.

    Raises:
        ModelError: the network fails on these images, or does not return a [batch, classes] tensor.
    """
    sightings = _run(network, images)
    layers = [_layer(sighting) for sighting in sightings.values()]
    return Blueprint(layers=tuple(with_stages(layers)))


def check_classes(network: nn.Module, images: torch.Tensor, classes: Sequence[str]) -> None:
    """Validate that a network has one output per class of the data.

    Args:
        network: a network that `trace` accepts; not changed.
        images: [batch, channels, height, width]; only the shape matters.
        classes: the names of the classes.

    Raises:
        ModelError: the numbers differ.
    """
    provided = classes_of(network, images)
    if provided != len(classes):
        raise ModelError(
            f"the network has {provided} outputs but the data has {len(classes)} classes "
            f"({first_names(classes, 4)}); build it for {len(classes)} classes: a function that "
            "builds a network is called with classes, if it has such a parameter"
        )


def classes_of(network: nn.Module, images: torch.Tensor) -> int:
    """Return the number of outputs of a network that `trace` accepts."""
    with torch.no_grad():
        return int(on_meta(network)(images.to("meta")).shape[1])


def layer_of(name: str, module: nn.Module) -> Layer:
    """Describe a module with parameters as a layer, without running it."""
    return _layer(_Sighting(name, module))


@dataclass
class _Sighting:
    """The input and output shapes of a module in a run."""

    name: str
    module: nn.Module
    inputs: tuple[int, ...] = ()
    outputs: list[tuple[int, ...]] = field(default_factory=list)


def _run(network: nn.Module, images: torch.Tensor) -> dict[str, _Sighting]:
    sightings = dict[str, _Sighting]()
    hooks: list[RemovableHandle] = []
    for name, module in network.named_modules():
        if has_parameters(module):
            hooks.append(module.register_forward_hook(_recorder(sightings, name)))
    training = network.training
    try:
        with torch.no_grad():
            output = network.eval()(images)
    except Exception as error:
        shape = "x".join(str(side) for side in images.shape[1:])
        raise ModelError(
            f"the network fails on {shape} images: {type(error).__name__}: {error}"
        ) from error
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    _check_output(output, len(images))
    for name, module in network.named_modules():  # layers that never ran still have parameters
        if name not in sightings and has_parameters(module):
            sightings[name] = _Sighting(name, module)
    return sightings


def has_parameters(module: nn.Module) -> bool:
    """Return whether a module has parameters of its own, and so is a layer."""
    return any(True for _ in module.parameters(recurse=False))


def _check_output(output: object, batch: int) -> None:
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"the network must return one tensor of class scores, got {type(output).__name__}; "
            "wrap it so that it returns only the scores"
        )
    if output.ndim != 2 or len(output) != batch:
        shape = tuple(output.shape)
        raise ModelError(f"the network must return scores of shape [batch, classes], got {shape}")


def _recorder(sightings: dict[str, _Sighting], name: str) -> Callable[..., None]:
    def record(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        sighting = sightings.setdefault(name, _Sighting(name, module))
        if inputs and isinstance(inputs[0], torch.Tensor):
            sighting.inputs = tuple(inputs[0].shape)
        if isinstance(output, torch.Tensor):
            sighting.outputs.append(tuple(output.shape))

    return record


def _layer(seen: _Sighting) -> Layer:
    module = seen.module
    if isinstance(module, nn.Conv2d):
        return _conv(seen, module)
    if isinstance(module, nn.Linear):
        positions = sum(_product(shape[1:-1]) for shape in seen.outputs)
        reads, writes = Channels(module.in_features), Channels(module.out_features)
        bias = module.bias is not None
        layer = Layer(seen.name, Op.LINEAR, reads, writes, positions=positions, bias=bias)
        return _with_bits(layer, module)
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    channels = _channels_of(module)
    if channels and own % channels == 0:
        both = Channels(channels)
        return Layer(seen.name, Op.CHANNELWISE, both, both, per_channel=own // channels)
    return Layer(seen.name, Op.OTHER, Channels(), Channels(), fixed_params=own)


def _conv(seen: _Sighting, module: nn.Conv2d) -> Layer:
    depthwise = module.groups == module.in_channels == module.out_channels and module.groups > 1
    padding = module.padding if isinstance(module.padding, tuple) else _string_padding(module)
    layer = Layer(
        name=seen.name,
        op=Op.CONV,
        reads=Channels(module.in_channels),
        writes=Channels(module.out_channels),
        positions=sum(_product(shape[2:]) for shape in seen.outputs),
        split=0 if depthwise else module.groups,
        bias=module.bias is not None,
        geometry=Geometry(
            kernel=_pair(module.kernel_size),
            stride=_pair(module.stride),
            padding=_pair(padding),
            dilation=_pair(module.dilation),
            input_size=_pair(seen.inputs[2:]) if len(seen.inputs) == 4 else (0, 0),
            padding_mode=module.padding_mode,
        ),
    )
    return _with_bits(layer, module)


def _with_bits(layer: Layer, module: nn.Module) -> Layer:
    # Quantized layers (spaces/quantization) and sparse ones (zero_masks) have these attributes.
    return replace(
        layer,
        weight_bits=getattr(module, "weight_bits", 32),
        activation_bits=getattr(module, "activation_bits", 32),
        zeros=getattr(module, STORED_ZEROS, 0),
    )


def _channels_of(module: nn.Module) -> int:
    if isinstance(module, _NormBase):
        return int(module.num_features)
    if isinstance(module, nn.PReLU):
        return int(module.num_parameters)
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
        return int(module.normalized_shape[0])
    return 0


def _string_padding(module: nn.Conv2d) -> tuple[int, ...]:
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    return tuple(
        dilation * (kernel - 1) // 2
        for dilation, kernel in zip(module.dilation, module.kernel_size, strict=True)
    )


def _pair(value: Sequence[int]) -> tuple[int, int]:
    return int(value[0]), int(value[1])


def _product(sides: Sequence[int]) -> int:
    product = 1
    for side in sides:
        product *= side
    return product
