"""Reads a blueprint off a network: runs it once, records what its modules see, finds its channels.

It walks modules and shapes, never class names of whole models, so that any CNN will do.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from ..errors import ModelError
from .blueprint import HEAD, STAGE, STEM, Blueprint, Channels, Geometry, Group, Layer, LeftAlone, Op
from .channels import FoundGroup, find_groups, kept_channels, remove_channels, share_channels


def example_images(channels: int, size: int, device: torch.device | str = "meta") -> torch.Tensor:
    """Two blank images, [2, channels, size, size]: two, because batch norm refuses one pixel."""
    return torch.zeros(2, channels, size, size, device=device)


def on_meta(network: nn.Module) -> nn.Module:
    """A copy without data, in evaluation mode: shapes compute, numbers do not."""
    return copy.deepcopy(network).to("meta").eval()


def trace(network: nn.Module, images: torch.Tensor) -> Blueprint:
    """The layers of a network, with fixed channels: enough to cost it.

    Args:
        network: on any device; it is left as it was.
        images: [batch, channels, height, width] on the network's device.

    Raises:
        ModelError: the network cannot run on such images, or gives no [batch, classes] tensor.
    """
    sightings = _run(network, images)
    layers = [_layer(sighting) for sighting in sightings.values()]
    return Blueprint(layers=tuple(_with_stages(layers)))


def trace_with_groups(network: nn.Module, images: torch.Tensor) -> Blueprint:
    """The layers of a network and its channel groups: enough to foretell what plans do to it.

    A network that Torch-Pruning cannot follow, or groups that cannot be cut without breaking it,
    come back under `left_alone` with the reason.

    Raises:
        ModelError: as `trace`.
    """
    network, images = on_meta(network), images.to("meta")
    plain = trace(network, images)
    try:
        found = find_groups(network, images)
    except Exception as error:
        # Torch-Pruning has no error of its own: a network that it cannot follow ends in anything.
        reason = f"Torch-Pruning cannot follow this network ({type(error).__name__}: {error})"
        return replace(plain, left_alone=(LeftAlone("channels", "all groups", reason),))
    found = [_with_reason(plain, group) for group in found]
    free = [group for group in found if not group.reason]
    free.sort(key=lambda group: _first_position(plain, group))
    broken = _broken(network, images, plain, free)
    refused = [LeftAlone("channels", group.name, group.reason) for group in found if group.reason]
    refused += [
        LeftAlone("channels", group.name, "cutting it breaks the network") for group in broken
    ]
    sound = [group for group in free if group not in broken]
    return replace(_with_groups(plain, sound), left_alone=tuple(refused))


@dataclass
class _Sighting:
    """What one module saw while the network ran."""

    name: str
    module: nn.Module
    inputs: tuple[int, ...] = ()
    outputs: list[tuple[int, ...]] = field(default_factory=list)


def _run(network: nn.Module, images: torch.Tensor) -> dict[str, _Sighting]:
    sightings = dict[str, _Sighting]()
    hooks: list[RemovableHandle] = []
    for name, module in network.named_modules():
        if _has_parameters(module):
            hooks.append(module.register_forward_hook(_recorder(sightings, name)))
    training = network.training
    try:
        with torch.no_grad():
            output = network.eval()(images)
    except Exception as error:
        shape = "x".join(str(side) for side in images.shape[1:])
        raise ModelError(
            f"the network cannot run on {shape} images: {type(error).__name__}: {error}"
        ) from error
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    _check_output(output)
    for name, module in network.named_modules():  # layers that never ran still weigh
        if name not in sightings and _has_parameters(module):
            sightings[name] = _Sighting(name, module)
    return sightings


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


def _check_output(output: object) -> None:
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"the network must return one tensor of class scores, got {type(output).__name__}"
        )
    if output.ndim != 2:
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
        ),
    )
    return _with_bits(layer, module)


def _with_bits(layer: Layer, module: nn.Module) -> Layer:
    # Quantized layers carry their widths; see spaces.quantization.
    weight_bits = getattr(module, "weight_bits", 32)
    return replace(
        layer,
        weight_bits=weight_bits,
        activation_bits=getattr(module, "activation_bits", 32),
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


def _with_stages(layers: Sequence[Layer]) -> list[Layer]:
    """Name each layer's stage: its resolution, counted from the largest.

    A squeeze-and-excitation gate computes at 1x1 in the middle of a stage; so a layer counts as
    being at the largest resolution that still comes.
    """
    convs = [layer for layer in layers if layer.op is Op.CONV and layer.positions]
    computing = [layer for layer in layers if layer.op in (Op.CONV, Op.LINEAR) and layer.positions]
    stem = convs[0].name if convs else ""
    head = {computing[-1].name} if computing else set[str]()
    resolutions, largest = dict[str, int](), 0
    for layer in reversed(computing):
        if layer.op is Op.LINEAR and not largest:
            head.add(layer.name)
            continue
        largest = max(largest, layer.positions if layer.op is Op.CONV else 0)
        resolutions[layer.name] = largest
    between = [r for name, r in resolutions.items() if name != stem and name not in head]
    number = {r: index + 1 for index, r in enumerate(sorted(set(between), reverse=True))}

    staged, current = [], STEM
    for layer in layers:
        if layer.name in head:
            current = HEAD
        elif layer.name == stem:
            current = STEM
        elif layer.name in resolutions:
            current = f"{STAGE}{number[resolutions[layer.name]]}"
        staged.append(replace(layer, stage=current))
    return staged


def _with_groups(plain: Blueprint, found: Iterable[FoundGroup]) -> Blueprint:
    groups = dict[str, Group]()
    reads = dict[str, dict[str, tuple[int, int]]]()
    writes = dict[str, dict[str, tuple[int, int]]]()
    for one in found:
        name = _first_writer(plain, one)
        groups[name] = Group(name, one.size, _stage_of(plain, one))
        for reader, share in one.readers.items():
            reads.setdefault(reader, {})[name] = (one.size, share)
        for writer, share in one.writers.items():
            writes.setdefault(writer, {})[name] = (one.size, share)
    layers = []
    for layer in plain.layers:
        if layer.op is Op.OTHER:
            layers.append(layer)
            continue
        reading = share_channels(layer.reads.fixed, reads.get(layer.name, {}))
        writing = share_channels(layer.writes.fixed, writes.get(layer.name, {}))
        layers.append(replace(layer, reads=reading, writes=writing))
    return replace(plain, layers=tuple(layers), groups=MappingProxyType(groups))


def _stage_of(plain: Blueprint, group: FoundGroup) -> str:
    """The stage of the first layer behind the stem that writes the group's channels."""
    stages = [layer.stage for layer in plain.layers if _computes(layer, group.writers)]
    behind = [stage for stage in stages if stage != STEM]
    return behind[0] if behind else stages[0]


def _first_writer(plain: Blueprint, group: FoundGroup) -> str:
    return next(layer.name for layer in plain.layers if _computes(layer, group.writers))


def _computes(layer: Layer, writers: Mapping[str, int]) -> bool:
    return layer.name in writers and layer.op in (Op.CONV, Op.LINEAR)


def _with_reason(plain: Blueprint, group: FoundGroup) -> FoundGroup:
    if group.reason or any(_computes(layer, group.writers) for layer in plain.layers):
        return group
    return replace(group, reason="no convolution or linear layer writes it")


def _first_position(plain: Blueprint, group: FoundGroup) -> int:
    names = [layer.name for layer in plain.layers]
    return min(names.index(name) for name in group.writers if name in names)


def _broken(
    network: nn.Module, images: torch.Tensor, plain: Blueprint, groups: Sequence[FoundGroup]
) -> list[FoundGroup]:
    """The groups that cannot be cut without breaking the network, by trying.

    Torch-Pruning follows calls such as slicing and padding only in part and says nothing, so all
    groups are cut to half on a copy without data; where that does not run, or does not come out
    as foretold, the halves of the list are tried apart.
    """
    if not groups or _survives(network, images, plain, groups):
        return []
    if len(groups) == 1:
        return list(groups)
    middle = len(groups) // 2
    return [
        *_broken(network, images, plain, groups[:middle]),
        *_broken(network, images, plain, groups[middle:]),
    ]


def _survives(
    network: nn.Module, images: torch.Tensor, plain: Blueprint, groups: Sequence[FoundGroup]
) -> bool:
    foretold = _with_groups(plain, groups)
    sizes = {name: kept_channels(group.size, 0.5) for name, group in foretold.groups.items()}
    foretold = foretold.resized(sizes)
    if set(sizes) - set(foretold.roots):
        return False
    keep = {foretold.roots[name]: size for name, size in sizes.items()}
    cut = copy.deepcopy(network)
    try:
        remove_channels(cut, images, keep, _evenly)
        traced = trace(cut, images)
    except Exception:
        # Torch-Pruning and the network itself may raise anything here; that is the answer.
        return False
    return [_channel_counts(layer, {}) for layer in traced.layers] == [
        _channel_counts(layer, foretold.sizes) for layer in foretold.layers
    ]


def _evenly(group: Sequence[tuple[object, list[int]]]) -> torch.Tensor:
    return torch.arange(len(group[0][1]), dtype=torch.float32)


def _channel_counts(layer: Layer, sizes: Mapping[str, int]) -> tuple[str, int, int, int]:
    params = layer.weights(sizes) + layer.other_params(sizes)
    return layer.name, layer.reads.count(sizes), layer.writes.count(sizes), params


def _pair(value: Sequence[int]) -> tuple[int, int]:
    return int(value[0]), int(value[1])


def _product(sides: Sequence[int]) -> int:
    product = 1
    for side in sides:
        product *= side
    return product
