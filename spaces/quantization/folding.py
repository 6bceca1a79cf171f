"""Folding of batch norm into the preceding convolution, as inference runtimes do."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, Layer
from ..graph.submodules import replace_module, take_out
from ..graph.zero_masks import STORED_ZEROS


def foldable(blueprint: Blueprint, convolutions: Container[str]) -> dict[str, str]:
    """Map convolutions, of those listed, to the batch norms that can be folded into them."""
    return {
        layer.normalises: layer.name
        for layer in blueprint.layers
        if layer.normalises and not layer.is_frozen and layer.normalises in convolutions
    }


def folded(layers: Iterable[Layer], pairs: dict[str, str]) -> Iterator[Layer]:
    """Yield the layers after folding: without the batch norms, and with biases in convolutions."""
    gone = set(pairs.values())
    for layer in layers:
        if layer.name not in gone:
            yield layer.but(bias=True) if layer.name in pairs else layer


def fold(network: nn.Module, pairs: dict[str, str]) -> None:
    """Fold batch norms into convolutions, in place; equivalent in evaluation mode only."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for conv_name, norm_name in pairs.items():
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            raise TypeError(
                f"{norm_name} cannot be folded into {conv_name}: expected BatchNorm2d and Conv2d, "
                f"got {type(norm).__name__} and {type(conv).__name__}"
            )
        training = conv.training
        fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
        conv.train(training)
        norm.train(training)
        setattr(fused, STORED_ZEROS, getattr(conv, STORED_ZEROS, 0))
        replace_module(network, conv_name, fused)
        take_out(network, norm_name)
