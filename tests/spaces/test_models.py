"""Models by name: the sizes their papers say, and what cannot be built."""

import importlib.util

import pytest
import torch
from paredown._torchvision import torchvision
from paredown.errors import ModelError, UnknownName
from paredown.spaces.models import MODELS, build_model
from paredown.spaces.models.builtin_models import CIFAR_RESNET_DEPTHS
from paredown.spaces.models.cifar_resnet import CifarResNet
from paredown.spaces.models.torchvision_models import model_names
from torch import nn


def paper_params(depth: int, classes: int, in_channels: int) -> int:
    """He et al. 2016, section 4.2: 6n + 2 layers of 16, 32 and 64 channels, no biases but one."""
    blocks = (depth - 2) // 6
    count = 9 * in_channels * 16 + 2 * 16
    into = 16
    for out in (16, 32, 64):
        for _ in range(blocks):
            count += 9 * into * out + 9 * out * out + 2 * (2 * out)
            into = out
    return count + 64 * classes + classes


@pytest.mark.parametrize("depth", CIFAR_RESNET_DEPTHS)
@pytest.mark.parametrize(("classes", "channels"), [(10, 3), (100, 3), (7, 1)])
def test_cifar_resnets_have_the_papers_parameters(depth: int, classes: int, channels: int) -> None:
    network = build_model(f"resnet{depth}", classes, channels)
    expected = paper_params(depth, classes, channels)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network(torch.randn(2, channels, 16, 16)).shape == (2, classes)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_cifar_resnets_are_as_large_as_the_papers_table_6(depth: int, millions: float) -> None:
    network = build_model(f"resnet{depth}", 10, 3)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("depth", [8, 20, 50])
def test_cifar_resnets_have_the_depth_of_their_name(depth: int) -> None:
    layers = [m for m in CifarResNet(depth).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_cifar_resnets_shrink_the_image_twice() -> None:
    network, sides = CifarResNet(8), list[int]()
    for stage in (network.layer1, network.layer2, network.layer3):
        stage.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    network(torch.randn(1, 3, 32, 32))
    assert sides == [32, 16, 8]


@pytest.mark.parametrize("depth", [2, 7, 9, 21, -4, 0])
def test_other_depths_do_not_exist(depth: int) -> None:
    with pytest.raises(ValueError, match=f"expected a depth of 6n \\+ 2 with n >= 1, got {depth}"):
        CifarResNet(depth)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("resnet21", "resnet2"), ("ResNet20", "resnet20"), ("mobilenetv2", "mobilenet_v2")],
)
def test_unknown_names_are_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown model '{name}'; did you mean ") as caught:
        build_model(name, 10, 3)
    assert nearest in str(caught.value)
    assert "`paredown models` lists them" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "classes", "channels", "said"),
    [
        ("resnet18", 10, 1, "resnet18 needs images of 3 channels, got 1"),
        ("resnet20", 0, 3, "resnet20 needs at least 1 class"),
        ("resnet20", -1, 3, "resnet20 needs at least 1 class .* got -1"),
        ("resnet18", -5, 3, "resnet18 needs at least 1 class .* got -5"),
        ("resnet20", 10, 0, "1 image channel, got 10 and 0"),
    ],
)
def test_what_cannot_be_built_is_told(name: str, classes: int, channels: int, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        build_model(name, classes, channels)


@pytest.mark.parametrize("name", ["googlenet", "mobilenet_v2", "vgg11_bn", "squeezenet1_1"])
def test_torchvisions_models_answer_with_one_tensor(name: str) -> None:
    with torch.device("meta"):
        network, images = build_model(name, 7, 3), torch.zeros(2, 3, 64, 64)
    assert network.train()(images).shape == (2, 7)  # googlenet's aids would make it a tuple
    assert network.eval()(images).shape == (2, 7)


def test_all_of_torchvisions_classifiers_are_on_offer() -> None:
    for name in ("resnet18", "resnet50", "densenet121", "efficientnet_b0", "regnet_y_400mf"):
        assert MODELS.get(name).channels == 3
    assert not any("fcos" in name or "deeplab" in name or "r3d" in name for name in MODELS.names)
    assert len(set(MODELS.names)) == len(MODELS) > 80


def test_torchvisions_names_are_those_that_it_lists() -> None:
    assert model_names() == torchvision.models.list_models(module=torchvision.models)


def test_torchvision_is_asked_where_its_source_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = model_names()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert model_names() == expected
