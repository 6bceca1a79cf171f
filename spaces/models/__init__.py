"""Models by name, and the user's own. Importing the folder registers all models; torch is imported
only when a model is built."""

from . import builtin_models, torchvision_models
from .brought import brought_model, session_model
from .building import build_model, find_model, own_code
from .in_memory import give
from .model import MODELS, Model
from .weights import load_weights, read_weights

__all__ = [
    "MODELS",
    "Model",
    "brought_model",
    "build_model",
    "builtin_models",
    "find_model",
    "give",
    "load_weights",
    "own_code",
    "read_weights",
    "session_model",
    "torchvision_models",
]
