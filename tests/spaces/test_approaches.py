"""The 28 networks of the paper, against the paper: what they count, layer by layer.

`approaches.json` holds the paper's facts: parameters, the multiply-accumulates of convolutions and
linear layers, and those that fvcore counts. `approaches_layers.json` holds a digest of each
network's convolutions, linear layers and batch norms for 10 classes, made of measurements of the
paper's own code (`digest` here says how).
"""

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from paredown.errors import PlanError
from paredown.objectives.cost.cost import count
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.approaches import Approach, approaches, find_approach
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import example_images, trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, Value
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

HERE = Path(__file__).parent
FACTS: list[Mapping[str, Any]] = json.loads((HERE / "approaches.json").read_text())
DIGESTS: Mapping[str, str] = json.loads((HERE / "approaches_layers.json").read_text())
BY_NUMBER = {(fact["model"], fact["approach"]): fact for fact in FACTS}
UNREAD = 8_448  # parameters of ResNet approach 15 that the paper counts and never runs
HAS_DICE = {("resnet101", 15), ("vgg19", 13)}
IMAGES = example_images(3, 32)


@lru_cache
def baseline(model: str, classes: int) -> tuple[nn.Module, Blueprint]:
    with torch.device("meta"):
        network = build_model(f"{model}-cifar", classes, 3)
    return network, trace_with_groups(network, IMAGES)


@lru_cache(maxsize=64)
def built(approach: Approach, classes: int) -> nn.Module:
    """On the meta device. Do not change it."""
    network, blueprint = baseline(approach.model.removesuffix("-cifar"), classes)
    context = ApplyContext(IMAGES)
    whole = copy.deepcopy(network)
    return apply_phase(whole, blueprint, approach.plan, Phase.STRUCTURE, context)


def options_of(plan: Plan) -> dict[str, list[Value]]:
    options = dict[str, list[Value]]()
    for choice in plan.choices:
        options.setdefault(choice.technique, [TECHNIQUES.get(choice.technique).neutral]).append(
            choice.value
        )
    return options


def digest(network: nn.Module) -> str:
    """Sixteen hexadecimal digits over the layers that compute or normalise, as they ran.

    A row is [sort, input C x H x W, output C x H x W, kernel, stride, padding, groups,
    parameters]. Rows are sorted: where two branches meet, which ran first means nothing. A linear
    layer counts as a 1x1 convolution of one pixel: squeeze-and-excitation has linear layers in the
    paper and such convolutions here, which compute the same.
    """
    rows = list[list[object]]()

    def seen(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        sides = [[*tensor.shape[1:], 1, 1][:3] for tensor in (inputs[0], output)]
        norm, contents = isinstance(module, nn.BatchNorm2d), [[1, 1], [1, 1], [0, 0]]
        if isinstance(module, nn.Conv2d):
            contents = [[*module.kernel_size], [*module.stride], [*map(int, module.padding)]]
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        params = sum(p.numel() for p in module.parameters())
        rows.append(["norm" if norm else "conv", *sides, *contents, groups, params])

    watched = copy.deepcopy(network).eval()
    for module in watched.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.register_forward_hook(seen)
    with torch.no_grad():
        watched(IMAGES)
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def name_of(approach: Approach) -> str:
    return f"{approach.model.removesuffix('-cifar')}-{approach.number}"


EVERY = [*approaches("resnet101"), *approaches("vgg19")]
every_approach = pytest.mark.parametrize("approach", EVERY, ids=name_of)
each_data_set = pytest.mark.parametrize("classes", [10, 100])
# Of 100 classes one for each head that there is: what differs from 10 is the head alone.
ONE_PER_HEAD = {
    *("resnet101-1", "resnet101-9", "resnet101-10"),
    *("vgg19-1", "vgg19-2", "vgg19-7", "vgg19-9"),
}
FOR_EACH_HEAD = [
    pytest.param(approach, classes, id=f"{name_of(approach)}-{classes}")
    for classes in (10, 100)
    for approach in EVERY
    if classes == 10 or name_of(approach) in ONE_PER_HEAD
]
each_head = pytest.mark.parametrize(("approach", "classes"), FOR_EACH_HEAD)


def fact_of(approach: Approach) -> Mapping[str, Any]:
    return BY_NUMBER[approach.model.removesuffix("-cifar"), approach.number]


def test_every_approach_of_the_paper_is_here() -> None:
    named = [f"{model}-{number}" for model, number in BY_NUMBER]
    assert [name_of(approach) for approach in EVERY] == named == list(DIGESTS)
    assert len({approach.plan for approach in EVERY}) == 27  # the two baselines change nothing


@each_data_set
@every_approach
def test_plans_are_predicted_to_cost_what_the_paper_counts(
    approach: Approach, classes: int
) -> None:
    fact, data = fact_of(approach), f"cifar{classes}"
    model = fact["model"]
    cost = count(predict_graph(baseline(model, classes)[1], approach.plan))
    unread = UNREAD if (model, approach.number) == ("resnet101", 15) else 0
    assert cost.params == fact["params"][data] - unread
    assert cost.macs == fact["macs_conv_linear"][data]


@each_head
def test_networks_come_out_as_predicted(approach: Approach, classes: int) -> None:
    blueprint = baseline(fact_of(approach)["model"], classes)[1]
    predicted = predict_graph(blueprint, approach.plan)
    network = built(approach, classes)
    traced = trace(network, IMAGES)
    assert [layer.name for layer in traced.layers] == [layer.name for layer in predicted.layers]
    assert count(traced) == count(predicted)
    assert sum(p.numel() for p in network.parameters()) == count(predicted).params


@every_approach
def test_networks_can_be_trained(approach: Approach) -> None:
    network = copy.deepcopy(built(approach, 10)).train()
    network(IMAGES).square().sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    unread = "published" in approach.plan.to_json()  # a batch norm whose result nothing reads
    assert bool(without) is unread
    assert all(".bn." in name for name in without)


@every_approach
def test_layers_are_those_of_the_paper(approach: Approach) -> None:
    assert digest(built(approach, 10)) == DIGESTS[name_of(approach)]


@pytest.mark.filterwarnings("ignore")  # fvcore traces with torch.jit, which says it is deprecated
@each_head
def test_fvcore_counts_what_the_paper_says(approach: Approach, classes: int) -> None:
    from fvcore.nn import FlopCountAnalysis  # here, where its warnings are ignored

    network = copy.deepcopy(built(approach, classes)).to_empty(device="cpu").eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    analysis = FlopCountAnalysis(network, torch.zeros(1, 3, 32, 32))
    counted = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
    wanted = fact_of(approach)["macs_paper"][f"cifar{classes}"]
    if (fact_of(approach)["model"], approach.number) in HAS_DICE:
        assert counted == pytest.approx(wanted, rel=0.01)  # it is exact with fvcore 0.1.5
    else:
        assert counted == wanted


@every_approach
def test_plans_lie_in_a_space_with_their_options_and_keep_in_json(approach: Approach) -> None:
    blueprint = baseline(fact_of(approach)["model"], 10)[1]
    Space.of(blueprint, options_of(approach.plan)).check(approach.plan)
    assert Plan.from_json(approach.plan.to_json()) == approach.plan
    assert find_approach(fact_of(approach)["model"], approach.number) == approach
    assert find_approach(approach.model, approach.number) == approach


def test_the_smallest_resnet_is_the_papers_headline() -> None:
    costs = {
        approach.number: count(predict_graph(baseline("resnet101", 10)[1], approach.plan)).params
        for approach in approaches("resnet101")
    }
    smallest = min(costs.values())
    assert round(smallest / 1e6, 3) == 0.151
    assert math.isclose(costs[1] / smallest, 280, rel_tol=0.01)


def test_a_plan_from_another_model_is_refused_place_by_place() -> None:
    plan = find_approach("vgg19", 3).plan
    blueprint = baseline("resnet101", 10)[1]
    with pytest.raises(PlanError, match=r"block\.stage5: no such place"):
        Space.of(blueprint, options_of(plan)).check(plan)


def test_other_numbers_and_models_are_refused() -> None:
    for number in (0, 16, -1):
        with pytest.raises(PlanError, match=f"resnet101 has approaches 1 to 15, got {number}$"):
            find_approach("resnet101", number)
    with pytest.raises(PlanError, match=r"vgg19 has approaches 1 to 13, got 14$"):
        find_approach("vgg19-cifar", 14)
    known = "resnet101-cifar, vgg19-cifar"
    with pytest.raises(PlanError, match=f"approaches for {known}, not for resnet18$"):
        find_approach("resnet18", 1)
    assert approaches("resnet18") == ()
