"""timm's image models, as `timm:NAME`, with random weights.

Wightman: PyTorch Image Models, https://github.com/huggingface/pytorch-image-models. Requires the
extra `timm`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from ...errors import UnknownName
from ...extras import require_extra
from ...lazy_imports import nn
from ...references import with_torchvision
from .model import Model

PREFIX = "timm:"

_LINK = "https://huggingface.co/docs/timm"


def find(name: str) -> Model:
    """Look up a model of timm by "timm:NAME".

    Raises:
        InputError: timm is not installed.
        UnknownName: timm has no such model.
    """
    require_extra("timm", f"the model {name}")
    timm = with_torchvision(partial(import_module, "timm"))
    plain = name.removeprefix(PREFIX)
    if not timm.is_model(plain):
        known = [f"{PREFIX}{item}" for item in timm.list_models()]
        raise UnknownName("model", name, known)

    def build(classes: int, channels: int) -> nn.Module:
        wanted: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
        network: nn.Module = timm.create_model(plain, pretrained=False, **wanted)
        return network

    return Model(name=name, title="a model of timm", build=build, channels=None, link=_LINK)
