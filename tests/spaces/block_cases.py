"""The places that block families are tested at, each with a small network around it."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from paredown.spaces.blocks import find_family, variants
from paredown.spaces.graph.blueprint import Blueprint, Geometry
from paredown.spaces.graph.channel_rounding import kept_channels
from paredown.spaces.graph.sites import BlockSpec, ConvSpec, Spec
from paredown.spaces.graph.structure import Shortcut
from paredown.spaces.graph.tracing import trace
from paredown.spaces.pruning.dependencies import remove_channels, silence_channels
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.tests.matrix import represented
from torch import nn

SEVERAL = (
    "fire+ghost+shuffle+se",
    "fire+shuffle+published+se",
    "fire+shuffle+se+residual",
    "fire+dice+residual",
    "fire+depthwise+se",
    "ghost+se+residual",
    "ghost-bottleneck+shuffle+se+narrow",
    "inverted+hswish+se+early",
)
NAMES = (*variants(), *SEVERAL)


def conv(
    into: int,
    out: int,
    kernel: int | tuple[int, int] = 3,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | None = None,
    dilation: int = 1,
    bias: bool = False,
    mixed: bool = False,
    image: int = 12,
) -> ConvSpec:
    """The place of a convolution; batch norm follows where it has no bias."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    if padding is None:
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
    padding = (padding, padding) if isinstance(padding, int) else padding
    stride = (stride, stride) if isinstance(stride, int) else stride
    geometry = Geometry(kernel, stride, padding, (dilation, dilation), (image, image + 1))
    return ConvSpec(into, out, geometry, bias, normalised=not bias, mixed=mixed)


def block(
    into: int,
    hidden: int,
    out: int,
    stride: int | tuple[int, int] = 1,
    shortcut: Shortcut | None = None,
    size: tuple[int, int] = (12, 13),
) -> BlockSpec:
    """The place of a residual block; with the shortcut that ResNets have, unless it says other."""
    stride = (stride, stride) if isinstance(stride, int) else stride
    same = into == out and stride == (1, 1)
    usual = Shortcut.IDENTITY if same else Shortcut.PROJECTION
    return BlockSpec(into, out, hidden, stride, size, shortcut or usual)


CONVS = {
    "plain": conv(16, 16),
    "mixed": conv(16, 16, mixed=True),
    "wider, stride 2": conv(16, 32, stride=2),
    "same, stride 2, mixed": conv(32, 32, stride=2, mixed=True),
    "narrower, bias": conv(24, 8, bias=True),
    "5x5, stride 2, bias": conv(8, 24, 5, stride=2, bias=True, mixed=True),
    "7x7 stem": conv(3, 16, 7, stride=2),
    "odd channels, bias": conv(5, 7, bias=True),
    "odd channels, stride 2": conv(9, 15, stride=2),
    "odd and mixed, bias": conv(7, 7, bias=True, mixed=True),
    "one channel in": conv(1, 8),
    "dilation 2": conv(6, 10, dilation=2),
    "no padding": conv(8, 8, padding=0, bias=True),
    "3x5": conv(8, 12, (3, 5)),
    "far narrower": conv(24, 2),
    "stride 2 and 1": conv(6, 9, stride=(2, 1)),
    "4x4, stride 2": conv(8, 12, 4, stride=2, padding=1),
    "wide enough for groups": conv(64, 256, bias=True, image=7),
}
BLOCKS = {
    "identity": block(16, 16, 16),
    "bottleneck": block(32, 8, 32),
    "expanding": block(8, 48, 8),
    "wider, stride 2": block(16, 16, 32, stride=2),
    "wider": block(16, 8, 24),
    "narrower, stride 2": block(24, 12, 8, stride=2),
    "same width, stride 2": block(16, 16, 16, stride=2),
    "no sum, stride 2": block(16, 64, 24, stride=2, shortcut=Shortcut.NONE),
    "no sum, wider": block(16, 64, 24, shortcut=Shortcut.NONE),
    "no sum, same shape": block(16, 24, 16, shortcut=Shortcut.NONE),
    "projection of the same shape": block(16, 16, 16, shortcut=Shortcut.PROJECTION),
    "odd channels": block(7, 5, 7),
    "odd channels, stride 2": block(9, 6, 15, stride=2),
    "even, not fours": block(6, 14, 10),
    "hidden in one": block(8, 1, 8),
    "odd sizes, stride 2": block(8, 8, 16, stride=2, size=(7, 9)),
    "one pixel": block(16, 16, 16, size=(1, 1)),
    "two pixels, stride 2": block(8, 8, 16, stride=2, size=(2, 2)),
    "stride 2 and 1": block(8, 8, 16, stride=(2, 1)),
    "stride 3": block(8, 16, 8, stride=3),
}
SPECS: Mapping[str, Spec] = {
    **{f"conv: {name}": spec for name, spec in CONVS.items()},
    **{f"block: {name}": spec for name, spec in BLOCKS.items()},
}
PAIRS = [
    (name, at) for name in NAMES for at, spec in SPECS.items() if find_family(name).takes(spec)
]
FITTING = [
    (name, at)
    for name, at in PAIRS
    # Those that are narrow or early alone differ only where two blocks stand in a row.
    if not re.fullmatch(r"[\w-]+\+(narrow|early)", name)
    and not find_family(name).why_not(SPECS[at])
]


def _spread() -> Iterator[tuple[str, str]]:
    """Of each name every third place that it fits; the next name begins one further on."""
    for number, name in enumerate(NAMES):
        fitting = [pair for pair in FITTING if pair[0] == name]
        yield from fitting[number % min(3, len(fitting) or 1) :: 3]


SPREAD = list(_spread())


def _representatives(cases: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of each name two places; other names begin elsewhere, so that all places occur."""
    for number, name in enumerate(NAMES):
        fitting = [pair for pair in cases if pair[0] == name]
        if fitting:
            yield fitting[7 * number % len(fitting)]
            yield fitting[(7 * number + len(fitting) // 2) % len(fitting)]


AT_EVERY_FIT = represented(FITTING, set(_representatives(FITTING)).__contains__)
AT_A_SPREAD = represented(SPREAD, set(_representatives(SPREAD)).__contains__)


def size_of(spec: Spec) -> tuple[int, int]:
    """Of the images that come in, in pixels."""
    return spec.geometry.input_size if isinstance(spec, ConvSpec) else spec.input_size


def images(spec: Spec, batch: int = 4) -> torch.Tensor:
    """Of the site itself: [batch, in, h, w]."""
    torch.manual_seed(2)
    return torch.randn(batch, spec.in_channels, *size_of(spec))


def original(spec: Spec) -> nn.Module:
    """What stands at a site, with random weights."""
    torch.manual_seed(1)
    if isinstance(spec, BlockSpec):
        return Original(spec)
    shape = spec.geometry
    return nn.Conv2d(
        spec.in_channels,
        spec.out_channels,
        shape.kernel,
        shape.stride,
        shape.padding,
        shape.dilation,
        bias=spec.bias,
    )


class Original(nn.Module):
    """A residual block: a 3x3 and a 1x1 convolution, and what its sum adds."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(spec.in_channels, spec.hidden, 3, spec.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.hidden)
        self.conv2 = nn.Conv2d(spec.hidden, spec.out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(spec.out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if spec.shortcut is Shortcut.PROJECTION:
            self.shortcut = nn.Conv2d(spec.in_channels, spec.out_channels, 1, spec.stride)
        self.adds = spec.shortcut is not Shortcut.NONE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + self.shortcut(x)).relu() if self.adds else out


class Host(nn.Module):
    """A network around one site: images in, class scores out.

    A block of the same class stands in front, so that one without a sum is known for what it is.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        of_conv = isinstance(spec, ConvSpec)
        behind = 1 if isinstance(spec, ConvSpec) and spec.mixed else 3
        twin = block(4, 4, 4, size=size_of(spec))
        self.front = nn.Identity() if of_conv else nn.Sequential(nn.Conv2d(2, 4, 1), Original(twin))
        self.before = nn.Conv2d(2 if of_conv else 4, spec.in_channels, 1)
        self.site = original(spec)
        bare = not isinstance(spec, ConvSpec) or not spec.normalised
        self.norm = nn.Identity() if bare else nn.BatchNorm2d(spec.out_channels)
        self.after = nn.Conv2d(spec.out_channels, 8, behind, padding=behind // 2)
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.site(self.before(self.front(x))))
        out: torch.Tensor = self.classifier(self.after(x).mean((2, 3)))
        return out


class Hosted(NamedTuple):
    """A host with numbers, its images, and its blueprint."""

    network: nn.Module
    images: torch.Tensor
    blueprint: Blueprint


@lru_cache(maxsize=64)
def host(at: str) -> Hosted:
    """Do not change the network."""
    spec = SPECS[at]
    torch.manual_seed(0)
    network, shown = Host(spec), torch.randn(4, 2, *size_of(spec))
    return Hosted(network, shown, trace_with_groups(network, shown))


def randomise(network: nn.Module) -> nn.Module:
    """Batch norms that do something, and statistics as they come; evaluation mode."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
            nn.init.normal_(module.get_buffer("running_mean"), std=0.2)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
    return network.eval()


def assert_cut_rightly(network: nn.Module, shown: torch.Tensor, blueprint: Blueprint) -> None:
    """Half of all channels removed: as predicted, and as if the same ones had been silent.

    Args:
        network: in evaluation mode; it stays as it is.
        shown: its images.
        blueprint: what was predicted of it.
    """
    sizes = {name: kept_channels(group.size, 0.5) for name, group in blueprint.groups.items()}
    keep = {blueprint.roots[name]: size for name, size in sizes.items()}
    cut = remove_channels(copy.deepcopy(network), shown, keep, None)
    assert costs(trace(cut, shown)) == costs(blueprint.resized(sizes))
    silent = silence_channels(copy.deepcopy(network), shown, keep, None)
    with torch.no_grad():
        whole, got, wanted = network(shown), cut(shown), silent(shown)
    scale = float(wanted.abs().max())
    assert torch.isfinite(wanted).all()
    assert float((got - wanted).abs().max()) <= 1e-4 * scale
    assert not keep or float((whole - wanted).abs().max()) > 1e-3 * scale  # it did matter


def costs(blueprint: Blueprint) -> list[tuple[str, int, int, int, int]]:
    """Name, channels read and written, parameters and MACs of every layer."""
    sizes = blueprint.sizes
    return [
        (
            layer.name,
            layer.reads.count(sizes),
            layer.writes.count(sizes),
            layer.weights(sizes) + layer.other_params(sizes),
            layer.macs(sizes),
        )
        for layer in blueprint.layers
    ]
