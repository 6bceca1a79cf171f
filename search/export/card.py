"""The model card of an exported folder.

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
    "model.pt2": '`torch.export.load("model.pt2").module()` needs only torch.',
    "model.pte": (
        '`executorch.runtime.Runtime.get().load_program("model.pte").load_method("forward")` '
        "runs one image at a time, with XNNPACK on the CPU, on a computer or a phone."
    ),
    "model.safetensors": (
        "`paredown.load(FOLDER)` rebuilds the network from weights and plan, for further training."
    ),
}


_MEANING = {Metric.BALANCED: ", the mean recall over classes"}


def card(data: Mapping[str, Any], plan_in_words: str) -> str:
    """The model card of a manifest, in Markdown."""
    parts = [
        f"# {data['model']} on {data['data']['name']}, compressed",
        _intro(data, plan_in_words),
        "## Task",
        _task(data),
        "## Accuracy",
        _accuracy(data),
        "## Cost",
        _costs(data),
        "## Files",
        _files(data),
        "## Usage",
        _running(data),
        "## Provenance",
        _origin(data),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _intro(data: Mapping[str, Any], plan_in_words: str) -> str:
    return (
        f"Compressed by Paredown for a budget of {data['max_drop']:g} percentage points of "
        f"accuracy. Plan {data['plan_key']}: {plan_in_words}."
    )


def _task(data: Mapping[str, Any]) -> str:
    classes = data["classes"]
    shown = ", ".join(classes[:20]) + (f" and {len(classes) - 20} more" if classes[20:] else "")
    norm = data["normalisation"]
    return (
        f"The network classifies images of {data['channels']} x {data['size']} x {data['size']} "
        f"pixels (channels, height, width) into {len(classes)} classes: {shown}.\n\n"
        "Input: float32 images. Pixels are divided by 255, then normalised per channel with mean "
        f"{norm['mean']} and std {norm['std']}. Output: a score per class; the highest score is "
        "the prediction."
    )


def _accuracy(data: Mapping[str, Any]) -> str:
    search, test = data["accuracy"]["search"], data["accuracy"]["test"]
    contents = data.get("metric", Metric.PLAIN)
    lines = [
        f"In percent of {contents}{_MEANING.get(contents, '')}:",
        "",
        "| split | baseline | this network | drop | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, item in (("search", search), ("test", test)):
        lines.append(
            f"| {name}, {item['images']:,} images | {item['baseline']:.2f} % "
            f"| {item['accuracy']:.2f} % | {item['drop']:+.2f} pp "
            f"| {item['low']:+.2f} to {item['high']:+.2f} pp |"
        )
    certainty, needed = data["certainty"], data["test_images_needed"]
    more = f" About {needed:,} test images would settle it." if certainty == "likely" else ""
    looks = (
        f"The drop on the test split is **{certainty}** for the budget: with 95 % confidence it "
        f"is at most {test['upper_bound']:+.2f} pp.{more} Plans were selected on the search split; "
        f"the study has scored {data['test_looks']} network(s) on the test split."
    )
    lines += ["", looks]
    return "\n".join(lines)


def _costs(data: Mapping[str, Any]) -> str:
    ours, theirs = data["cost"], data["baseline_cost"]
    rows = [
        "| | baseline | this network | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in ("params", "params_effective", "macs", "flops", "flops_effective", "bytes"):
        rows.append(
            f"| {name.replace('_', ', ')} | {theirs[name]:,.0f} | {ours[name]:,.0f} "
            f"| {theirs[name] / ours[name]:.1f} |"
        )
    return "\n".join(rows)


def _files(data: Mapping[str, Any]) -> str:
    rows = [
        "| file | bytes | baseline's | ms, batch 1 | baseline's | agreement | SHA-256 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, file in data["files"].items():
        item = file["checked"]
        rows.append(
            f"| {name} | {item['bytes']:,} | {item['baseline_bytes']:,} | "
            f"{item['milliseconds']:.2f} "
            f"| {item['baseline_milliseconds']:.2f} | {item['agreement']:.1f} % "
            f"| `{file['sha256'][:16]}...` |"
        )
    legend = (
        "Times are medians with one thread on the exporting machine; agreement is the share of "
        "images with the same class from file and network."
    )
    return "\n".join([*rows, "", legend])


def _running(data: Mapping[str, Any]) -> str:
    parts = []
    if "model.onnx" in data["files"]:
        values = data["normalisation"] | {name: data[name] for name in ("channels", "size")}
        parts.append(_ONNX.format(**values, input=INPUT))
    parts += [how for name, how in _TORCH.items() if name in data["files"]]
    return "\n\n".join(parts)


def _origin(entry: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
    data, seeds = entry["data"], entry["seeds"]
    return (
        f"Study `{entry['study']}`; data {data['name']}, fingerprint {data['fingerprint']}; seed "
        f"{seeds['study']}, trained with seed {seeds['network']}; {versions}; {entry['hardware']}."
        f"\n\nLicence: {entry['licence'] or 'not stated; state it here before distribution'}."
    )
