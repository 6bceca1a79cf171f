"""Check every pruning criterion in every network.

Half of the channels of every stage are removed. Then the network must have the predicted cost,
finite scores and gradients, and the same scores as an ONNX file under onnxruntime. The numbers are
the largest differences of the file's scores, as a share of the largest score.
tests/spaces/test_criteria.py checks a part of this.

    python benchmarks/criteria_conformance.py
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from paredown.benchmarks.common import environment, table, write_result
from paredown.objectives.cost.cost import count, measure
from paredown.search.onnx import OnnxModel, write_onnx
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.criteria import CRITERIA
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.shrink import stages_with_groups
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

SIZES = {
    "resnet20": 32,
    "resnet56": 32,
    "resnet18": 32,
    "resnet101": 32,
    "vgg19_bn": 64,
    "mobilenet_v2": 32,
    "densenet121": 64,
    "googlenet": 64,
    "efficientnet_b0": 32,
}
CLASSES, RATIO = 10, 0.5
_TOLERANCE = 1e-4
"""Largest allowed difference, as a share of the largest score."""


@dataclass(frozen=True)
class Finding:
    """The result of one network under one criterion.

    Attributes:
        cost: whether its cost is the predicted one.
        forward, backward: whether its scores and its gradients are finite, for all parameters.
        onnx: the largest difference from the file's scores, as a share of the largest score.
        pruned_error: the share of the parameters that is left.
        seconds: duration of the pruning.
    """

    model: str
    criterion: str
    cost: bool
    forward: bool
    backward: bool
    onnx: float
    pruned_error: float
    seconds: float

    @property
    def passes(self) -> bool:
        """Whether all checks passed."""
        return self.cost and self.forward and self.backward and self.onnx <= _TOLERANCE

    @property
    def text(self) -> str:
        """The difference of the file's scores, or the failed checks."""
        faults = [name for name in ("cost", "forward", "backward") if not getattr(self, name)]
        return f"{' '.join(faults)} {self.onnx:.0e}{'' if self.passes else ' FAILS'}".strip()


def shown(model: str, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and labels."""
    draw = torch.Generator().manual_seed(batch)
    images = torch.randn(batch, 3, SIZES[model], SIZES[model], generator=draw)
    return images, torch.arange(batch) % CLASSES


def prepared(model: str) -> tuple[nn.Module, Blueprint]:
    """A network with random weights and calibrated batch norms, and its blueprint."""
    torch.manual_seed(0)
    network = build_model(model, CLASSES, 3)
    if model.startswith("vgg"):  # without its hundred million linear weights
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, CLASSES)
    blueprint = trace_with_groups(copy.deepcopy(network).to("meta"), shown(model, 2)[0])
    settle(network, model)
    return network, blueprint


def settle(network: nn.Module, model: str) -> None:
    """Set batch-norm statistics from a few images; the network is left in evaluation mode."""
    network.train()
    with torch.no_grad():
        for batch in (8, 9, 10):
            network(shown(model, batch)[0])
    network.eval()


def find(model: str, criterion: str, network: nn.Module, blueprint: Blueprint) -> Finding:
    """Prune a copy of a network, and check the result."""
    images, labels = shown(model, 4)
    plan = Plan.of(
        {
            "prune": dict.fromkeys(stages_with_groups(blueprint), RATIO),
            "criterion": {"network": criterion},
        }
    )
    cut, began = copy.deepcopy(network), time.perf_counter()
    context = ApplyContext(images[:2], [(images, labels)])
    cut = apply_phase(cut, blueprint, plan, Phase.PRUNE, context)
    seconds, predicted = time.perf_counter() - began, count(predict_graph(blueprint, plan))
    cost = measure(cut, images) == predicted
    settle(cut, model)
    scores = cut.train()(images)
    torch.autograd.backward(F.cross_entropy(scores, labels))
    gradients = [parameter.grad for parameter in cut.parameters()]
    cut.zero_grad()
    return Finding(
        model,
        criterion,
        cost=cost,
        forward=scores.shape == (4, CLASSES) and bool(scores.isfinite().all()),
        backward=all(tensor is not None and bool(tensor.isfinite().all()) for tensor in gradients),
        onnx=file_error(cut.eval(), images),
        pruned_error=predicted.params / count(blueprint).params,
        seconds=seconds,
    )


def file_error(network: nn.Module, images: torch.Tensor) -> float:
    """The largest difference of a file's scores, as a share of the network's largest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.onnx"
        write_onnx(network, images[:2], path)
        got = OnnxModel(path)(images)
    with torch.no_grad():
        wanted = network(images)
    return float((got - wanted).abs().max() / wanted.abs().max())


def grid(findings: Sequence[Finding], models: Sequence[str], criteria: Sequence[str]) -> str:
    """Format the findings as a table, a row per network."""
    texts: Mapping[tuple[str, str], str] = {(f.model, f.criterion): f.text for f in findings}
    return table(
        ["network", *criteria],
        [[model, *(texts[model, criterion] for criterion in criteria)] for model in models],
    )


def main() -> None:
    """Print the table, and write the findings."""
    every = [criterion.name for criterion in CRITERIA if not criterion.info.extra]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA.names, default=every)
    parser.add_argument("--name", default="criteria-conformance", help="name of the JSON file")
    options = parser.parse_args()
    findings = list[Finding]()
    for model in options.models:
        network, blueprint = prepared(model)
        for criterion in options.criteria:
            findings.append(find(model, criterion, network, blueprint))
            print(f"{model}, {criterion}: {findings[-1].text}", flush=True)
    print(grid(findings, options.models, options.criteria))
    passed = sum(finding.passes for finding in findings)
    print(f"{passed} of {len(findings)} passed; tolerance {_TOLERANCE:g}")
    rows = [asdict(finding) | {"passes": finding.passes} for finding in findings]
    data = {"ratio": RATIO, "sizes": SIZES, "tolerance": _TOLERANCE, "passed": passed}
    print(write_result(options.name, environment() | data | {"findings": rows}))


if __name__ == "__main__":
    main()
