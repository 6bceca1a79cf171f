"""Facts for an issue report: versions, processor, devices, storage, cache and extras."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ...extras import PACKAGES, missing_packages
from ...objectives.training.cache import DEFAULT_LIMIT, Cache
from ...objectives.training.device import best_device, has_bf16
from ...version import __version__
from ..study.storage import shown_url, sqlite_path

_VERSIONS = ("torch", "torchvision", "torch-pruning", "optuna", "numpy", "scipy", "scikit-learn")
_OPTIONAL = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "timm": ("timm",)}
_INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
)
_SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "PAREDOWN_CACHE",
    "PYTORCH_ALLOC_CONF",
)
"""Environment variables that results or speed may depend on."""

_GIB = 2**30


@dataclass(frozen=True)
class Fact:
    """One line of the output: topic, name and value."""

    topic: str
    name: str
    value: str


def environment(url: str) -> list[Fact]:
    """All facts, in the order of the output.

    Args:
        url: URL of the storage.
    """
    return [*_versions(), *_machine(), *_places(url), *_extras(), *_settings()]


def _versions() -> Iterator[Fact]:
    yield Fact("versions", "paredown", __version__)
    yield Fact("versions", "python", platform.python_version())
    for package in (*_VERSIONS, *(name for names in _OPTIONAL.values() for name in names)):
        try:
            yield Fact("versions", package, version(package))
        except PackageNotFoundError:
            continue


def _machine() -> Iterator[Fact]:
    yield Fact("machine", "system", f"{platform.system()} {platform.release()}")
    yield Fact("machine", "processor", f"{_processor()}, {os.cpu_count()} cores")
    known = _instructions()
    if known:
        has = [name for name in _INSTRUCTIONS if name in known]
        yield Fact("machine", "instructions", ", ".join(has) or "none beyond SSE")
    yield Fact(
        "machine",
        "torch uses",
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
    )
    device = best_device()
    yield Fact(
        "machine",
        "trains on",
        f"{_device_name(device)} in {'bfloat16' if has_bf16(device) else 'float32'}",
    )
    yield Fact("machine", "memory", _memory())


def _places(url: str) -> Iterator[Fact]:
    path = sqlite_path(url)
    there = "" if path is None or path.exists() else " (does not exist yet)"
    yield Fact("places", "storage", shown_url(url) + there)
    cache = Cache()
    taken = sum(map(_size, cache.folder.glob("*.safetensors")))
    yield Fact(
        "places", "cache", f"{cache.folder}, {taken / _GIB:.2f} of {DEFAULT_LIMIT / _GIB:.0f} GiB"
    )
    free = shutil.disk_usage(_existing(cache.folder)).free
    yield Fact("places", "free disk", f"{free / _GIB:.1f} GiB at the cache")


def _extras() -> Iterator[Fact]:
    for extra in PACKAGES:
        missing = missing_packages(extra)
        text = f"missing {', '.join(missing)}: pip install 'paredown[{extra}]'"
        yield Fact("extras", extra, text if missing else "installed")


def _settings() -> Iterator[Fact]:
    for name in _SETTINGS:
        if name in os.environ:
            yield Fact("settings", name, os.environ[name])


def _processor() -> str:
    named = _cpuinfo("model name")
    return named or platform.processor() or platform.machine()


def _instructions() -> set[str]:
    return set(_cpuinfo("flags").split())


def _cpuinfo(key: str) -> str:
    """A value of the first processor in /proc/cpuinfo; empty on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key)
    return next(values, "")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * size
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{pages * size / _GIB:.1f} GiB, {free / _GIB:.1f} GiB unused"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a running search may have evicted it
        return 0


def _existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
