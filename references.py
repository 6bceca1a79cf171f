"""References to user code: `package.module:function` or `path/to/file.py:function`.

A file or module that is imported for what it registers is named without a function.

User code runs only where a reference is written on the command line or in a study file; the colon
marks a name as a reference.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .errors import InputError, UserCodeError, nearest_names

Function = Callable[..., Any]
Loaded = TypeVar("Loaded")

RUNNING: ContextVar[str] = ContextVar("running", default="")
"""Absolute path of the user's file being imported; empty outside of imports."""

_FORM = "package.module:function or path/to/file.py:function"


@dataclass(frozen=True)
class Reference:
    """A reference to a user's function.

    Attributes:
        place: a module's dotted name, or the path of a .py file.
        function: the function's name in that module or file.
    """

    place: str
    function: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Parse "place:function".

        Raises:
            InputError: the text is not a reference.
        """
        place, _, function = text.rpartition(":")
        in_file = place.endswith(".py")
        dotted = all(part.isidentifier() for part in place.split("."))
        if not (place and function.isidentifier() and (in_file or dotted)):
            raise InputError(f"expected {_FORM}, got {text!r}")
        return cls(place, function)

    @property
    def file(self) -> Path | None:
        """The .py file; None for a module."""
        return Path(self.place).expanduser() if self.place.endswith(".py") else None

    @property
    def name(self) -> str:
        """The reference without the file's folder: "nets.py:make"."""
        return f"{self.file.name if self.file else self.place}:{self.function}"

    @property
    def absolute(self) -> str:
        """The reference with an absolute path, valid from any folder."""
        return f"{self.file.absolute() if self.file else self.place}:{self.function}"

    def load(self) -> Function:
        """Import the file or module, once per process, and return the function.

        Raises:
            InputError: no such file, module or function; the message suggests the nearest names.
            UserCodeError: the import failed.
        """
        module = _module_of_file(self.file) if self.file else _module(self.place)
        value = getattr(module, self.function, None)
        if value is None:
            near = nearest_names(self.function, _functions(module))
            raise InputError(f"{self.place} has no {self.function!r}; {near}")
        if not callable(value):
            raise InputError(f"{self.name} is of type {type(value).__name__}; expected a function")
        function: Function = value
        return function


def with_torchvision(load: Callable[[], Loaded]) -> Loaded:
    """Call `load`, which imports user code; retry if torchvision could not be imported.

    torchvision may need the repair in `_torchvision`. Importing it takes a second, which user code
    without torchvision is spared.
    """
    try:
        return load()
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    importlib.import_module("._torchvision", __package__)
    return load()


def is_reference(text: str) -> bool:
    """Whether a name is a reference to code."""
    return ":" in text or text.endswith(".py")


def load_code(place: str) -> ModuleType:
    """Import a file or module, once per process, for what it registers.

    Args:
        place: the path of a .py file, or a module's dotted name.

    Raises:
        InputError: no such file or module.
        UserCodeError: the import failed.
    """
    if place.endswith(".py"):
        return _module_of_file(Path(place).expanduser())
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f"expected path/to/file.py or package.module, got {place!r}")
    return _module(place)


def source_digest(function: Function) -> str:
    """Digest of a function's source file, 12 hexadecimal digits; empty without a file.

    Files in the same folder or below that the file imports names from are included.
    """
    module = sys.modules.get(getattr(inspect.unwrap(function), "__module__", None) or "")
    own = _file_of(function)
    files = sorted({own, *_files_beside(module, Path(own).parent)}) if own and module else [own]
    total = hashlib.sha256()
    try:
        for file in files:
            total.update(Path(file or "").read_bytes())
    except OSError:
        return ""
    return total.hexdigest()[:12]


def _files_beside(module: ModuleType, folder: Path) -> set[str]:
    """The files in a folder, or below it, that define a module's names."""
    waiting, files = [module], set[str]()
    while waiting:
        names = {_module_name(item) for item in list(vars(waiting.pop()).values())}
        for other in filter(None, map(sys.modules.get, sorted(names))):
            file = getattr(other, "__file__", None)
            if file is None or file in files or _is_installed(file):
                continue
            if Path(file).is_relative_to(folder):
                files.add(file)
                waiting.append(other)
    return files


def _module_name(value: object) -> str:
    """The module that a value is or was defined in; empty if unknown."""
    try:
        name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    except Exception:  # placeholders for missing modules may raise anything here
        return ""
    return name if isinstance(name, str) else ""


def parameters_of(function: Function) -> Mapping[str, inspect.Parameter]:
    """A function's parameters by name; empty if it has no signature."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def call(function: Function, name: str, offered: Mapping[str, object], called_with: str) -> Any:
    """Call a user's function with the offered values that it has parameters for.

    Args:
        function: the function to call.
        name: its name in messages.
        offered: parameter -> value.
        called_with: the offered parameters in words; empty if nothing is offered.

    Raises:
        InputError: a required parameter is not offered.
        UserCodeError: the function raised.
    """
    taken = parameters_of(function)
    unknown = [
        parameter.name
        for parameter in taken.values()
        if _is_needed(parameter) and not _by_name(parameter, offered)
    ]
    if unknown:
        noun = "argument" if len(unknown) == 1 else "arguments"
        supplied = f"supplies only {called_with}" if offered else "supplies no arguments"
        raise InputError(
            f"{name} has the required {noun} {' and '.join(unknown)}, but Paredown {supplied}; "
            f"give {'it a default' if len(unknown) == 1 else 'them defaults'}"
        )
    provided = {
        parameter.name: offered[parameter.name]
        for parameter in taken.values()
        if _by_name(parameter, offered)
    }
    with user_code(name, _file_of(function)):
        return function(**provided)


@contextmanager
def user_code(subject: str, file: str | None = None) -> Iterator[None]:
    """Run user code inside; its errors are raised as `UserCodeError`.

    Args:
        subject: the code's name in the message.
        file: the code's file, if known.

    Raises:
        UserCodeError: the code raised.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        raise _failed(subject, error, file) from error


def _file_of(function: Function) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return None


def _is_needed(parameter: inspect.Parameter) -> bool:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variable


def _by_name(parameter: inspect.Parameter, offered: Mapping[str, object]) -> bool:
    return parameter.name in offered and parameter.kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )


def _module_of_file(path: Path) -> ModuleType:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "no such file" if not path.exists() else error.strerror
        raise InputError(f"{path} cannot be read: {reason}") from None
    # The name includes the content: a file edited between two imports is a new module.
    name = f"{path.stem}_{hashlib.sha256(str(path.absolute()).encode() + content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be loaded as Python code")
    _find_also_in(path.absolute().parent)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    running = RUNNING.set(str(path.absolute()))
    try:
        with user_code(str(path), str(path.absolute())):
            with_torchvision(partial(spec.loader.exec_module, module))
    except UserCodeError:
        del sys.modules[name]
        raise
    finally:
        RUNNING.reset(running)
    return module


def _module(name: str) -> ModuleType:
    _find_also_in(Path.cwd())
    try:
        return with_torchvision(partial(importlib.import_module, name))
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"no module {error.name!r} is installed or in {Path.cwd()}; for a file write "
                f"path/to/file.py:function"
            ) from None
        raise _failed(name, error, None) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error, None) from error


def _find_also_in(folder: Path) -> None:
    """Let user code import modules beside it; installed packages take precedence."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _functions(module: ModuleType) -> list[str]:
    return [name for name, item in vars(module).items() if callable(item) and name[:1] != "_"]


def _failed(subject: str, error: BaseException, file: str | None) -> UserCodeError:
    """The error, with the last line of user code in its traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").strip()
        return UserCodeError(subject, error, f"{error.filename}, line {error.lineno}: {text}")
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    theirs = [
        frame for frame in frames if frame.filename == file or not _is_installed(frame.filename)
    ]
    last = (theirs or frames)[-1:]
    where = "".join(f"{frame.filename}, line {frame.lineno}: {frame.line}" for frame in last)
    return UserCodeError(subject, error, where)


def _is_installed(file: str) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    places = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    return file.startswith("<") or any(Path(file).is_relative_to(place) for place in places)
