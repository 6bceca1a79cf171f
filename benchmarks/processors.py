"""Check and time training on other processors.

Older processors are emulated by environment variables for oneDNN and torch, each in separate
processes. On each, random convolutions are computed forward and backward as in training (float32,
and bfloat16 where it is in hardware) and compared with torch's float64; then the first ones without
Paredown's workarounds, where a process that dies is restarted after the convolution that killed it.
ResNet-20 is trained on one thread in each variant, in turns: medians over rounds of CPU time per
step, and of ratios within a round.

    python benchmarks/processors.py --draws 2000 --rounds 12
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from paredown.benchmarks.common import environment, table, write_result
from paredown.objectives.training.convolution_checks import (
    BOUNDS,
    HEAP_CHECKS,
    KNOWN,
    PLAYED,
    drawn,
    fault_of,
    in_training,
)
from paredown.objectives.training.device import hardware
from paredown.safe_convolutions import safe_convolutions
from paredown.spaces.models import build_model

BATCH, SIZE, SEED = 128, 32, 2026
_PATIENCE = 600
"""Time limit of a child in seconds: after memory corruption it may hang."""

WAYS: Mapping[str, tuple[torch.memory_format, bool, bool]] = {
    "contiguous": (torch.contiguous_format, False, False),
    "channels_last": (torch.channels_last, False, False),
    "channels_last, safe": (torch.channels_last, True, False),
    "bfloat16": (torch.channels_last, False, True),
    "bfloat16, safe": (torch.channels_last, True, True),
}
"""A training variant: memory format, inside `safe_convolutions` or not, bfloat16 or not."""


def child_check(draws: int, first: int, safe: bool) -> None:
    """Check convolutions from an index on; prints a JSON line before each, and one per fault."""
    cases = in_training((*KNOWN, *islice(drawn(SEED), draws)))
    for number, case in islice(enumerate(cases), first, None):
        print(json.dumps({"at": number, "case": str(case)}), flush=True)
        if fault := fault_of(case, safe):
            print(json.dumps({"fault": fault}), flush=True)


def child_speed(rounds: int) -> None:
    """Time training steps, all variants in turns; prints a JSON line."""
    torch.manual_seed(SEED)
    first = build_model("resnet20", 10, 3).train()
    images, labels = torch.randn(BATCH, 3, SIZE, SIZE), torch.randint(0, 10, (BATCH,))
    networks = {way: copy.deepcopy(first).to(memory_format=WAYS[way][0]) for way in WAYS}  # type: ignore[call-overload]
    optimizers = {
        way: torch.optim.SGD(item.parameters(), 0.01, 0.9) for way, item in networks.items()
    }
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, (memory_format, safe, narrow) in WAYS.items():
            begun = time.process_time()
            shown = images.contiguous(memory_format=memory_format)
            with safe_convolutions(networks[way]) if safe else nullcontext():
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    loss = F.cross_entropy(networks[way](shown).float(), labels)
                optimizers[way].zero_grad()
                torch.autograd.backward(loss)
            optimizers[way].step()
            if number:  # the first round is warm-up
                times[way].append(time.process_time() - begun)
    print(json.dumps({"hardware": hardware(), "seconds": times}))


def child(setting: str, *options: str, checked: bool = False) -> tuple[int, list[dict[str, Any]]]:
    """Run this script as another processor; its exit status (negative: a signal) and lines."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **PLAYED[setting]}
    environment |= HEAP_CHECKS if checked else {}
    command = [sys.executable, __file__, "--child", *options]
    try:
        ran = subprocess.run(
            command,
            env=environment,
            timeout=_PATIENCE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        status, text = ran.returncode, ran.stdout
    except subprocess.TimeoutExpired as late:
        status, text = -9, late.stdout or b""
    return status, [json.loads(line) for line in text.decode().splitlines() if line]


def checked(setting: str, draws: int, safe: bool) -> dict[str, Any]:
    """Check all convolutions on one processor; those that killed a process, and wrong ones."""
    first, died, wrong = 0, list[str](), list[str]()
    total = 0
    while True:
        options = ["--draws", str(draws), "--first", str(first), *(["--safe"] if safe else [])]
        status, lines = child(setting, "check", *options, checked=True)
        wrong += [line["fault"] for line in lines if "fault" in line]
        places = [line for line in lines if "at" in line]
        total += len(places)
        if status == 0:
            return {"convolutions": total, "died": died, "wrong": wrong}
        if not places:
            raise RuntimeError(f"the check does not start as {setting}: status {status}")
        died.append(f"status {status}: {places[-1]['case']}")
        first = places[-1]["at"] + 1


def speeds(setting: str, rounds: int) -> dict[str, Any]:
    """Images per second of each variant on one processor, and the speed-up over contiguous."""
    status, lines = child(setting, "speed", "--rounds", str(rounds))
    if status:
        raise RuntimeError(f"training as {setting} died: status {status}")
    times = lines[-1]["seconds"]
    return {
        "hardware": lines[-1]["hardware"],
        "ways": {
            way: {
                "images_per_second": round(BATCH / median(seconds), 1),
                "against_contiguous": _ratio(times["contiguous"], seconds),
                "against_channels_last": _ratio(times["channels_last"], seconds),
                "seconds": [round(item, 4) for item in seconds],
            }
            for way, seconds in times.items()
        },
    }


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return round(median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def check_rows(results: Mapping[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row per processor."""
    for setting, data in results.items():
        cells = list[str]()
        for safe in ("unsafe", "safe"):
            cells.append(str(data[safe]["convolutions"]))
            cells += [str(len(data[safe][fault])) for fault in ("died", "wrong")]
        yield [setting, *cells]


def speed_rows(results: Mapping[str, dict[str, Any]]) -> Iterator[list[str]]:
    """A row per processor."""
    for setting, data in results.items():
        ways = data["ways"].values()
        cells = (
            f"{way['images_per_second']:.0f} ({way['against_contiguous']:.2f})" for way in ways
        )
        yield [f"{setting} ({data['hardware']})", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description="Check and time training on other processors.")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--draws-without", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--child", choices=("check", "speed"), help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--safe", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.child == "check":
        child_check(arguments.draws, arguments.first, arguments.safe)
    elif arguments.child == "speed":
        child_speed(arguments.rounds)
    else:
        measure(arguments.draws, arguments.draws_without, arguments.rounds)


def measure(draws: int, draws_without: int, rounds: int) -> None:
    """Check and time all processors, print two tables and write the result."""
    faults = {
        setting: {
            "safe": checked(setting, draws, safe=True),
            "unsafe": checked(setting, draws_without, safe=False),
        }
        for setting in PLAYED
    }
    results = {setting: speeds(setting, rounds) for setting in PLAYED}
    head = ["processor", "without: convolutions", "died", "wrong", "with: convolutions"]
    head += ["died", "wrong"]
    print(table(head, list(check_rows(faults))), end="\n\n")
    print(table(["images per CPU second", *WAYS], list(speed_rows(results))))
    result = {
        "draws": draws,
        "draws_without": draws_without,
        "rounds": rounds,
        "seed": SEED,
        "bounds": {str(dtype): bound for dtype, bound in BOUNDS.items()},
        "training": {"model": "resnet20", "batch": BATCH, "image": [3, SIZE, SIZE]},
        "surroundings": environment(),
        "checks": faults,
        "speed": results,
    }
    print(f"written to results/{write_result('processors', result).name}")


if __name__ == "__main__":
    main()
