"""Sites: which convolutions blocks can replace, and why others are left alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from paredown.spaces.graph.sites import find_sites, refused_convolutions
from paredown.spaces.graph.tracing import trace
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from torch import nn


class Twice(nn.Module):
    """One convolution that runs two times."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.classifier = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.classifier(self.again(self.again(self.first(x))).mean((2, 3)))
        return out


def classifier(*layers: nn.Module, channels: int = 8) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def reasons(network: nn.Module) -> dict[str, str]:
    blueprint = trace(network, torch.zeros(2, 3, 16, 16))
    return {alone.name: alone.reason for alone in refused_convolutions(blueprint)}


def test_a_cifar_resnet_is_all_sites(traced: Callable[..., Any]) -> None:
    sites = find_sites(traced("resnet20", 32).blueprint)
    blocks = [f"layer{s}.{b}.conv{c}" for s in (1, 2, 3) for b in (0, 1, 2) for c in (1, 2)]
    assert [site.name for site in sites] == ["conv1", *blocks]
    assert sites[0].stage == "stem"
    assert {site.stage for site in sites[1:7]} == {"stage1"}
    assert {site.stage for site in sites[13:]} == {"stage3"}


def test_a_site_knows_what_its_replacement_must_keep(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    site = next(s for s in find_sites(blueprint) if s.name == "layer2.0.conv1")
    spec = site.spec(blueprint.sizes)
    assert (spec.in_channels, spec.out_channels, spec.bias) == (16, 32, False)
    assert spec.geometry.kernel == (3, 3)
    assert spec.geometry.stride == (2, 2)
    assert spec.geometry.padding == (1, 1)
    assert spec.geometry.dilation == (1, 1)
    assert spec.geometry.input_size == (32, 32)
    halved = dict.fromkeys(blueprint.sizes, 8)
    assert (site.spec(halved).in_channels, site.spec(halved).out_channels) == (8, 8)


def test_resnet18_leaves_its_1x1_shortcuts(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 32).blueprint
    refused = {alone.name: alone.reason for alone in refused_convolutions(blueprint)}
    assert set(refused) == {f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)}
    assert set(refused.values()) == {"its kernel is 1x1; blocks replace 3x3 and larger"}
    assert len(find_sites(blueprint)) == 17


def test_mobilenet_v2_is_depthwise_already(traced: Callable[..., Any]) -> None:
    blueprint = traced("mobilenet_v2", 32).blueprint
    assert [site.name for site in find_sites(blueprint)] == ["features.0.0"]
    refused = [a.reason for a in refused_convolutions(blueprint)]
    assert refused.count("it is already depthwise") == 17
    assert refused.count("its kernel is 1x1; blocks replace 3x3 and larger") == len(refused) - 17


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (nn.Conv2d(8, 8, 3, groups=2), "it has 2 groups"),
        (nn.Conv2d(8, 8, 3, groups=8), "it is already depthwise"),
        (nn.Conv2d(8, 8, (1, 7)), "its kernel is 1x7; blocks replace 3x3 and larger"),
        (nn.Conv2d(8, 8, 2), "its kernel is 2x2; blocks replace 3x3 and larger"),
    ],
)
def test_says_why_a_convolution_is_no_site(conv: nn.Module, reason: str) -> None:
    assert reasons(classifier(nn.Conv2d(3, 8, 3), conv)) == {"1": reason}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_uneven_padding_is_skipped() -> None:
    # padding="same" with an even kernel pads one side more, which no other block can follow.
    network = classifier(nn.Conv2d(3, 8, 4, padding="same"), nn.Conv2d(8, 8, 3, padding="same"))
    assert list(reasons(network)) == ["0"]
    assert "pads its two sides differently" in reasons(network)["0"]


def test_a_convolution_that_runs_twice_is_skipped() -> None:
    assert list(reasons(Twice())) == ["again"]
    assert "it runs more than once" in reasons(Twice())["again"]


def test_a_convolution_that_never_runs_is_skipped() -> None:
    network = classifier(nn.Conv2d(3, 8, 3))
    network.add_module("spare", nn.Identity())
    network.get_submodule("spare").add_module("conv", nn.Conv2d(3, 8, 3))
    assert reasons(network) == {"spare.conv": "it never runs"}


def test_twice_and_never_still_cost_as_predicted(
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    images = torch.randn(2, 3, 16, 16)
    network = Twice()
    blueprint = trace_with_groups(network, images)
    space = Space.of(blueprint)
    assert_as_predicted(network, images, blueprint, space.uniform(0.5))
    assert_as_predicted(network, images, blueprint, space.uniform(1))


def test_a_bias_is_needed_only_where_no_batch_norm_follows() -> None:
    network = classifier(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=False),
    )
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 16, 16))
    specs = {site.name: site.spec(blueprint.sizes) for site in find_sites(blueprint)}
    assert {name: spec.bias for name, spec in specs.items()} == {"0": False, "2": True, "4": False}
    assert [name for name, spec in specs.items() if spec.normalised] == ["0"]


def test_the_space_says_what_is_skipped() -> None:
    network = classifier(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 16, 16))
    reported = {(alone.technique, alone.name) for alone in Space.of(blueprint).skipped}
    assert ("block", "1") in reported
    assert ("channels", "1") in reported
    assert ("block", "1") not in {
        (alone.technique, alone.name) for alone in Space.of(blueprint, {"block": ()}).skipped
    }


def test_pixels_mirrored_at_the_edge_are_skipped() -> None:
    network = classifier(
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.Conv2d(8, 8, 3, padding=1)
    )
    assert reasons(network) == {"0": "it pads with reflect pixels; blocks pad with zeros"}
