"""A plan and its weights give the network back: of every technique, in every architecture."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from paredown.errors import PlanError, UnknownName
from paredown.extras import missing_packages
from paredown.objectives.training.training_loop import seeded
from paredown.search.export.formats import FORMATS
from paredown.search.export.manifest import Manifest
from paredown.search.export.rebuilding import rebuilt
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization import rounding
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, Technique, Value
from paredown.spaces.techniques import TECHNIQUES
from paredown.tests.matrix import represented
from torch import nn

WITH = {
    "criterion": Plan.of({"prune": {"stage2": 0.5}}),
    "steps": Plan.of({"prune": {"stage2": 0.5}, "criterion": {"network": "taylor"}}),
    "quantizer": Plan.of({"bits": {"stage2": "w4a8", "stage3": "w8a8"}}),
}
"""Technique -> what its choices need, to mean something."""

IN_NUMBERS: Mapping[str, tuple[Value, ...]] = {
    "resolution": (0.5,),
    "depth": (0.5,),
    "width": (0.5,),
    "block": ("separable+se", "ghost+residual", "inverted+hswish", "inverted+narrow"),
    "round": (4.0,),
    "steps": (3.0,),
    "prune": (0.5,),
    "sparse": (0.5,),
    "bits": ("w6a8", "w2a8"),
}
"""Technique -> options that its listing tells as a range."""

SIZES = {"mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32, "squeezenet1_1": 64}


def options() -> list[Plan]:
    """A plan for each option of each technique, at the first place that has it."""
    blueprint = trace_with_groups(build_model("resnet8", 10, 1), example_images(1, 8))
    space = Space.of(blueprint, dict(_every_option()))
    plans = dict[tuple[str, object], Plan]()
    for dimension in space.dimensions:
        needed = WITH.get(dimension.technique, Plan()).choices
        for option in dimension.options[1:]:
            choices = [*needed, *space.only(dimension, option).choices]
            plans.setdefault((dimension.technique, option), Plan.with_meaning(choices))
    return list(plans.values())


def _every_option() -> Iterator[tuple[str, tuple[Value, ...]]]:
    for technique in TECHNIQUES:
        listed = [info.name for info in technique.infos()]
        named = [name for name in listed if _is_option(technique, name)]
        yield technique.name, (technique.neutral, *IN_NUMBERS.get(technique.name, ()), *named)


def _is_option(technique: Technique, name: str) -> bool:
    try:
        return technique.parse(name) != technique.neutral
    except (PlanError, UnknownName):
        return False  # a range in words


def check(model: str, channels: int, size: int, plan: Plan, folder: Path) -> None:
    """Carry a plan out on drawn weights, write it, and read it again."""
    images = torch.rand(8, channels, size, size)
    created = _made(model, images, plan)
    FORMATS["safetensors"].write(created, images, folder / "model.safetensors")
    again = rebuilt(Manifest(_said(model, channels, size, plan)), folder / "model.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(again(images), created(images), rtol=0, atol=0)


def _said(model: str, channels: int, size: int, plan: Plan) -> dict[str, object]:
    """What a manifest says of a network."""
    return {
        "model": model,
        "classes": [str(number) for number in range(10)],
        "channels": channels,
        "size": size,
        "keep": [],
        "plan": plan.to_dict(),
    }


def _made(model: str, images: torch.Tensor, plan: Plan) -> nn.Module:
    with seeded(1):
        network = build_model(model, 10, images.shape[1])
        blueprint = trace_with_groups(network, example_images(images.shape[1], images.shape[2]))
        context = ApplyContext(images, [(images, torch.arange(len(images)))])
        for phase in Phase:
            network = apply_phase(network, blueprint, plan, phase, context)
    return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("plan", options(), ids=Plan.describe)
def test_of_every_option(plan: Plan, tmp_path: Path) -> None:
    for choice in plan.choices:
        extra = TECHNIQUES.get(choice.technique).extra(choice.value)
        if extra and missing_packages(extra):
            pytest.skip(f"needs the extra {extra}")
    check("resnet8", 1, 8, plan, tmp_path)


@pytest.mark.parametrize("model", represented(SIZES, "squeezenet1_1".__eq__))
def test_of_every_architecture(model: str, tmp_path: Path) -> None:
    """All techniques at once, as a search may draw them."""
    blueprint = trace_with_groups(build_model(model, 10, 3), example_images(3, SIZES[model]))
    plan = Space.of(blueprint).sample(random.Random(0))
    assert len({choice.technique for choice in plan.choices}) > 1
    check(model, 3, SIZES[model], plan, tmp_path)


def test_steps_of_before_pairs_were_held_to_16_bits_are_widened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that version 0.4 wrote: their largest weights are rounded, not cut off."""
    images = torch.rand(8, 1, 8, 8)
    blueprint = trace_with_groups(build_model("resnet8", 10, 1), example_images(1, 8))
    plan = Plan.of({"bits": dict.fromkeys(blueprint.stages, "w8a8")})
    path = tmp_path / "model.safetensors"
    with monkeypatch.context() as before, torch.inference_mode():
        before.setattr(rounding, "LARGEST_PAIR", 2 * rounding.highest_level(8))
        created = _made("resnet8", images, plan)
        FORMATS["safetensors"].write(created, images, path)
        wanted = created(images)
    data = _said("resnet8", 1, 8, plan)
    with torch.inference_mode():
        results = rebuilt(Manifest(data), path)(images)
        cut_off = created(images)  # by steps that were left as they are
    error = float((results - wanted).norm() / wanted.norm())
    assert error < 0.05 < float((cut_off - wanted).norm() / wanted.norm())
