"""torchvision's classifiers, by their names there. They take RGB images."""

import inspect
from typing import Any

from torch import nn

from ..._torchvision import torchvision
from .model import MODELS, Model

_TITLE = "torchvision's classifier"
_LINK = "https://docs.pytorch.org/vision/stable/models.html"


def _build(name: str, classes: int) -> nn.Module:
    wanted: dict[str, Any] = {"weights": None, "num_classes": classes}
    builder = torchvision.models.get_model_builder(name)
    class_of_model = inspect.signature(builder).return_annotation
    accepted = inspect.signature(class_of_model).parameters if class_of_model else {}
    if "aux_logits" in accepted:
        wanted["aux_logits"] = False  # training aids that are no part of what ships
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


for _name in torchvision.models.list_models(module=torchvision.models):
    MODELS.register(_model(_name))
