"""Tracing: layers, stages and groups read off networks, and networks that cannot be read."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from paredown._torchvision import torchvision
from paredown.errors import ModelError
from paredown.spaces.graph.blueprint import Blueprint, Op
from paredown.spaces.graph.tracing import example_images, on_meta, trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from torch import nn


def params(blueprint: Blueprint) -> int:
    sizes = blueprint.sizes
    return sum(layer.weights(sizes) + layer.other_params(sizes) for layer in blueprint.layers)


def macs(blueprint: Blueprint) -> int:
    return sum(layer.macs(blueprint.sizes) for layer in blueprint.layers)


def stages_of(blueprint: Blueprint) -> dict[str, str]:
    return {layer.name: layer.stage for layer in blueprint.layers}


@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet50", "resnext50_32x4d", "vgg11_bn", "alexnet", "mobilenet_v2",
     "mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1", "densenet121", "googlenet",
     "shufflenet_v2_x0_5", "mnasnet0_5"],
)  # fmt: skip
def test_counts_are_those_that_torchvision_publishes(name: str) -> None:
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        network = build_model(name, 1000, 3)
    blueprint = trace(network, example_images(3, 224))
    assert params(blueprint) == published["num_params"]
    assert macs(blueprint) / 1e9 == pytest.approx(published["_ops"], abs=0.00051)


@pytest.mark.parametrize(("name", "size"), [("resnet20", 32), ("resnet18", 64)])
def test_counts_are_those_of_torch_and_fvcore(
    name: str, size: int, count_macs: Callable[[nn.Module, torch.Tensor], int]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fvcore scripts functions on import
        from fvcore.nn import FlopCountAnalysis, parameter_count

        network, images = build_model(name, 10, 3).eval(), torch.zeros(1, 3, size, size)
        counted = FlopCountAnalysis(network, images).tracer_warnings("none")
        by_operator = counted.unsupported_ops_warnings(False).by_operator()
    blueprint = trace(network, images)
    assert params(blueprint) == parameter_count(network)[""]
    assert macs(blueprint) == by_operator["conv"] + by_operator["linear"]
    assert macs(blueprint) == count_macs(network, images)


def test_the_batch_does_not_count() -> None:
    network = build_model("resnet8", 10, 3)
    item = trace(network, torch.zeros(1, 3, 32, 32))
    assert item == trace(network, torch.zeros(5, 3, 32, 32))


def test_a_network_is_left_as_it_was() -> None:
    network = build_model("resnet8", 10, 3).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trace(network, torch.randn(2, 3, 32, 32))
    trace_with_groups(network, torch.randn(2, 3, 32, 32))
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert not next(network.parameters()).is_meta


def test_groups_are_the_same_with_and_without_numbers(traced: Callable[..., Any]) -> None:
    real = trace_with_groups(build_model("resnet20", 10, 3), torch.randn(2, 3, 32, 32))
    assert real == traced("resnet20", 32).blueprint


def test_a_layer_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2), bias=True),
        nn.BatchNorm2d(8),
        nn.PReLU(8),
        nn.PReLU(),
        nn.Conv2d(8, 16, 3, groups=4, bias=False),
        nn.Conv2d(16, 16, 3, groups=16, bias=False),
        nn.Flatten(),
        nn.Linear(16 * 2 * 2, 7),
    )
    blueprint = trace(network, torch.zeros(2, 3, 12, 12))
    conv, norm, prelu, single, grouped, depthwise, linear = blueprint.layers
    assert (conv.op, conv.weights({}), conv.other_params({})) == (Op.CONV, 8 * 3 * 15, 8)
    assert conv.macs({}) == 8 * 3 * 15 * 36
    assert (norm.op, norm.other_params({}), norm.macs({})) == (Op.CHANNELWISE, 16, 0)
    assert (prelu.other_params({}), single.other_params({})) == (8, 1)
    assert (grouped.weights({}), grouped.macs({})) == (16 * 2 * 9, 16 * 2 * 9 * 16)
    assert (depthwise.weights({}), depthwise.macs({})) == (16 * 9, 16 * 9 * 4)
    assert (linear.weights({}), linear.other_params({}), linear.macs({})) == (448, 7, 448)
    assert params(blueprint) == sum(p.numel() for p in network.parameters())


def test_stages_go_by_resolution(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 64).blueprint
    assert blueprint.stages == ("stem", "stage1", "stage2", "stage3", "stage4", "head")
    stages = stages_of(blueprint)
    assert {stages["conv1"], stages["bn1"]} == {"stem"}
    assert stages["fc"] == "head"
    for number in (1, 2, 3, 4):
        of_layer = {stage for name, stage in stages.items() if name.startswith(f"layer{number}")}
        assert of_layer == {f"stage{number}"}


def test_a_vgg_has_its_linear_layers_as_head(traced: Callable[..., Any]) -> None:
    stages = stages_of(traced("vgg11_bn", 32).blueprint)
    assert {name for name, stage in stages.items() if stage == "head"} == {
        "classifier.0", "classifier.3", "classifier.6",
    }  # fmt: skip
    assert {name for name, stage in stages.items() if stage == "stem"} == {
        "features.0", "features.1",
    }  # fmt: skip
    # Five poolings: 64 channels are the stem's, then 128, 256, 512 and 512.
    assert [stages[f"features.{at}"] for at in (4, 8, 11, 15, 18, 22, 25)] == [
        "stage1", "stage2", "stage2", "stage3", "stage3", "stage4", "stage4",
    ]  # fmt: skip


def test_a_squeezenet_has_a_convolution_as_head(traced: Callable[..., Any]) -> None:
    blueprint = traced("squeezenet1_1", 64).blueprint
    stages = stages_of(blueprint)
    assert {name for name, stage in stages.items() if stage == "head"} == {"classifier.1"}
    assert {name for name, stage in stages.items() if stage == "stem"} == {"features.0"}
    assert blueprint.stages == ("stem", "stage1", "stage2", "stage3", "head")
    assert "classifier.1" not in blueprint.groups


@pytest.mark.parametrize(
    ("name", "gates"), [("efficientnet_b0", (".fc1", ".fc2")), ("mobilenet_v3_small", (".fc1",))]
)
def test_gates_do_not_split_a_stage(
    name: str, gates: tuple[str, ...], traced: Callable[..., Any]
) -> None:
    blueprint = traced(name, 64).blueprint
    stages = stages_of(blueprint)
    order = list(dict.fromkeys(layer.stage for layer in blueprint.layers))
    numbers = [stage for stage in order if stage.startswith("stage")]
    assert numbers == [f"stage{index + 1}" for index in range(len(numbers))]
    assert len(numbers) <= 5  # 32, 16, 8, 4 and 2 pixels
    results = [layer.name for layer in blueprint.layers if layer.name.endswith(gates)]
    assert results
    for gate in results:
        block = gate.rpartition(".block.")[0]
        depthwise = [
            layer.stage
            for layer in blueprint.layers
            if layer.name.startswith(block + ".") and layer.split == 0
        ]
        assert [stages[gate]] == depthwise


def test_stage_numbers_never_go_back(traced: Callable[..., Any]) -> None:
    models = [("googlenet", 64), ("densenet121", 32), ("shufflenet_v2_x0_5", 32)]
    for name, size in [*models, ("resnet20", 32), ("mobilenet_v2", 32)]:
        order = [layer.stage for layer in traced(name, size).blueprint.layers]
        ranks = {stage: rank for rank, stage in enumerate(dict.fromkeys(order))}
        assert [ranks[stage] for stage in order] == sorted(ranks[stage] for stage in order)
        assert (order[0], order[-1]) == ("stem", "head")


def test_a_groups_stage_is_where_it_works(traced: Callable[..., Any]) -> None:
    groups = traced("resnet18", 32).blueprint.groups
    assert groups["conv1"].stage == "stage1"  # the residual sums of stage 1 tie the stem
    assert groups["layer3.0.conv1"].stage == "stage3"
    assert {name: group.size for name, group in groups.items()} == {
        "conv1": 64,
        "layer1.0.conv1": 64, "layer1.1.conv1": 64,
        "layer2.0.conv1": 128, "layer2.0.conv2": 128, "layer2.1.conv1": 128,
        "layer3.0.conv1": 256, "layer3.0.conv2": 256, "layer3.1.conv1": 256,
        "layer4.0.conv1": 512, "layer4.0.conv2": 512, "layer4.1.conv1": 512,
    }  # fmt: skip


class Predictions(nn.Module):
    """A network that answers with something of its own."""

    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> object:
        return self.answer(self.conv(x))


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (lambda x: (x, x), "got tuple"),
        (lambda x: {"out": x}, "got dict"),
        (lambda x: None, "got NoneType"),
        (lambda x: x, r"\[batch, classes\], got \(2, 4, 6, 6\)"),
        (lambda x: x.mean(), r"\[batch, classes\], got \(\)"),
    ],
)
def test_refuses_what_gives_no_class_scores(
    answer: Callable[[torch.Tensor], object], got: str
) -> None:
    for reading in (trace, trace_with_groups):
        with pytest.raises(ModelError, match=got):
            reading(Predictions(answer), torch.zeros(2, 3, 8, 8))


def test_refuses_images_that_the_network_cannot_see() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10))
    trace_with_groups(network, example_images(3, 8))
    for channels, size in ((3, 9), (1, 8), (3, 2)):
        with pytest.raises(ModelError, match=f"fails on {channels}x{size}x{size} images: "):
            trace_with_groups(network, example_images(channels, size))
        with pytest.raises(ModelError):
            trace(network, torch.zeros(2, channels, size, size))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_of_linear_layers_is_all_head(
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    images = torch.randn(2, 3, 4, 4)
    blueprint = trace_with_groups(network, images)
    assert blueprint.stages == ("head",)
    plan = Plan.of({"prune": {"head": 0.5}, "bits": {"head": "w8a8"}})
    assert_as_predicted(network, images, blueprint, plan)


def test_a_copy_without_numbers_keeps_ties_and_leaves_the_network_alone() -> None:
    first, norm, tied = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4, bias=False)
    tied.weight = first.weight
    norm.weight.requires_grad_(False)
    network = nn.Sequential(first, norm, tied).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    bare = on_meta(network)
    assert bare.get_parameter("2.weight") is bare.get_parameter("0.weight")
    assert [p.requires_grad for p in bare.parameters()] == [True, True, False, True]
    assert all(tensor.is_meta for tensor in bare.state_dict().values())
    assert all(tensor.shape == before[n].shape for n, tensor in bare.state_dict().items())
    assert not bare.training
    assert network.training
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())
