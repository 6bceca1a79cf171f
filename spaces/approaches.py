"""The 28 networks of the paper on which Paredown is based, as plans.

Sobolewski and Szyc: Architecture Optimization Techniques for Convolutional Neural Networks:
Further Experiments and Insights (2024), designed by hand: 15 forms of ResNet-101, 13 of VGG-19.
Each is a plan for the CIFAR form of its model.

The paper counts 2,999,295 parameters for ResNet approach 15. 8,448 of them belong to layers that
its code builds and never runs; the plan has only layers that run, with 2,990,847. VGG approaches 5,
8 and 12 run a batch norm in each Fire module whose output is unused ("published" below): it has
parameters, and fvcore does not count it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import PlanError
from .plan import Plan

Choices = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Approach:
    """One network of the paper.

    Attributes:
        model: the registered model of the plan.
        number: the paper's number.
        plan: the changes to that model.
    """

    model: str
    number: int
    plan: Plan


def find_approach(model: str, number: int) -> Approach:
    """Look up an approach by model ("resnet101" or "resnet101-cifar", likewise VGG-19) and number.

    Raises:
        PlanError: the paper does not cover that model, or has no approach of that number.
    """
    name = model.removesuffix(_FORM)
    if name not in _APPROACHES:
        models = ", ".join(name + _FORM for name in _APPROACHES)
        raise PlanError(f"there are approaches for {models}, not for {model}")
    known = _APPROACHES[name]
    if number not in known:
        raise PlanError(f"{name} has approaches 1 to {len(known)}, got {number}")
    return Approach(name + _FORM, number, Plan.of(known[number]))


def approaches(model: str) -> tuple[Approach, ...]:
    """Return all approaches of a model, in the paper's order."""
    known = _APPROACHES.get(model.removesuffix(_FORM), {})
    return tuple(find_approach(model, number) for number in known)


_FORM = "-cifar"


def _everywhere(stages: int, value: object, stem: object = None) -> dict[str, object]:
    """Choose an option in all stages, and optionally one in the stem."""
    first = {} if stem is None else {"stem": stem}
    return first | {f"stage{number + 1}": value for number in range(stages)}


def _resnet(value: str, strided: str, last: str = "") -> dict[str, object]:
    """Choose a separable stem and a block family, with a variant for strided stages."""
    return {
        "stem": "separable",
        "stage1": value,
        "stage2": strided,
        "stage3": strided,
        "stage4": last or strided,
    }


def _inverted() -> dict[str, object]:
    return _resnet("inverted", "inverted+early")


def _ghost(added: str = "") -> dict[str, object]:
    block = f"ghost-bottleneck{added}"
    return _resnet(block, f"{block}+narrow", block)


_THIN, _THIN_8 = _everywhere(4, "thin"), _everywhere(4, "thin-8", stem="thin-8")
_SHORT = {"stage4": 0.5}

_RESNET101: dict[int, Choices] = {
    1: {},
    2: {"block": _everywhere(4, "fire-bottleneck")},
    3: {"block": _everywhere(4, "nx1-1xn", stem="nx1-1xn")},
    4: {"block": _everywhere(4, "depthwise", stem="separable")},
    5: {"block": _everywhere(4, "shuffle-bottleneck", stem="separable")},
    6: {
        "block": _inverted(),
        "trunk": _THIN,
        "depth": _SHORT,
        "neck": {"head": "inverted+features"},
    },
    7: {
        "block": _inverted(),
        "trunk": _THIN,
        "depth": _SHORT,
        "neck": {"head": "inverted"},
        "head": {"head": "conv+bn+relu6"},
    },
    8: {
        "block": _inverted(),
        "trunk": _THIN,
        "depth": _SHORT,
        "neck": {"head": "conv"},
        "head": {"head": "conv+bn+relu6"},
    },
    9: {
        "block": _inverted(),
        "trunk": _THIN | {"stem": "thin"},
        "depth": _SHORT,
        "neck": {"head": "conv"},
        "head": {"head": "conv+bn+relu6"},
    },
    10: {"block": _ghost(), "trunk": _THIN, "head": {"head": "gap+nobias"}},
    11: {
        "block": _ghost(),
        "trunk": _THIN | {"stem": "thin-8"},
        "depth": _SHORT,
        "head": {"head": "conv+bn+relu6"},
    },
    12: {
        "block": _ghost("+se"),
        "trunk": _THIN | {"stem": "thin-8"},
        "depth": _SHORT,
        "head": {"head": "conv+bn+relu6"},
    },
    13: {
        "block": _ghost("+shuffle"),
        "trunk": _THIN_8,
        "depth": _SHORT,
        "head": {"head": "conv+bn+relu6"},
    },
    14: {
        "block": _ghost("+shuffle+se"),
        "trunk": _THIN_8,
        "depth": _SHORT,
        "head": {"head": "conv+bn+relu6"},
    },
    15: {
        "block": _resnet("dice-bottleneck", "dice-bottleneck+narrow", "dice-bottleneck"),
        "trunk": _THIN,
        "head": {"head": "gap+nobias"},
    },
}


def _vgg(family: str, head: str) -> Choices:
    return {"block": _everywhere(5, family, stem=family), "head": {"head": head}}


_VGG19: dict[int, Choices] = {
    1: {},
    2: {"head": {"head": "gap"}},
    3: _vgg("nx1-1xn", "gap"),
    4: _vgg("separable", "gap"),
    5: _vgg("fire+published", "gap"),
    6: _vgg("fire+depthwise", "gap"),
    7: _vgg("fire+depthwise", "conv+bn"),
    8: _vgg("fire+shuffle+published", "conv+bn"),
    9: _vgg("fire+ghost", "conv"),
    10: _vgg("fire+ghost+shuffle", "conv"),
    11: _vgg("fire+ghost+shuffle+se", "conv"),
    12: _vgg("fire+shuffle+published+se", "conv+bn"),
    13: _vgg("fire+dice", "conv+bn"),
}

_APPROACHES = {"resnet101": _RESNET101, "vgg19": _VGG19}
