"""Time the costing of plans, against counting built networks.

For each model, a thousand plans are drawn from a space and costed by `count(predict(...))`: cold,
which traces every new block that a plan needs, and warm, when all blocks are known. Some of the
plans are also built, and the built networks counted by fvcore and by torch's FlopCounterMode.

Run it as `python benchmarks/costing.py`; see README.md beside it.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from statistics import fmean, median
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from paredown.benchmarks.common import environment, read_result, table, write_result
from paredown.errors import ParedownError
from paredown.objectives.cost.cost import Cost, count
from paredown.objectives.training.device import threads
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.blocks.families import block_graph, variants
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.input_sizes import SCALES
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, Technique, Value
from paredown.spaces.techniques import TECHNIQUES
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SETTINGS = {
    "resnet101@32": ("resnet101", 32),
    "resnet101@224": ("resnet101", 224),
    "resnet101-cifar@32": ("resnet101-cifar", 32),
}
SPACES = ("full", "default")
SEED = 2026  # not a seed that `look_ahead` uses
CLASSES = 10


@dataclass(frozen=True)
class Timing:
    """Milliseconds per plan over all plans.

    Attributes:
        mean, median, p95: wall-clock time.
        cpu_mean, cpu_median, cpu_p95: CPU time of this process.
        cpu_by_tenth: mean CPU time of each tenth of the plans, in the order drawn.
    """

    mean: float
    median: float
    p95: float
    cpu_mean: float
    cpu_median: float
    cpu_p95: float
    cpu_by_tenth: tuple[float, ...]

    @classmethod
    def of(cls, wall: Sequence[float], cpu: Sequence[float]) -> "Timing":
        """Compute the summary from seconds per plan."""
        tenth = max(1, len(cpu) // 10)
        tenths = (fmean(cpu[i : i + tenth]) for i in range(0, len(cpu), tenth))
        return cls(*_figures(wall), *_figures(cpu), tuple(_ms(value) for value in tenths))


def full_options() -> dict[str, tuple[Value, ...]]:
    """All options of every technique: those in its listing, or else its defaults."""
    options: dict[str, tuple[Value, ...]] = {}
    for technique in TECHNIQUES:
        options[technique.name] = technique.default_options()
        if isinstance(technique.neutral, str):
            options[technique.name] = tuple(dict.fromkeys((technique.neutral, *_named(technique))))
    return options | {
        "resolution": (1.0, *SCALES),
        "block": (TECHNIQUES.get("block").neutral, *variants()),
    }


def _named(technique: Technique) -> Iterator[Value]:
    """The options that a technique lists by name; a line of a listing may stand for several."""
    for info in technique.infos():
        with suppress(ParedownError):
            yield technique.parse(info.name)


def forget() -> None:
    """Clear all function caches of Paredown, as in a new process."""
    for name, module in list(sys.modules.items()):
        if name.startswith("paredown."):
            for value in vars(module).values():
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()
    gc.collect()


def timed(tasks: Sequence[Callable[[], object]]) -> tuple[list[float], list[float]]:
    """Seconds of each task: wall clock and CPU time of this process."""
    wall, cpu = list[float](), list[float]()
    for task in tasks:
        wall_begun, cpu_begun = time.perf_counter(), time.process_time()
        task()
        cpu.append(time.process_time() - cpu_begun)
        wall.append(time.perf_counter() - wall_begun)
    return wall, cpu


def repeated(
    tasks: Sequence[Callable[[], object]], times: int, before: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """Like `timed`, with each task's median over repetitions of the whole list."""
    runs = []
    for _ in range(times):
        before()
        runs.append(timed(tasks))
    wall, cpu = zip(*runs, strict=True)
    return [median(pair) for pair in zip(*wall, strict=True)], [
        median(pair) for pair in zip(*cpu, strict=True)
    ]


def built(network: nn.Module, blueprint: Blueprint, plan: Plan, size: int) -> nn.Module:
    """Build the plan's network on the meta device, without bit-widths, which change no MACs."""
    context = ApplyContext(example_images(3, size))
    for phase in (Phase.STRUCTURE, Phase.PRUNE):
        network = apply_phase(network, blueprint, plan, phase, context)
    return network.eval()


def on_cpu(network: nn.Module) -> nn.Module:
    """Materialise the network for fvcore, with zero weights."""
    network = network.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.zero_()
    return network


def fvcore_macs(network: nn.Module, images: torch.Tensor) -> int:
    """MACs of convolutions and linear layers by fvcore; `total()` is called first."""
    analysis = FlopCountAnalysis(network, images)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.total()
    by_operator = analysis.by_operator()
    return int(by_operator["conv"] + by_operator["linear"])


def torch_macs(network: nn.Module, images: torch.Tensor) -> int:
    """MACs by torch's FlopCounterMode: half of its FLOPs."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    return int(counter.get_total_flops()) // 2


def cost_tasks(blueprint: Blueprint, plans: Sequence[Plan]) -> list[Callable[[], Cost]]:
    def task(plan: Plan) -> Callable[[], Cost]:
        return lambda: count(predict_graph(blueprint, plan))

    return [task(plan) for plan in plans]


def counters(
    model: str, size: int, blueprint: Blueprint, plans: Sequence[Plan], times: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Time fvcore and FlopCounterMode on the plans' built networks.

    Raises:
        ValueError: a counter disagrees with Paredown's MACs.
    """
    tasks: dict[str, list[Callable[[], object]]] = {"fvcore": [], "FlopCounterMode": []}
    for plan in plans:
        with torch.device("meta"):
            bare = built(build_model(model, CLASSES, 3), blueprint, plan, size)
            blank = torch.zeros(1, 3, size, size)
        macs = count(predict_graph(blueprint, plan)).macs
        tasks["FlopCounterMode"].append(_checked(torch_macs, bare, blank, macs))
        with torch.device("meta"):
            other = built(build_model(model, CLASSES, 3), blueprint, plan, size)
        images = torch.zeros(1, 3, size, size)
        tasks["fvcore"].append(_checked(fvcore_macs, on_cpu(other), images, macs))
    results = {}
    for name, some in tasks.items():
        some[0]()  # warm-up: set-up of the first call is not timed
        results[name] = repeated(some, times, gc.collect)
    return results


def _checked(
    counter: Callable[[nn.Module, torch.Tensor], int],
    network: nn.Module,
    images: torch.Tensor,
    macs: int,
) -> Callable[[], None]:
    def task() -> None:
        if (counted := counter(network, images)) != macs:
            raise ValueError(f"{counter.__name__} counts {counted:,} MACs, Paredown {macs:,}")

    return task


@dataclass(frozen=True)
class Asked:
    """The number of plans per space, of plans to build, and of repetitions."""

    plans: int
    built: int
    warm_times: int
    cold_times: int


def measure(model: str, size: int, technique: str, settings: Asked) -> dict[str, object]:
    """Measure one model in one space."""
    with torch.device("meta"):
        network = build_model(model, CLASSES, 3)
    blueprint = trace_with_groups(network, example_images(3, size))
    space = Space.of(blueprint, full_options() if technique == "full" else None)
    rng = random.Random(SEED)
    plans = [space.sample(rng) for _ in range(settings.plans)]
    tasks = cost_tasks(blueprint, plans)
    looking = list[float]()

    def make_space() -> None:
        forget()
        begun = time.process_time()
        space.look_ahead()
        looking.append(round(time.process_time() - begun, 2))

    cold = repeated(tasks, settings.cold_times, make_space)
    pieces = block_graph.cache_info().misses
    warm = repeated(tasks, settings.warm_times, gc.collect)
    data: dict[str, object] = {
        **asdict(settings),
        "seed": SEED,
        "surroundings": environment(),
        "log10_of_space": len(str(space.size)) - 1,
        "pieces": pieces,
        "look_ahead_cpu_s": looking,
        "cold_ms": asdict(Timing.of(*cold)),
        "warm_ms": asdict(Timing.of(*warm)),
    }
    if settings.built:
        few = range(0, settings.plans, max(1, settings.plans // settings.built))[: settings.built]
        others = counters(
            model, size, blueprint, [plans[i] for i in few], max(3, settings.cold_times)
        )
        ours = {"cold": cold, "warm": warm}
        for name, (wall, cpu) in others.items():
            data[f"{name}_ms"] = {"median": _ms(median(wall)), "cpu_median": _ms(median(cpu))}
            data[f"{name}_times_slower"] = {
                when: round(median(cpu) / median(seconds[i] for i in few), 1)
                for when, (_, seconds) in ours.items()
            }
    return data


def rows(results: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    """The rows of the table, cold and warm."""
    for (name, item), when in product(results.items(), ("cold", "warm")):
        ours = item[f"{when}_ms"]
        columns = ("mean", "median", "p95", "cpu_mean", "cpu_median", "cpu_p95")
        row = [
            f"{name}, {when}",
            str(item["plans"]),
            *(f"{ours[column]:.2f}" for column in columns),
        ]
        for counter in ("fvcore", "FlopCounterMode"):
            if f"{counter}_ms" in item:
                times, slower = item[f"{counter}_ms"], item[f"{counter}_times_slower"]
                row.append(f"{times['cpu_median']:.0f} ({slower[when]:.1f}x)")
            else:
                row.append("")
        yield row


def _figures(seconds: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    return _ms(fmean(ordered)), _ms(median(ordered)), _ms(ordered[int(0.95 * (len(ordered) - 1))])


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the costing of plans.")
    parser.add_argument("--settings", nargs="+", choices=[*SETTINGS], default=[*SETTINGS])
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=SPACES)
    parser.add_argument("--plans", type=int, default=1000)
    parser.add_argument(
        "--built", type=int, default=10, help="plans to build; 0 skips the comparison"
    )
    parser.add_argument("--warm-times", type=int, default=5)
    parser.add_argument(
        "--cold-times", type=int, default=1, help="cold repetitions; each traces for minutes"
    )
    arguments = parser.parse_args()
    settings = Asked(arguments.plans, arguments.built, arguments.warm_times, arguments.cold_times)
    head = ["ms per plan", "plans", "mean", "median", "p95", "CPU mean", "CPU median", "CPU p95"]
    head += ["fvcore, CPU median", "FlopCounterMode, CPU median"]
    results = read_result("costing")
    with threads(1):
        for kind, setting in product(arguments.spaces, arguments.settings):
            name = f"{setting}, {kind}"
            results[name] = measure(*SETTINGS[setting], kind, settings)
            write_result("costing", results)  # after each setting, so that parts can be rerun
            print(*rows({name: results[name]}), sep="\n", flush=True)
    print(table(head, list(rows(results))))


if __name__ == "__main__":
    main()
