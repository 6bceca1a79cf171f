"""torchvision's classifiers, under torchvision's names, for RGB images.

The names are read from torchvision's source, because importing it with torch takes two CPU seconds
and every unknown model name needs the list.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

from ...lazy_imports import nn
from .model import MODELS, Model

_TITLE = "torchvision classifier"
_LINK = "https://docs.pytorch.org/vision/stable/models.html"

_REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_DECORATOR = re.compile(r"^@register_model\(", re.MULTILINE)


def model_names() -> list[str]:
    """List torchvision's classifiers alphabetically.

    Equal to `torchvision.models.list_models(module=torchvision.models)`, which is the fallback if
    the source is missing or registers models differently.
    """
    names, decorators = list[str](), 0
    for path in _source_files():
        source = path.read_text(encoding="utf-8")
        names += _REGISTERED.findall(source)
        decorators += len(_DECORATOR.findall(source))
    if names and len(names) == decorators:
        return sorted(names)
    from ..._torchvision import torchvision

    return list(torchvision.models.list_models(module=torchvision.models))


def _source_files() -> list[Path]:
    """List the source files of torchvision's classifiers; empty if torchvision has no files."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    return [file for folder in folders or () for file in Path(folder, "models").glob("*.py")]


def _build(name: str, classes: int) -> nn.Module:
    from ..._torchvision import torchvision

    wanted: dict[str, Any] = {"weights": None, "num_classes": classes}
    builder = torchvision.models.get_model_builder(name)
    class_of_model = inspect.signature(builder).return_annotation
    accepted = inspect.signature(class_of_model).parameters if class_of_model else {}
    if "aux_logits" in accepted:
        wanted["aux_logits"] = False  # auxiliary classifiers, used in training only
    if "init_weights" in accepted:
        wanted["init_weights"] = True
    network: nn.Module = builder(**wanted)
    return network


def _model(name: str) -> Model:
    return Model(
        name=name,
        title=_TITLE,
        build=lambda classes, _: _build(name, classes),
        channels=3,
        link=_LINK,
    )


for _name in model_names():
    MODELS.register(_model(_name))
