"""The gate: every criterion in whole networks of every sort, predicted, cut, trained, exported.

And what each chooses, by a formula written here. The whole grid with its exports is in
benchmarks/criteria_conformance.py.
"""

import copy
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.errors import InputError, PlanError, UnknownName
from paredown.search.onnx import OnnxModel, write_onnx
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.criteria import CRITERIA
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.shrink import stages_with_groups
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Examples, Phase
from paredown.tests.spaces.block_cases import costs
from torch import nn

NAMES = [criterion.name for criterion in CRITERIA if not criterion.info.extra]
LEARNING = ("taylor", "hessian")  # they look at gradients
SIZES = {
    "resnet20": 32,
    "resnet56": 32,
    "resnet18": 32,
    "resnet101": 32,
    "vgg19_bn": 64,
    "mobilenet_v2": 32,
    "densenet121": 64,
    "googlenet": 32,
    "efficientnet_b0": 32,
}
# The slowest have some of each sort; benchmarks/criteria_conformance.py leaves none out.
SHARED = {
    "resnet101": ("taylor", "random"),
    "densenet121": ("bn-scale",),
    "googlenet": ("l1", "fpgm", "taylor", "random"),
    "efficientnet_b0": ("l2", "bn-scale", "lamp", "hessian"),
}
CASES = [(name, criterion) for name in SIZES for criterion in SHARED.get(name, NAMES)]
EXPORTED = {"resnet18": "hessian", "resnet20": "taylor", "vgg19_bn": "bn-scale"}


def shown(name: str, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, 3, SIZES[name], SIZES[name])


@lru_cache(maxsize=1)
def weighted(name: str) -> nn.Module:
    """A network with random weights. Do not change it."""
    torch.manual_seed(0)
    network = build_model(name, 10, 3)
    if name.startswith("vgg"):  # without its hundred million linear weights
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
    return network


@lru_cache(maxsize=1)
def small_vgg() -> Blueprint:
    return trace_with_groups(copy.deepcopy(weighted("vgg19_bn")).to("meta"), shown("vgg19_bn"))


def halving(blueprint: Blueprint, criterion: str) -> Plan:
    """Half of all channels, by a criterion."""
    stages = dict.fromkeys(stages_with_groups(blueprint), 0.5)
    return Plan.of({"prune": stages, "criterion": {"network": criterion}})


@pytest.mark.parametrize(("name", "criterion"), CASES)
def test_every_criterion_cuts_every_network(
    name: str,
    criterion: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
    tmp_path: Path,
) -> None:
    network, is_vgg = weighted(name), name.startswith("vgg")
    blueprint = small_vgg() if is_vgg else traced(name, SIZES[name]).blueprint
    plan = halving(blueprint, criterion)
    assert set(plan.chosen("prune")) >= {stage for stage in blueprint.stages if stage[-1].isdigit()}
    cut = assert_as_predicted(network, shown(name), blueprint, plan)
    assert cut(shown(name)).shape == (2, 10)
    assert all(torch.isfinite(parameter).all() for parameter in cut.parameters())
    assert all(parameter.grad is not None for parameter in cut.parameters())
    assert sum(p.numel() for p in cut.parameters()) < 0.4 * sum(
        p.numel() for p in network.parameters()
    )
    if EXPORTED.get(name) == criterion:
        assert_exports(cut.eval(), name, tmp_path / "cut.onnx")


def assert_exports(network: nn.Module, name: str, path: Path) -> None:
    """Written for two images, it answers three as the network does."""
    write_onnx(network, shown(name), path)
    images = shown(name, batch=3)
    with torch.no_grad():
        wanted = network(images)
    assert (OnnxModel(path)(images) - wanted).abs().max() <= 1e-4 * wanted.abs().max()


# What each chooses


class Pair(nn.Module):
    """Two convolutions; the channels of the first pass a batch norm, if there is one."""

    def __init__(self, *, normalised: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8) if normalised else nn.Identity()
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.classifier = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(F.relu(self.norm(self.first(x))))
        out: torch.Tensor = self.classifier(x.mean((2, 3)))
        return out


def pair(seed: int = 0, *, normalised: bool = True) -> Pair:
    torch.manual_seed(seed)
    network = Pair(normalised=normalised)
    with torch.no_grad():
        network.first.weight.mul_(torch.rand(8, 1, 1, 1) + 0.5)
    if normalised:
        nn.init.normal_(network.norm.get_parameter("weight"), std=0.5)
        nn.init.normal_(network.norm.get_parameter("bias"), std=0.3)
        nn.init.normal_(network.norm.get_buffer("running_mean"), std=0.3)
        nn.init.uniform_(network.norm.get_buffer("running_var"), 0.5, 1.5)
    return network


def examples(batches: int = 1, seed: int = 0) -> Examples:
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(5, 3, 6, 6, generator=draw), torch.tensor([0, 1, 2, 3, 1]))
        for _ in range(batches)
    ]


@lru_cache
def pair_blueprint(normalised: bool) -> Blueprint:
    return trace_with_groups(Pair(normalised=normalised), torch.zeros(2, 3, 6, 6))


def staying(
    network: Pair, criterion: str, shown: Examples = (), group: str = "first", keep: int = 4
) -> list[int]:
    """The channels of a group that stay, by their weights."""
    blueprint = pair_blueprint(isinstance(network.norm, nn.BatchNorm2d))
    after = blueprint.resized({group: keep})
    context = ApplyContext(torch.zeros(2, 3, 6, 6), shown)
    cut = CRITERIA.get(criterion).cut(copy.deepcopy(network), blueprint, after, context)
    whole = network.get_submodule(group).get_parameter("weight")
    left = cut.get_submodule(group).get_parameter("weight")
    assert len(left) == keep
    return [next(i for i, old in enumerate(whole) if torch.equal(old, new)) for new in left]


Scores = Callable[[Pair, Examples], torch.Tensor]


def parts(network: Pair) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The weights that go with a channel of the first group, [8, ...], and where they lie."""
    yield network.first.weight.flatten(1), network.first.weight
    yield network.norm.get_parameter("weight")[:, None], network.norm.get_parameter("weight")
    yield network.second.weight.transpose(0, 1).flatten(1), network.second.weight


def as_channels(tensor: torch.Tensor, of: torch.Tensor, network: Pair) -> torch.Tensor:
    """A tensor that is shaped as one of the parts' parameters, channels first: [8, ...]."""
    return (tensor.transpose(0, 1) if of is network.second.weight else tensor).reshape(8, -1)


def by_l1(network: Pair, _: Examples) -> torch.Tensor:
    return torch.stack([weights.abs().sum(1) for weights, _ in parts(network)]).sum(0)


def by_l2(network: Pair, _: Examples) -> torch.Tensor:
    return torch.stack([weights.square().sum(1) for weights, _ in parts(network)]).sum(0)


def by_scale(network: Pair, _: Examples) -> torch.Tensor:
    return network.norm.get_parameter("weight").abs()


def by_distance(network: Pair, _: Examples) -> torch.Tensor:
    first, _norm, second = (weights for weights, _ in parts(network))
    apart = [(w[:, None] - w[None]).square().sum(2).sqrt() for w in (first, second)]
    return torch.stack(apart).sum((0, 2))


def by_lamp(network: Pair, _: Examples) -> torch.Tensor:
    squares = by_l2(network, _)
    return torch.stack([item / squares[squares >= item].sum() for item in squares])


def by_taylor(network: Pair, shown: Examples) -> torch.Tensor:
    # Convolutions alone: Torch-Pruning's first-order score leaves batch norm out.
    convs = [(w, p) for w, p in parts(network) if p.ndim == 4]
    loss = sum(F.cross_entropy(network.eval()(images), labels) for images, labels in shown)
    gradients = torch.autograd.grad(loss, [p for _, p in convs])  # type: ignore[arg-type]
    return torch.stack(
        [
            (weights * as_channels(gradient, at, network)).abs().sum(1)
            for (weights, at), gradient in zip(convs, gradients, strict=True)
        ]
    ).sum(0)


def by_hessian(network: Pair, shown: Examples) -> torch.Tensor:
    ((images, labels),) = shown
    return torch.stack(
        [of_image(network, item, label) for item, label in zip(images, labels, strict=True)]
    ).mean(0)


def of_image(network: Pair, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Squared weights times the squared gradient of one image alone."""
    pieces = list(parts(network))
    loss = F.cross_entropy(network.eval()(image[None]), label[None])
    gradients = torch.autograd.grad(loss, [p for _, p in pieces])
    return torch.stack(
        [
            (weights.square() * as_channels(gradient, at, network).square()).sum(1)
            for (weights, at), gradient in zip(pieces, gradients, strict=True)
        ]
    ).sum(0)


FORMULAS: dict[str, Scores] = {
    "l1": by_l1,
    "l2": by_l2,
    "bn-scale": by_scale,
    "fpgm": by_distance,
    "lamp": by_lamp,
    "taylor": by_taylor,
    "hessian": by_hessian,
}


def test_every_criterion_has_a_formula_here() -> None:
    assert [*FORMULAS, "random"] == NAMES


@pytest.mark.parametrize("name", FORMULAS)
def test_the_least_by_the_formula_go(name: str) -> None:
    for seed in range(3):
        network, provided = pair(seed), examples(seed=seed)
        order = FORMULAS[name](network, provided).argsort().tolist()
        for keep in (7, 4, 1):
            assert staying(network, name, provided, keep=keep) == sorted(order[8 - keep :])


def test_the_criteria_are_not_one_another() -> None:
    networks = [(pair(seed), examples(seed=seed)) for seed in range(3)]
    orders = {
        name: tuple(order for pair in networks for order in scores(*pair).argsort().tolist())
        for name, scores in FORMULAS.items()
    }
    assert orders.pop("lamp") == orders["l2"]  # within one group
    assert len(set(orders.values())) == len(orders)


def test_hessian_counts_every_image_and_not_the_last_alone() -> None:
    network = pair()
    ((images, labels),) = examples()
    images[-1] = 0  # what the first convolution reads of it has no gradient
    alone = [of_image(network, item, at) for item, at in zip(images, labels, strict=True)]
    of_last, of_all = alone[-1].argsort().tolist(), torch.stack(alone).mean(0).argsort().tolist()
    chosen = [staying(network, "hessian", [(images, labels)], keep=keep) for keep in range(1, 8)]
    assert chosen == [sorted(of_all[8 - keep :]) for keep in range(1, 8)]
    assert chosen != [sorted(of_last[8 - keep :]) for keep in range(1, 8)]


def test_taylor_counts_every_batch() -> None:
    network, two = pair(1), examples(batches=2, seed=3)
    by_both = staying(network, "taylor", two)
    assert by_both == sorted(by_taylor(network, two).argsort().tolist()[4:])
    assert by_both != staying(network, "taylor", two[1:])


def test_hessian_looks_at_so_many_images_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paredown.spaces.criteria.hessian._IMAGES", 2)
    network = pair()
    ((images, labels),) = examples()
    two = [(images[:2], labels[:2])]
    assert staying(network, "hessian", [(images, labels)]) == staying(network, "hessian", two)


def test_chance_knows_no_weights_and_repeats_itself() -> None:
    chosen = [
        staying(pair(seed), "random", provided) for seed, provided in ((0, ()), (1, examples()))
    ]
    assert chosen[0] == chosen[1] == staying(pair(0), "random")
    assert chosen[0] not in ([0, 1, 2, 3], [4, 5, 6, 7])  # scattered


@pytest.mark.parametrize("group", ["first", "second"])
def test_without_batch_norm_scales_give_way_to_l1(group: str) -> None:
    bare = pair(normalised=False)
    assert staying(bare, "bn-scale", group=group) == staying(bare, "l1", group=group)
    # Of a network with batch norm, the group behind which none stands.
    mixed = pair()
    assert staying(mixed, "bn-scale", group="second") == staying(mixed, "l1", group="second")
    assert staying(mixed, "bn-scale") != staying(mixed, "l1")


@pytest.mark.parametrize("name", NAMES)
def test_channels_that_score_alike_are_still_told_apart(name: str) -> None:
    network = pair()
    for parameter in network.parameters():  # dead: 0 / 0 in every score
        nn.init.zeros_(parameter)
    images = torch.zeros(2, 3, 6, 6)
    blueprint = pair_blueprint(True)
    after = blueprint.resized({"first": 5, "second": 2})
    context = ApplyContext(images, examples())
    cut = CRITERIA.get(name).cut(network, blueprint, after, context)
    assert costs(trace(cut, images)) == costs(after)


# What each leaves behind


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LEARNING)
def test_gradients_leave_no_trace(name: str, training: bool) -> None:
    network, images = pair().train(training), torch.zeros(2, 3, 6, 6)
    network.second.requires_grad_(False)  # a part that somebody has frozen
    blueprint = pair_blueprint(True)
    before = copy.deepcopy(network.state_dict())
    context = ApplyContext(images, examples(batches=2))
    assert CRITERIA.get(name).cut(network, blueprint, blueprint, context) is network
    after = network.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert {module.training for module in network.modules()} == {training}
    assert network.first.weight.requires_grad
    assert not network.second.weight.requires_grad


@pytest.mark.parametrize("name", LEARNING)
def test_stale_gradients_do_not_count(name: str) -> None:
    network, provided, blueprint = pair(), examples(), pair_blueprint(True)
    wanted = network.first.weight[staying(network, name, provided)]
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e3
    context = ApplyContext(torch.zeros(2, 3, 6, 6), provided)
    after = blueprint.resized({"first": 4})
    CRITERIA.get(name).cut(network, blueprint, after, context)
    assert torch.equal(network.first.weight, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_the_same_without_examples(name: str, traced: Callable[..., Any]) -> None:
    network, images, blueprint = traced("resnet20", 32)
    plan = halving(blueprint, name)
    cut = apply_phase(
        copy.deepcopy(network), blueprint, plan, Phase.PRUNE, ApplyContext(images.to("meta"))
    )
    assert costs(trace(cut, images)) == costs(predict_graph(blueprint, plan))


@pytest.mark.parametrize("name", LEARNING)
def test_without_examples_channels_go_blindly(name: str) -> None:
    assert staying(pair(), name) == staying(pair(), "random")


# What users see


def test_an_unknown_criterion_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown pruning criterion 'tailor'; did you mean taylo"):
        CRITERIA.get("tailor")
    with pytest.raises(InputError):
        CRITERIA.get("tailor")
    with pytest.raises(PlanError, match=r"criterion\.network: unknown .*; did you mean hessian"):
        Plan.of({"prune": {"stage1": 0.5}, "criterion": {"network": "hesian"}})
    with pytest.raises(PlanError, match="expected a pruning criterion such as 'taylor', got 2"):
        Plan.of({"prune": {"stage1": 0.5}, "criterion": {"network": 2}})


def test_every_criterion_is_described() -> None:
    for criterion in CRITERIA:
        reported = criterion.info
        assert reported.name == criterion.name
        assert reported.title
        assert reported.paper or criterion.name == "random"
        assert reported.link.startswith("https://") or not reported.paper
