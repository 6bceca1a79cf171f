"""The gate: every block family in whole networks of every sort, predicted, built, cut, exported.

Where a family fits nowhere in a network, the reason is given. README's test line runs a few of
the networks, `pytest -m ""` all of them.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.blocks import FAMILIES, variants
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.submodules import replace_module
from paredown.spaces.graph.tracing import trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from paredown.spaces.techniques import TECHNIQUES
from paredown.tests.matrix import represented
from paredown.tests.spaces.block_cases import assert_cut_rightly, costs, randomise
from torch import nn

BLOCKS = TECHNIQUES.get("block")
SIZES = {
    "functional": 32,
    "resnet18": 32,
    "resnet50": 32,
    "resnet101": 32,
    "vgg16": 32,
    "vgg19_bn": 32,
    "mobilenet_v2": 32,
    "densenet121": 32,
    "googlenet": 32,
    "efficientnet_b0": 32,
    "shufflenet_v2_x1_0": 32,
    "squeezenet1_1": 32,
    "convnext_tiny": 32,
    "regnet_y_400mf": 32,
}


def every(cases: Iterable[str], *representatives: str) -> pytest.MarkDecorator:
    """Networks, of which all but the representatives run on request."""
    return pytest.mark.parametrize("name", represented(cases, representatives.__contains__))


IN_NUMBERS = ["functional", "resnet18", "vgg19_bn", "squeezenet1_1"]
FAMILY_NAMES = [family.name for family in FAMILIES if family.name != "conv"] + ["conv+se"]
# ResNet-50 loses its channels for ResNet-101; DenseNet's take minutes.
CUT_ELSEWHERE = {"resnet101", "densenet121"}
WITH_A_ROW = {"functional", "resnet18"}  # their blocks stand in a row
IN_A_ROW = [name for name in variants() if re.search("narrow|early", name)]


class HandMade(nn.Module):
    """A residual block of no known class: its shortcut is a slice of the image, and a pad."""

    def __init__(self, channels: int, hidden: int, out: int, stride: int) -> None:
        super().__init__()
        self.thin = nn.Conv2d(channels, hidden, 1, bias=False)
        self.thin_norm = nn.BatchNorm2d(hidden)
        self.spatial = nn.Conv2d(hidden, hidden, 3, stride, padding=1, bias=False)
        self.spatial_norm = nn.BatchNorm2d(hidden)
        self.wide = nn.Conv2d(hidden, out, 1)
        self.stride, self.more = stride, out - channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.thin_norm(self.thin(x)))
        out = self.wide(F.relu(self.spatial_norm(self.spatial(out))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(out + x)


class Functional(nn.Module):
    """A network that does by functional calls what others do by modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.left = nn.Conv2d(16, 16, 3, padding=1)
        self.right = nn.Conv2d(16, 16, 5, padding=2)
        self.norm = nn.BatchNorm2d(32)
        self.first = HandMade(32, 16, 32, 1)
        self.second = HandMade(32, 16, 32, 1)
        self.third = HandMade(32, 16, 64, 2)
        self.fourth = HandMade(64, 32, 64, 1)
        self.last = nn.Conv2d(64, 32, 3, padding=1)
        self.mixing = nn.Conv2d(32, 32, 1)
        self.classifier = nn.Linear(32 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(F.pad(x, (1, 1, 1, 1))))
        x = F.max_pool2d(x, 2)
        x = F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1)))
        x = self.fourth(self.third(self.second(self.first(x))))
        x = F.relu(self.mixing(self.last(x)))[:, :, :-1, :-1]
        x = F.adaptive_avg_pool2d(x, 2)
        out: torch.Tensor = self.classifier(x.view(x.size(0), -1))
        return out


def network_of(name: str) -> nn.Module:
    """With random weights; a VGG without its hundred million linear ones."""
    torch.manual_seed(0)
    if name == "functional":
        return Functional()
    network = build_model(name, 10, 3)
    if name.startswith("vgg"):
        network.classifier = nn.Linear(512 * 49, 10)
    return network


def shown(name: str, batch: int = 2, device: str = "cpu") -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, 3, SIZES[name], SIZES[name]).to(device)


@lru_cache(maxsize=4)
def known(name: str) -> tuple[nn.Module, Blueprint]:
    """A network on the meta device, and its blueprint. Do not change it."""
    bare = network_of(name).to("meta")
    return bare, trace_with_groups(bare, shown(name, device="meta"))


def structured(network: nn.Module, name: str, plan: Plan) -> nn.Module:
    """A copy with a plan's structure."""
    device = next(network.parameters()).device
    context = ApplyContext(shown(name).to(device))
    _, blueprint = known(name)
    return apply_phase(copy.deepcopy(network), blueprint, plan, Phase.STRUCTURE, context)


def is_cut(name: str, family: str) -> bool:
    """Whether a network loses channels with a family; every third does, another with each."""
    turn = [*SIZES].index(name) + [*FAMILY_NAMES, *IN_A_ROW].index(family)
    return name not in CUT_ELSEWHERE and (name in WITH_A_ROW or turn % 3 == 0)


def assert_comes_out_as_predicted(name: str, plan: Plan, network: nn.Module) -> None:
    """On the meta device: what a plan makes of a network costs what was predicted."""
    predicted = predict_graph(known(name)[1], plan, Phase.STRUCTURE)
    assert costs(trace(network, shown(name, device="meta"))) == costs(predicted)


def assert_is_cut_as_predicted(name: str, plan: Plan, network: nn.Module) -> None:
    """The same once half of all channels are cut."""
    _, blueprint = known(name)
    images = shown(name, device="meta")
    predicted = predict_graph(blueprint, plan, Phase.STRUCTURE)
    stages = dict.fromkeys({group.stage for group in predicted.groups.values()}, 0.5)
    whole = Plan.of({"block": plan.chosen("block"), "prune": stages})
    cut = apply_phase(network, blueprint, whole, Phase.PRUNE, ApplyContext(images))
    assert costs(trace(cut, images)) == costs(predict_graph(blueprint, whole))
    assert cut.train()(images).shape == (2, 10)


@every(SIZES, "functional", "mobilenet_v2")
def test_every_family_comes_out_as_predicted(name: str, subtests: pytest.Subtests) -> None:
    bare, blueprint = known(name)
    for family in [*FAMILY_NAMES, *(IN_A_ROW if name in WITH_A_ROW else ())]:
        with subtests.test(family=family):
            places = BLOCKS.places(blueprint, family)
            if not places:
                reported = list(BLOCKS.skipped(blueprint, [family]))
                assert reported
                assert all(re.match(r"\w.* \w", alone.reason) for alone in reported)
                assert not BLOCKS.sites(blueprint, family)
                continue
            plan = Plan.of({"block": dict.fromkeys(places, family)})
            assert Plan.from_json(plan.to_json()) == plan
            changed = structured(bare, name, plan)
            assert changed(shown(name, device="meta")).shape == (2, 10)
            assert_comes_out_as_predicted(name, plan, changed)
            if is_cut(name, family):
                assert_is_cut_as_predicted(name, plan, changed)


WRITING_SEVERAL = ("ghost", "fire", "fire+ghost")
"""Families whose output is several groups of channels: a head that flattens must not split them."""


def in_numbers(name: str) -> list[str]:
    return [*FAMILY_NAMES, *(IN_A_ROW if name in WITH_A_ROW else ())]


@every(IN_NUMBERS, "functional")
def test_every_family_loses_the_channels_it_should(name: str, subtests: pytest.Subtests) -> None:
    """A cut network computes what the uncut one does with the same channels silent."""
    _, blueprint = known(name)
    network, images = network_of(name), shown(name)
    for family in WRITING_SEVERAL if name == "vgg19_bn" else in_numbers(name):
        places = BLOCKS.places(blueprint, family)
        if not places:
            continue
        with subtests.test(family=family):
            plan = Plan.of({"block": dict.fromkeys(places, family)})
            changed = lively(structured(network, name, plan), name)
            predicted = predict_graph(blueprint, plan, Phase.STRUCTURE)
            assert_cut_rightly(changed, images, predicted)


def lively(network: nn.Module, name: str) -> nn.Module:
    """Batch norms that do something, with the statistics of what they see; evaluation mode."""
    randomise(network).train()
    with torch.no_grad():
        for _ in range(3):
            network(shown(name, batch=4))
    return network.eval()


def shares(blueprint: Blueprint) -> Iterator[Mapping[str, str]]:
    """Every family that fits at one site at least, several at once: site -> family."""
    left = [family for family in FAMILY_NAMES if BLOCKS.sites(blueprint, family)]
    left.sort(key=lambda family: len(BLOCKS.sites(blueprint, family)))
    while left:
        chosen = dict[str, str]()
        for number, family in enumerate(list(left)):
            sites = list(BLOCKS.sites(blueprint, family))
            first = number * len(sites) // len(FAMILY_NAMES)
            free = [site for site in sites[first:] + sites[:first] if _free(site, chosen)]
            if free:
                chosen[free[0]] = family
                left.remove(family)
        yield chosen


def _free(site: str, chosen: Mapping[str, str]) -> bool:
    return not any(f"{site}.".startswith(f"{a}.") or f"{a}.".startswith(f"{site}.") for a in chosen)


class AtOnce(nn.Module):
    """What several blocks make of one input, added up: so that one export shows them all."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([block(x) for block in self.blocks]).sum(0)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@every(SIZES, "functional", "resnet18")
def test_every_family_learns_is_saved_and_exported(name: str) -> None:
    _, blueprint = known(name)
    network, exported = network_of(name), list[tuple[Mapping[str, str], nn.Module]]()
    for chosen in shares(blueprint):
        plan = Plan.of({"block": chosen})
        changed = lively(structured(network, name, plan), name)
        changed.train()(shown(name)).square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in changed.parameters() if p.grad is not None)
        changed.eval().zero_grad()
        again = structured(network, name, Plan.from_json(plan.to_json())).eval()
        again.load_state_dict(changed.state_dict())
        with torch.no_grad():
            assert torch.equal(again(shown(name)), changed(shown(name)))
        if exported and set(chosen) <= set(exported[0][0]):
            for site in chosen:
                both = [module.get_submodule(site) for module in (exported[0][1], changed)]
                replace_module(exported[0][1], site, AtOnce(both))
        else:
            exported.append((chosen, changed))
    for _, several in exported:
        assert_exports(several, name)


def assert_exports(network: nn.Module, name: str) -> None:
    """As a program of torch and as ONNX, made for two images and run on three."""
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (shown(name),), dynamic_shapes=(batch,))
    images = shown(name, batch=3)
    with torch.no_grad():
        wanted, got = network(images), program.module()(images)
    near = 1e-4 * float(wanted.abs().max())
    assert (got - wanted).abs().max() <= near
    created = torch.onnx.export(program, dynamo=True, verbose=False, optimize=False)
    assert created is not None
    session = onnxruntime.InferenceSession(
        created.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (out,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert np.abs(out - wanted.numpy()).max() <= near
