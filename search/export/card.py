"""The model card of an exported folder: what it is and how to run it, for people.

After Mitchell et al. 2019, "Model Cards for Model Reporting", https://arxiv.org/abs/1810.03993.
"""

from collections.abc import Mapping
from typing import Any

from ...objectives.accuracy.scoring import Metric
from ..onnx.writing import INPUT

CARD = "MODEL_CARD.md"

_ONNX = """\
```python
import json
import numpy
import onnxruntime

manifest = json.load(open("manifest.json"))
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])

def classify(pixels):
    \"\"\"uint8 pixels, [batch, {channels}, {size}, {size}] -> names of classes.\"\"\"
    mean = numpy.reshape(numpy.float32({mean}), (-1, 1, 1))
    std = numpy.reshape(numpy.float32({std}), (-1, 1, 1))
    images = (pixels.astype(numpy.float32) / 255 - mean) / std
    (scores,) = session.run(None, {{"{input}": images.astype(numpy.float32)}})
    return [manifest["classes"][best] for best in scores.argmax(1)]
```
"""

_TORCH = {
    "model.pt2": '`torch.export.load("model.pt2").module()` runs with torch alone.',
    "model.pte": (
        '`executorch.runtime.Runtime.get().load_program("model.pte").load_method("forward")` '
        "runs one image at a time, with XNNPACK on the CPU, here as on a phone."
    ),
    "model.safetensors": (
        "`paredown.load(FOLDER)` turns weights and plan back into the network, to train on."
    ),
}


_MEANING = {Metric.BALANCED: ", the mean of the classes' recalls"}


def card(said: Mapping[str, Any], plan_in_words: str) -> str:
    """The card of a manifest."""
    parts = [
        f"# {said['model']} on {said['data']['name']}, pared down",
        _intro(said, plan_in_words),
        "## What it does",
        _task(said),
        "## How good it is",
        _accuracy(said),
        "## What it costs",
        _costs(said),
        "## Files",
        _files(said),
        "## How to run it",
        _running(said),
        "## Where it comes from",
        _origin(said),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _intro(said: Mapping[str, Any], plan_in_words: str) -> str:
    return (
        f"Made by Paredown for a budget of {said['max_drop']:g} percentage points of accuracy. "
        f"Its plan, {said['plan_key']}: {plan_in_words}."
    )


def _task(said: Mapping[str, Any]) -> str:
    classes = said["classes"]
    shown = ", ".join(classes[:20]) + (f" and {len(classes) - 20} more" if classes[20:] else "")
    norm = said["normalisation"]
    return (
        f"It classifies images of {said['channels']} x {said['size']} x {said['size']} pixels "
        f"(channels, height, width) into {len(classes)} classes: {shown}.\n\n"
        "It is given float32 images: pixels are divided by 255, then the mean is subtracted and "
        f"the result divided by the standard deviation, per channel: mean {norm['mean']}, "
        f"std {norm['std']}. Its answer is a score for each class, of which the highest counts."
    )


def _accuracy(said: Mapping[str, Any]) -> str:
    search, test = said["accuracy"]["search"], said["accuracy"]["test"]
    what = said.get("metric", Metric.PLAIN)
    lines = [
        f"In percent of {what}{_MEANING.get(what, '')}:",
        "",
        "| split | baseline | this network | drop | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, one in (("search", search), ("test", test)):
        lines.append(
            f"| {name}, {one['images']:,} images | {one['baseline']:.2f} % "
            f"| {one['accuracy']:.2f} % | {one['drop']:+.2f} pp "
            f"| {one['low']:+.2f} to {one['high']:+.2f} pp |"
        )
    word, needed = said["word"], said["test_images_needed"]
    more = f" Some {needed:,} test images would be needed to know." if word == "likely" else ""
    looks = (
        f"The drop on the test split is **{word}** for the budget: with 95 % confidence it is at "
        f"most {test['at_most']:+.2f} pp.{more} The search chose by the search split; of the test "
        f"split the whole study has used {said['test_looks']} look(s)."
    )
    lines += ["", looks]
    return "\n".join(lines)


def _costs(said: Mapping[str, Any]) -> str:
    ours, theirs = said["cost"], said["baseline_cost"]
    rows = [
        "| | baseline | this network | times less |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in ("params", "params_effective", "macs", "flops", "flops_effective", "bytes"):
        rows.append(
            f"| {name.replace('_', ', ')} | {theirs[name]:,.0f} | {ours[name]:,.0f} "
            f"| {theirs[name] / ours[name]:.1f} |"
        )
    return "\n".join(rows)


def _files(said: Mapping[str, Any]) -> str:
    rows = [
        "| file | bytes | baseline's | ms, batch 1 | baseline's | same answers | SHA-256 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, file in said["files"].items():
        one = file["checked"]
        rows.append(
            f"| {name} | {one['bytes']:,} | {one['baseline_bytes']:,} | {one['milliseconds']:.2f} "
            f"| {one['baseline_milliseconds']:.2f} | {one['agreement']:.1f} % "
            f"| `{file['sha256'][:16]}...` |"
        )
    return "\n".join([*rows, "", "Times are medians with one thread on the machine that wrote it."])


def _running(said: Mapping[str, Any]) -> str:
    parts = []
    if "model.onnx" in said["files"]:
        values = said["normalisation"] | {name: said[name] for name in ("channels", "size")}
        parts.append(_ONNX.format(**values, input=INPUT))
    parts += [how for name, how in _TORCH.items() if name in said["files"]]
    return "\n\n".join(parts)


def _origin(said: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
    data, seeds = said["data"], said["seeds"]
    return (
        f"Study `{said['study']}`; data {data['name']}, fingerprint {data['fingerprint']}; seed "
        f"{seeds['study']}, trained with seed {seeds['network']}; {versions}; {said['hardware']}."
        f"\n\nLicence: {said['licence'] or 'not stated; say it here before you pass it on'}."
    )
