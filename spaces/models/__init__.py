"""Networks by name. Importing the folder registers them all."""

from . import cifar_resnet, paper_models, torchvision_models
from .model import MODELS, Model, build_model
from .weights import load_weights, read_weights

__all__ = [
    "MODELS",
    "Model",
    "build_model",
    "cifar_resnet",
    "load_weights",
    "paper_models",
    "read_weights",
    "torchvision_models",
]
