"""Detection of residual blocks, the classifier head and uncounted operators, from the data flow of
a run and not from class names."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .dataflow import Call, Event, Flow
from .structure import ClassifierHead, NetworkStructure, ResidualBlock, Shortcut, Uncounted

_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d)


_STANDING = (*_POOLS, nn.Linear, nn.Flatten, nn.Identity)


_RESHAPES = frozenset(
    f"aten::{op}" for op in ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "clone")
)


_POOLINGS = frozenset(
    f"aten::{op}"
    for op in (
        *("mean", "avg_pool2d", "max_pool2d_with_indices", "max_pool2d", "_adaptive_avg_pool2d"),
        *("adaptive_max_pool2d", "adaptive_avg_pool2d"),
    )
)


_PRODUCTS = frozenset(
    f"aten::{op}"
    for op in (
        *("convolution", "mm", "addmm", "bmm", "baddbmm", "mv", "dot", "addmv", "_trilinear"),
        *("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention"),
        *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_cudnn_attention"),
        *("_scaled_dot_product_attention_math", "_native_multi_head_attention", "linear"),
    )
)


def find_structure(flow: Flow) -> NetworkStructure:
    """Detect the structure of a network from a run."""
    return NetworkStructure(
        normalised=MappingProxyType(find_normalised(flow)),
        blocks=tuple(_blocks(flow)),
        classifier_head=_classifier_head(flow),
        uncounted=tuple(_uncounted(flow)),
    )


def find_normalised(flow: Flow) -> dict[str, str]:
    """Map convolutions to the batch norms that alone read their outputs; both must run once."""
    convs = {c.writes: c.name for c in flow.calls if isinstance(c.module, nn.Conv2d)}
    norms = {c.name: c.reads for c in flow.calls if isinstance(c.module, _BatchNorm)}
    runs = _runs(flow)
    results = dict[str, str]()
    for norm, value in norms.items():
        conv = convs.get(value)
        if conv is None or runs[conv] > 1 or runs[norm] > 1:
            continue
        if {event.module for event in flow.readers(value)} == {norm}:
            results[conv] = norm
    return results


def _blocks(flow: Flow) -> Iterator[ResidualBlock]:
    runs = _runs(flow)
    adding = {event.module: event for event in flow.events if _adds_images(event)}
    candidates = [
        call
        for call in flow.calls
        if call.name and call.keeps_images and runs[call.name] == 1 and not flow.is_leaf(call)
    ]
    sums = [call for call in candidates if call.name in adding]
    inner = [call for call in sums if not any(_inside(other, call) for other in sums)]
    classes = {type(call.module) for call in inner}
    for call in sorted(candidates, key=lambda call: call.begin):
        if type(call.module) not in classes or any(_inside(other, call) for other in inner):
            continue
        block = _described(flow, call, adding.get(call.name))
        if block is not None:
            yield block


def _described(flow: Flow, call: Call, sum_: Event | None) -> ResidualBlock | None:
    """Describe a call as a residual block; None if it has no spatial convolution inside."""
    layers = [
        other
        for other in flow.calls
        if _inside(other, call) and isinstance(other.module, nn.Conv2d | nn.Linear)
    ]
    layers.sort(key=lambda other: other.begin)
    channels, out = call.input_shape[1], call.output_shape[1]
    entry = next((c.name for c in layers if _fan(c)[0] == channels), None)
    middle = next((c.name for c in layers if _is_spatial(c.module)), None)
    exit_ = next((c.name for c in reversed(layers) if _fan(c)[1] == out), None)
    if entry is None or middle is None or exit_ is None:
        return None
    if sum_ is None:
        shortcut = Shortcut.NONE
    else:
        same = call.reads in sum_.reads
        shortcut = Shortcut.IDENTITY if same else Shortcut.PROJECTION
    return ResidualBlock(
        name=call.name,
        entry=entry,
        middle=middle,
        exit=exit_,
        input_size=(call.input_shape[2], call.input_shape[3]),
        output_size=(call.output_shape[2], call.output_shape[3]),
        shortcut=shortcut,
    )


def _classifier_head(flow: Flow) -> ClassifierHead | None:
    maps = [n for n, event in enumerate(flow.events) if _makes_a_map(event)]
    if not maps:
        return None
    begin, shape, runs = maps[-1] + 1, flow.events[maps[-1]].shape, _runs(flow)
    behind = [call for call in flow.calls if call.begin >= begin and flow.is_leaf(call)]
    linears = [call for call in behind if isinstance(call.module, nn.Linear)]
    if not linears or any(runs[call.name] > 1 for call in behind):
        return None
    features = linears[0].input_shape[-1]
    if features % shape[1]:
        return None
    inside = {call.name for call in behind}
    loose = [event.op for event in flow.events[begin:] if event.module not in inside]
    return ClassifierHead(
        pools=tuple(call.name for call in behind if isinstance(call.module, _POOLS)),
        linears=tuple(call.name for call in linears),
        company=tuple(call.name for call in behind if not isinstance(call.module, _STANDING)),
        pixels=features // shape[1],
        size=(shape[2], shape[3]),
        functional=tuple(dict.fromkeys(op for op in loose if op not in _RESHAPES)),
    )


def _makes_a_map(event: Event) -> bool:
    """Return whether an operator writes a feature map, and is no pooling or reshaping."""
    return len(event.shape) == 4 and event.op not in _POOLINGS | _RESHAPES


def _uncounted(flow: Flow) -> Iterable[Uncounted]:
    counted = {c.name for c in flow.calls if isinstance(c.module, nn.Conv2d | nn.Linear)}
    results = (
        Uncounted(event.module, event.op)
        for event in flow.events
        if event.op in _PRODUCTS and event.module not in counted
    )
    return dict.fromkeys(results)


def _adds_images(event: Event) -> bool:
    adds = event.op in ("aten::add", "aten::add_") and len(event.reads) == 2
    return adds and len(event.shape) == 4 and bool(event.module)


def _is_spatial(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and min(module.kernel_size) >= 3


def _fan(call: Call) -> tuple[int, int]:
    module = call.module
    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return 0, 0


def _inside(call: Call, other: Call) -> bool:
    return call.name.startswith(f"{other.name}.")


def _runs(flow: Flow) -> dict[str, int]:
    runs = dict[str, int]()
    for call in flow.calls:
        runs[call.name] = runs.get(call.name, 0) + 1
    return runs
