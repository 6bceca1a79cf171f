"""Networks of the user's own: functions, classes, networks and timm's models."""

import copy
from collections.abc import Callable

import pytest
import torch
from paredown.errors import InputError, ModelError, UnknownName, UserCodeError
from paredown.extras import missing_packages
from paredown.spaces.graph.tracing import check_classes, example_images, trace
from paredown.spaces.models import (
    Model,
    brought_model,
    build_model,
    find_model,
    own_code,
    session_model,
)
from paredown.spaces.pruning.trace_groups import trace_with_groups
from torch import nn


def small(classes: int = 10, channels: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def grey(num_classes: int) -> nn.Module:
    return small(num_classes, 1)


class Wide(nn.Module):
    """A class, which timm's names for the numbers suit."""

    def __init__(self, num_classes: int = 1000, in_chans: int = 3) -> None:
        super().__init__()
        self.body = small(num_classes, in_chans)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.body(images)
        return scores


class Two(Wide):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = super().forward(images)
        return scores, images  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "channels", "takes"),
    [(small, 1, None), (small, 3, None), (grey, 1, 1), (Wide, 1, None), (lambda: small(7), 3, 3)],
)
def test_functions_are_called_with_what_they_take(
    function: Callable[..., nn.Module], channels: int, takes: int | None
) -> None:
    model = brought_model(function, "nets.py:make")
    assert model.channels == takes
    network = build_model(model, 7, channels)
    with torch.no_grad():
        assert network(torch.zeros(2, channels, 8, 8)).shape == (2, 7)


def test_looking_at_a_function_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    brought_model(grey, "nets.py:grey")
    assert torch.equal(before, torch.get_rng_state())


def test_what_a_function_keeps_is_not_changed() -> None:
    remaining = small()
    network = build_model(brought_model(lambda: remaining, "nets.py:make"), 10, 3)
    assert network is not remaining
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), remaining.parameters(), strict=True)
    )


def test_a_network_is_a_model_and_stays_as_it_is() -> None:
    network, more = small(5), small(5)
    model = session_model(network)
    before = copy.deepcopy(network.state_dict())
    for parameter in build_model(model, 5, 3).parameters():
        parameter.data.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert model.channels == 3
    assert (
        model.digest == session_model(copy.deepcopy(network)).digest != session_model(more).digest
    )
    more.load_state_dict(before)
    assert session_model(more).digest == model.digest
    more.insert(1, nn.ReLU())
    assert session_model(more).digest != model.digest


def test_frozen_networks_can_be_cut_and_learn_as_others_do() -> None:
    frozen = small().requires_grad_(False)
    for model in (session_model(frozen), brought_model(lambda: frozen, "nets:frozen")):
        network = build_model(model, 10, 3)
        assert all(parameter.requires_grad for parameter in network.parameters())
        blueprint = trace_with_groups(network, example_images(3, 8))
        assert list(blueprint.groups) == ["0"]
    assert not any(parameter.requires_grad for parameter in frozen.parameters()), (
        "the user's stays as it is"
    )


def test_a_network_that_cannot_be_copied_is_told() -> None:
    network = small()
    network.stream = (number for number in range(3))  # type: ignore[assignment]
    with pytest.raises(ModelError, match="the network cannot be copied: cannot pickle 'generator"):
        build_model(session_model(network), 10, 3)


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def raising() -> nn.Module:
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: None, "returned nothing; expected a torch.nn.Module"),
        (lambda: (small(), 1), "returned a tuple; expected"),
        (lambda: Wide, "returned a type; expected"),
        (lambda: nn.Sequential(nn.Flatten()), "without parameters"),
        (lambda: small().to("meta"), "a network on meta; return it on the CPU, with weights"),
        (lazy, "lazy layers; run it once on an image before you return it"),
    ],
)
def test_what_is_no_network_is_told(function: Callable[..., nn.Module], told: str) -> None:
    with pytest.raises(ModelError, match=f"nets.py:make returned.*{told}|{told}"):
        build_model(brought_model(function, "nets.py:make"), 10, 3)


def test_functions_that_fail_or_need_more_are_told() -> None:
    with pytest.raises(UserCodeError, match=r"RuntimeError: out of luck\n  in .*raise RuntimeE"):
        brought_model(raising, "nets.py:make")
    with pytest.raises(InputError, match=r"required argument depth.*supplies only.*it a default"):
        brought_model(lambda depth: depth, "nets.py:make")


def test_networks_that_give_anything_but_one_score_per_class_are_told() -> None:
    images = example_images(3, 8, "cpu")
    with pytest.raises(ModelError, match="one tensor of class scores, got tuple; wrap it"):
        trace(Two(10), images)
    check_classes(small(3), images, ["a", "b", "c"])
    with pytest.raises(ModelError, match=r"has 1000 outputs .* has 2 classes \(cat, dog\)"):
        check_classes(Wide(), images, ["cat", "dog"])


def test_names_lead_to_registered_models_and_to_code() -> None:
    assert find_model("resnet8").name == "resnet8"
    assert own_code("resnet8") is None
    assert own_code("timm:resnet18") is None
    torchvisions = find_model("torchvision.models:squeezenet1_1")
    assert (torchvisions.name, torchvisions.has_weights) == (
        "torchvision.models:squeezenet1_1",
        True,
    )
    assert torchvisions.digest
    with pytest.raises(InputError, match=r"expected package.module:function"):
        find_model("nets.py")


@pytest.mark.skipif(bool(missing_packages("timm")), reason="needs the extra timm")
def test_timms_models_have_the_images_classes_and_channels() -> None:
    model = find_model("timm:mobilenetv3_small_050")
    assert isinstance(model, Model)
    for channels in (1, 3):
        network = build_model(model, 7, channels)
        blueprint = trace_with_groups(network, example_images(channels, 32))
        assert blueprint.groups
        check_classes(network, example_images(channels, 32), tuple("abcdefg"))
    with pytest.raises(UnknownName, match="did you mean timm:resnet18"):
        find_model("timm:resnet_18")


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paredown.extras.missing_packages", lambda extra: ["timm"])
    with pytest.raises(InputError, match=r"timm:resnet18 needs .*timm"):
        find_model("timm:resnet18")
