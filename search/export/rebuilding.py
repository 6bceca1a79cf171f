"""Networks from their plan and weights: what `paredown.load` does. Nothing is unpickled."""

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
    """The network of a folder that `paredown export --format safetensors` wrote.

    It is on the CPU and in evaluation mode. It reads float32 images, [batch, channels, height,
    width], normalised as `manifest.json` says, and gives scores, [batch, classes].

    Args:
        folder: that was exported.
        model: what the network was pared down from, or a function that returns it, where that was
            your own: a file never makes code run.

    Raises:
        InputError: it is no such folder, or its files are not those that were exported.
        WeightsError: the weights do not fit the plan.
    """
    folder = Path(folder)
    manifest = replace(read_manifest(folder), built_by=None if model is None else _own(model))
    if WEIGHTS not in manifest.data["files"]:
        raise InputError(f"{folder} has no {WEIGHTS}; export it with --format safetensors")
    manifest.check_file(folder / WEIGHTS)
    return rebuilt(manifest, folder / WEIGHTS)


def rebuilt(manifest: Manifest, weights: Path) -> nn.Module:
    """The network of a manifest, with the weights of a file.

    Raises:
        ParedownError: the model is unknown here, or plan or weights do not fit it.
    """
    load_extensions()
    images = example_images(manifest.channels, manifest.size, "cpu")
    with seeded(0):  # blocks draw weights, which are replaced
        network = build_model(_model(manifest), len(manifest.classes), manifest.channels)
        blueprint = keep(trace_with_groups(network, images), tuple(manifest.data["keep"]))
        labels = torch.zeros(len(images), dtype=torch.long)
        context = ApplyContext(images, [(images, labels)])
        # What chooses weights alone has done so: they are in the file.
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
    """A network or function of the user's."""
    if isinstance(model, nn.Module):
        return session_model(model)
    if not callable(model):
        raise InputError(
            f"model: expected a network or a function that returns one, got {type(model).__name__}"
        )
    return brought_model(model, getattr(model, "__name__", "the function"))


def _model(manifest: Manifest) -> Model:
    """What builds a manifest's network."""
    name = manifest.data["model"]
    if manifest.built_by is not None:
        return manifest.built_by
    if own_code(name):
        raise InputError(
            f"the network was made by code of its owner, {name}, which no file makes run: "
            "paredown.load(FOLDER, model=...) takes the function or the network, and evaluate has "
            "--model; the other formats run without it"
        )
    return find_model(name)
