"""NNI as a backend: it chooses what goes, predicted counts hold, and its scales mean what they say.

What needs NNI is skipped where it is not installed.
"""

import copy
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from paredown.errors import InputError, TrainingDiverged
from paredown.extras import require_extra
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import example_images, trace
from paredown.spaces.nni import PRUNERS, QUANTIZERS
from paredown.spaces.nni.pruners import chosen_channels, prune
from paredown.spaces.nni.quantizing import LearnedScales, learned_quantization
from paredown.spaces.nni.repairs import quiet_nni
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.dependencies import remove_channels
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

needs_nni = pytest.mark.skipif(
    importlib.util.find_spec("nni") is None, reason="NNI is an extra: pip install 'paredown[nni]'"
)

SIDE = 32
IMAGES = torch.zeros(2, 3, SIDE, SIDE)
Network = Callable[[str], nn.Module]


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random images and labels, always the same."""
    make = torch.Generator().manual_seed(0)
    return [
        (torch.randn(8, 3, SIDE, SIDE, generator=make), torch.randint(10, (8,), generator=make))
        for _ in range(count)
    ]


def halved(network: nn.Module) -> tuple[Blueprint, Blueprint]:
    """The blueprint of a network, and of the same with half of each channel group gone."""
    before = trace_with_groups(network, IMAGES)
    stages = {group.stage for group in before.groups.values()}
    return before, predict_graph(before, Plan.of({"prune": dict.fromkeys(stages, 0.5)}))


def figures(blueprint: Blueprint) -> list[tuple[str, int, int]]:
    sizes = blueprint.sizes
    return [
        (layer.name, layer.weights(sizes), layer.other_params(sizes)) for layer in blueprint.layers
    ]


# Without NNI


def test_the_missing_extra_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"^nni-l1 needs nni, .*run pip install 'paredown\[nni\]'$"
    ):
        require_extra("nni", "nni-l1")


def test_nni_is_not_imported_before_it_is_chosen() -> None:
    code = (
        "import sys; from paredown.spaces.nni import pruners, quantizing; "
        "sys.exit('nni' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_cannot_be_is_refused(trained: Network) -> None:
    network = trained("resnet8")
    before, after = halved(network)
    with pytest.raises(ValueError, match="expected one of nni-l1"):
        prune(network, before, after, "l1", IMAGES, [])
    with pytest.raises(ValueError, match="nni-taylor needs training examples"):
        prune(network, before, after, "nni-taylor", IMAGES, [])
    with pytest.raises(ValueError, match="expected one of nni-qat"):
        learned_quantization(network, {}, lambda _: None, "qat", [IMAGES])
    with pytest.raises(ValueError, match="needs calibration images"):
        learned_quantization(network, {}, lambda _: None, "nni-qat", [])


# Repairs

EACH_REPAIR_IS_NEEDED = """
import torch
from paredown.spaces.models import build_model
from paredown.spaces.nni import repairs

plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())
branching = build_model("googlenet", 10, 3)  # on whether it is in training

def error(network):
    from nni.common.concrete_trace_utils import concrete_trace
    try:
        concrete_trace(network, (torch.zeros(2, 3, 32, 32),))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"

with repairs.quiet_nni():
    from nni.common.concrete_trace_utils import concrete_tracer
    found = [error(plain)]
    repairs._forget_builtins_without_module(concrete_tracer)
    found += [error(plain)]
    repairs._let_purity_take_options(concrete_tracer)
    found += [error(plain), error(branching)]
    repairs.repair_nni()
    found += [error(plain), error(branching)]
    repairs.repair_nni()
    found += [error(plain), error(branching)]
print(*found, sep=chr(10))
"""


@needs_nni
def test_each_repair_is_still_needed_and_all_are_enough() -> None:
    """Where this fails, NNI, torch or Python has changed, and a repair may go."""
    command = [sys.executable, "-W", "error", "-c", EACH_REPAIR_IS_NEEDED]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert text.splitlines()[-8:] == [
        "AttributeError: 'NoneType' object has no attribute 'startswith'",
        "TypeError: Node.is_impure() takes 1 positional argument but 2 were given",
        "none",
        "IndexError: list index out of range",
        *["none"] * 4,
    ]


# Pruning


@needs_nni
@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruned_network_is_what_was_predicted_and_runs(pruner: str, trained: Network) -> None:
    network = trained("resnet20").train()
    filters = network.get_submodule("conv1").get_parameter("weight").detach().clone()
    before, after = halved(network)
    state = torch.get_rng_state()
    small = prune(network, before, after, pruner, IMAGES, batches(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert figures(trace(small, IMAGES)) == figures(after)
    assert all(module.training for module in small.modules())
    assert not [name for name, _ in small.named_modules() if "nni" in name]
    assert all(p.requires_grad and p.grad is None for p in small.parameters())
    remaining = small.get_submodule("conv1").get_parameter("weight").detach()
    assert all(any(torch.equal(item, old) for old in filters) for item in remaining)
    small(batches(1)[0][0]).square().sum().backward()


@needs_nni
@pytest.mark.parametrize("name", ["resnet20", "resnet18", "mobilenet_v2", "googlenet"])
def test_nni_and_torch_pruning_remove_the_same_channels(
    name: str, trained: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network = trained(name)
    before, after = halved(network)
    with caplog.at_level(logging.INFO, "paredown"):
        small = prune(copy.deepcopy(network), before, after, "nni-l1", IMAGES, [])
    assert "removed by NNI's ModelSpeedup" in caplog.text
    with quiet_nni():
        tensors = chosen_channels(network, before, after.sizes, "nni-l1", [])
    scores = {network.get_submodule(before.roots[group]): mask for group, mask in tensors.items()}
    roots = {before.roots[group]: size for group, size in after.sizes.items()}
    other = remove_channels(
        network, IMAGES, roots, lambda group: scores[group[0].dep.target.module]
    )
    ours, nnis = other.state_dict(), small.state_dict()
    assert ours.keys() == nnis.keys()
    assert all(torch.equal(tensor, nnis[key]) for key, tensor in ours.items())
    assert str(small) == str(other)  # strides, paddings, epsilons
    images = batches(1)[0][0]
    assert torch.equal(small(images), other(images))


@needs_nni
def test_what_model_speedup_cannot_follow_torch_pruning_cuts(
    trained: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network = trained("resnet8")
    plan = Plan.of({"block": {"stage2": "separable+se"}, "prune": {"stage2": 0.5}})
    before = trace_with_groups(network, IMAGES)
    blocks = predict_graph(before, plan, Phase.STRUCTURE)
    network = apply_phase(network, before, plan, Phase.STRUCTURE, ApplyContext(IMAGES))
    after = predict_graph(before, plan)
    with caplog.at_level(logging.INFO, "paredown"):
        small = prune(network, blocks, after, "nni-l1", IMAGES, [])
    assert "were removed by Torch-Pruning" in caplog.text
    assert figures(trace(small, IMAGES)) == figures(after)


@needs_nni
def test_l1_keeps_the_filters_of_largest_norm(trained: Network) -> None:
    network = trained("resnet8")
    before, _ = halved(network)
    with quiet_nni():
        tensors = chosen_channels(network, before, {"layer1.0.conv1": 5}, "nni-l1", [])
    norms = network.get_submodule("layer1.0.conv1").get_parameter("weight").abs().sum((1, 2, 3))
    assert set(tensors["layer1.0.conv1"].nonzero().flatten().tolist()) == set(
        norms.topk(5).indices.tolist()
    )


@needs_nni
def test_tied_channels_are_judged_by_all_that_write_them(trained: Network) -> None:
    network = trained("resnet8")
    before, _ = halved(network)
    assert before.groups["conv1"].size == 16
    with quiet_nni():
        tensors = chosen_channels(network, before, {"conv1": 8}, "nni-l1", [])
    norms = sum(
        network.get_submodule(name).get_parameter("weight").detach().abs().sum((1, 2, 3))
        for name in ("conv1", "layer1.0.conv2")
    )
    assert isinstance(norms, torch.Tensor)
    assert set(tensors["conv1"].nonzero().flatten().tolist()) == set(norms.topk(8).indices.tolist())


@needs_nni
def test_taylor_keeps_what_the_loss_feels(trained: Network) -> None:
    network = trained("resnet8")
    before, _ = halved(network)
    with quiet_nni():
        tensors = chosen_channels(network, before, {"layer1.0.conv1": 5}, "nni-taylor", batches(2))
    weight = network.get_submodule("layer1.0.conv1").get_parameter("weight")
    felt = torch.zeros(16)
    for images, labels in batches(2):
        (slope,) = torch.autograd.grad(F.cross_entropy(network(images), labels), weight)
        felt += (slope * weight.detach()).square().sum((1, 2, 3))
    assert set(tensors["layer1.0.conv1"].nonzero().flatten().tolist()) == set(
        felt.topk(5).indices.tolist()
    )


@needs_nni
def test_a_network_without_weights_is_cut_too(traced: Callable[..., tuple[object, ...]]) -> None:
    network = copy.deepcopy(traced("resnet8", SIDE)[0])
    assert isinstance(network, nn.Module)
    images = example_images(3, SIDE)
    before = trace_with_groups(network, images)
    after = predict_graph(before, Plan.of({"prune": {"stage1": 0.5}}))
    assert figures(trace(prune(network, before, after, "nni-l1", images, []), images)) == figures(
        after
    )


# Quantization


def fine_tune(seen: list[torch.Tensor], images: torch.Tensor) -> Callable[[nn.Module], None]:
    """A short training; the last thing it does is to note what the rounding network says."""

    def train(network: nn.Module) -> None:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        for batch, labels in batches(3) * 2:
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network.train()(batch), labels))
            optimizer.step()
        with torch.no_grad():
            seen.append(network.eval()(images))

    return train


def rounded(
    network: nn.Module, bits: dict[str, tuple[int, int]], scales: dict[str, LearnedScales]
) -> nn.Module:
    """A copy that computes with integers' levels, by the convention of `LearnedScales`."""
    network = copy.deepcopy(network).eval()
    for name, own in scales.items():
        layer, high = network.get_submodule(name), 2 ** (bits[name][0] - 1) - 1
        weight = layer.get_parameter("weight")
        if own.weight is not None:
            scale = own.weight.reshape((-1,) + (1,) * (weight.ndim - 1))
            weight.data = (weight.data / scale).round().clamp(-high, high) * scale
        if own.inputs is not None:
            layer.register_forward_pre_hook(level_of(*own.inputs, 2 ** bits[name][1] - 1))
    return network


def level_of(scale: float, zero: int, high: int) -> Callable[..., torch.Tensor]:
    def hook(_: nn.Module, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return (((inputs[0] / scale).round() + zero).clamp(0, high) - zero) * scale

    return hook


def computing(network: nn.Module) -> list[str]:
    return [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@needs_nni
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (4, 32)])
def test_the_scales_mean_what_nni_computed(
    quantizer: str, bits: tuple[int, int], trained: Network
) -> None:
    network = trained("resnet8")
    parameters = list(network.parameters())
    first = [parameter.detach().clone() for parameter in parameters]
    wanted = dict.fromkeys(computing(network), bits)
    images, seen = batches(4)[-1][0], list[torch.Tensor]()
    scales = learned_quantization(
        network, wanted, fine_tune(seen, images), quantizer, [images, images]
    )
    assert all(a is b for a, b in zip(parameters, network.parameters(), strict=True))
    assert all((a - b).abs().max() > 0 for a, b in zip(first, parameters, strict=True))
    assert not [name for name, _ in network.named_modules() if "nni" in name]
    assert not [m for m in network.modules() if "forward" in vars(m)]
    assert scales.keys() == wanted.keys()
    assert all((own.inputs is None) == (bits[1] == 32) for own in scales.values())
    with torch.no_grad():
        ours = rounded(network, wanted, scales)(images)
    # The same but for inputs that fall between two levels to the last bit: NNI adds the zero point
    # before it rounds. One such input may change what is said of its image, slightly.
    apart = (ours - seen[0]).abs().amax(1)
    assert (apart < 1e-4).float().mean() >= 0.75
    assert apart.max() < 0.2 * seen[0].abs().max()


@needs_nni
def test_weights_get_a_scale_each_channel_and_32_bits_are_skipped(trained: Network) -> None:
    network = trained("resnet8")
    wanted = {"conv1": (8, 32), "layer1.0.conv1": (32, 8), "layer1.0.conv2": (32, 32)}
    images = batches(1)[0][0]
    scales = learned_quantization(network, wanted, fine_tune([], images), "nni-qat", [images])
    assert scales.keys() == {"conv1", "layer1.0.conv1"}
    assert scales["conv1"].weight is not None
    assert scales["conv1"].weight.shape == (16,)
    assert scales["layer1.0.conv1"].weight is None
    assert scales["layer1.0.conv1"].inputs is not None
    assert scales["layer1.0.conv1"].inputs[1] == 0  # after a ReLU nothing is below zero


@needs_nni
def test_calibration_alone_gives_the_range(trained: Network) -> None:
    network = trained("resnet8")
    images = batches(1)[0][0]
    before = copy.deepcopy(network.state_dict())
    scales = learned_quantization(network, {"conv1": (8, 8)}, lambda _: None, "nni-qat", [images])
    assert scales["conv1"].inputs is not None
    assert scales["conv1"].weight is not None
    low, high = images.aminmax()
    assert scales["conv1"].inputs[0] == pytest.approx(float(high - low) / 255)
    assert scales["conv1"].inputs[1] == round(float(-low / (high - low)) * 255)
    largest = before["conv1.weight"].abs().amax((1, 2, 3))
    torch.testing.assert_close(scales["conv1"].weight, largest / 127)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@needs_nni
def test_a_broken_training_is_told(trained: Network) -> None:
    def ruin(network: nn.Module) -> None:
        for parameter in network.parameters():
            parameter.data.fill_(torch.nan)

    with pytest.raises(TrainingDiverged, match="scale of conv1 is not"):
        learned_quantization(trained("resnet8"), {"conv1": (8, 8)}, ruin, "nni-lsq", [IMAGES + 1])
