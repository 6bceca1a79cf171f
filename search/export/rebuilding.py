"""`paredown.load`: networks rebuilt from plan and weights, without unpickling."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ...errors import InputError
from ...extensions import load_extensions
from ...objectives.training.training_loop import seeded
from ...spaces.apply import apply_phase
from ...spaces.graph.frozen import keep
from ...spaces.graph.tracing import example_images
from ...spaces.models import (
    Model,
    brought_model,
    build_model,
    find_model,
    load_weights,
    own_code,
    read_weights,
    session_model,
)
from ...spaces.plan import Plan
from ...spaces.pruning.trace_groups import trace_with_groups
from ...spaces.quantization.layers import Rounded
from ...spaces.quantization.restoring import round_where_stored
from ...spaces.technique import ApplyContext, Phase
from ...spaces.techniques import TECHNIQUES
from .manifest import Manifest, read_manifest

WEIGHTS = "model.safetensors"


def load(
    folder: str | Path, model: nn.Module | Callable[..., nn.Module] | None = None
) -> nn.Module:
    """Load the network of a folder written by `paredown export --format safetensors`.

    The network is on the CPU and in evaluation mode. It maps float32 images, [batch, channels,
    height, width], normalised as in `manifest.json`, to scores, [batch, classes].

    Args:
        folder: the exported folder.
        model: your own uncompressed network, or the function that returns it; not needed for
            built-in models. The folder never makes code run.

    Raises:
        InputError: not such a folder, or its files have changed since the export.
        WeightsError: the weights do not fit the plan.
    """
    folder = Path(folder)
    manifest = replace(read_manifest(folder), built_by=None if model is None else _own(model))
    if WEIGHTS not in manifest.data["files"]:
        raise InputError(f"{folder} has no {WEIGHTS}; export it with --format safetensors")
    manifest.check_file(folder / WEIGHTS)
    return rebuilt(manifest, folder / WEIGHTS)


def rebuilt(manifest: Manifest, weights: Path) -> nn.Module:
    """Rebuild the network of a manifest, with the weights of a file.

    Raises:
        ParedownError: the model is unknown, or plan or weights do not fit it.
    """
    load_extensions()
    images = example_images(manifest.channels, manifest.size, "cpu")
    with seeded(0):  # blocks initialize weights at random, which are replaced later
        network = build_model(_model(manifest), len(manifest.classes), manifest.channels)
        blueprint = keep(trace_with_groups(network, images), tuple(manifest.data["keep"]))
        labels = torch.zeros(len(images), dtype=torch.long)
        context = ApplyContext(images, [(images, labels)])
        # Techniques that only change weights are not applied: the weights are in the file.
        chosen = (
            choice for choice in manifest.plan.choices if TECHNIQUES.get(choice.technique).shapes
        )
        plan = Plan.with_meaning(chosen)
        for phase in Phase:
            network = apply_phase(network, blueprint, plan, phase, context)
    round_where_stored(network, read_weights(weights))
    load_weights(network, weights)
    for module in network.modules():
        if isinstance(module, Rounded):
            module.widen_to_pairs()
    return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def _own(model: nn.Module | Callable[..., nn.Module]) -> Model:
    """The model of a user's network or function."""
    if isinstance(model, nn.Module):
        return session_model(model)
    if not callable(model):
        raise InputError(
            f"model: expected a network or a function that returns one, got {type(model).__name__}"
        )
    return brought_model(model, getattr(model, "__name__", "the function"))


def _model(manifest: Manifest) -> Model:
    """The model of a manifest."""
    name = manifest.data["model"]
    if manifest.built_by is not None:
        return manifest.built_by
    if own_code(name):
        raise InputError(
            f"the network was built by user code, {name}, which is not run from a file; pass the "
            "function or network to paredown.load(FOLDER, model=...), or --model to evaluate. "
            "Other formats need neither"
        )
    return find_model(name)
