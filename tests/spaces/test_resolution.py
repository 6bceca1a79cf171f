"""Smaller images: resized inside the network, predicted on every size that it runs on."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.errors import PlanError
from paredown.objectives.cost.cost import count, measure
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.input_sizes import SCALES, scaled_size
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

RESOLUTION = TECHNIQUES.get("resolution")


def smaller(share: float) -> Plan:
    return Plan.of({"resolution": {"input": share}})


@pytest.mark.parametrize(
    ("name", "size", "share"),
    [
        *(("resnet20", 32, share) for share in SCALES),
        *(("vgg11_bn", 32, share) for share in (0.875, 0.5)),
        *((name, 64, share) for name in ("googlenet", "convnext_tiny") for share in (0.75, 0.5)),
    ],
)
def test_networks_come_out_as_predicted(
    name: str,
    size: int,
    share: float,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    if not RESOLUTION.places(blueprint, share):
        reasons = [skipped.reason for skipped in RESOLUTION.skipped(blueprint, [1.0, share])]
        assert reasons == [f"the network does not run on images of {share:g} of the side length"]
        return
    assert_as_predicted(network, images, blueprint, smaller(share))


@pytest.mark.parametrize(("name", "size"), [("resnet20", 32), ("mobilenet_v3_small", 64)])
def test_it_costs_what_the_network_costs_on_such_images(
    name: str, size: int, traced: Callable[..., Any]
) -> None:
    network, _, blueprint = traced(name, size)
    for share in SCALES:
        images = example_images(3, round(size * share))
        assert count(predict_graph(blueprint, smaller(share))) == measure(network, images)


def test_half_the_side_is_a_quarter_of_the_work(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    before, after = count(blueprint), count(predict_graph(blueprint, smaller(0.5)))
    assert after.params == before.params
    assert (before.macs - 640) == 4 * (after.macs - 640)  # all but the linear layer


@pytest.mark.parametrize("share", [0.75, 0.5])
def test_it_is_interpolation_before_the_plain_network(
    share: float,
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet20"), torch.randn(3, 3, 32, 32)
    resized = carry_out(network, images, traced("resnet20", 32).blueprint, smaller(share))
    side = int(32 * share)
    by_hand = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert torch.equal(resized(images), network(by_hand))


def test_sides_are_rounded_and_never_nothing() -> None:
    assert scaled_size((32, 32), 0.875) == (28, 28)
    assert scaled_size((33, 20), 0.5) == (16, 10)
    assert scaled_size((1, 1), 0.5) == (1, 1)


def test_images_need_not_be_square(carry_out: Callable[..., nn.Module]) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    images = torch.randn(2, 1, 12, 20)
    blueprint = trace_with_groups(network, images)
    resized = carry_out(network, images, blueprint, smaller(0.5))
    assert count(predict_graph(blueprint, smaller(0.5))) == measure(resized, images)
    assert predict_graph(blueprint, smaller(0.5)).layer("0").positions == 6 * 10


def test_the_network_keeps_its_names_its_mode_and_its_original(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet20"), torch.randn(2, 3, 32, 32)
    plain = type(network)
    blueprint = traced("resnet20", 32).blueprint
    resized = carry_out(network, images, blueprint, smaller(0.5))
    assert type(network) is plain
    assert isinstance(resized, plain)
    assert type(resized).__name__ == f"Resized{plain.__name__}"
    assert list(resized.state_dict()) == list(network.state_dict())
    assert not resized.training
    again = copy.deepcopy(resized)
    with torch.no_grad():
        assert torch.equal(again(images), resized(images))


def test_a_linear_layer_that_wants_one_size_takes_no_other() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 64, 5)
    )
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 16, 16))
    assert [RESOLUTION.places(blueprint, share) for share in SCALES] == [()] * len(SCALES)
    skipped = list(RESOLUTION.skipped(blueprint, [1.0, *SCALES]))
    assert [skipped.name for skipped in skipped] == ["input"] * len(SCALES)
    assert skipped[-1].reason == "the network does not run on images of 0.5 of the side length"


class FixedView(nn.Module):
    """Flattens to so many features, whatever that does to the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(4)
        self.linear = nn.Linear(256, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(self.pool(self.conv(x)).view(-1, 256))
        return out


def test_images_do_not_flow_into_each_other() -> None:
    # At half the side, the features of four images would make one row of scores.
    blueprint = trace_with_groups(FixedView(), torch.zeros(4, 3, 16, 16))
    assert dict(blueprint.scaled) == {}


def test_places_are_the_sizes_that_it_runs_on(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    assert RESOLUTION.places(blueprint, 1.0) == ()
    assert [RESOLUTION.places(blueprint, share) for share in SCALES] == [("input",)] * len(SCALES)
    assert list(RESOLUTION.skipped(blueprint, [1.0, *SCALES])) == []
    assert RESOLUTION.default_options() == (1.0,)


@pytest.mark.parametrize("wrong", [0.6, 2, 0, -0.5, "0.5", None, float("nan")])
def test_other_shares_are_refused_with_those_there_are(wrong: object) -> None:
    with pytest.raises(
        PlanError, match=r"expected a resolution of 1, 0.875, 0.75, 0.625, 0.5; got"
    ):
        RESOLUTION.parse(wrong)
    assert RESOLUTION.parse(1) == 1.0
