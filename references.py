"""The user's own code, by name: `package.module:function` or `path/to/file.py:function`.

Code that is run for what it registers is named without a function.

Nothing else that a user gives makes code run: the reference is typed, on a command line or in a
study file, and says by its colon that it is one.
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
"""The user's file that is being run, absolute; empty if none is."""

_FORM = "package.module:function or path/to/file.py:function"


@dataclass(frozen=True)
class Reference:
    """A function of the user's.

    Attributes:
        place: a module's dotted name, or the path of a file that ends in .py.
        function: its name there.
    """

    place: str
    function: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Reads "place:function".

        Raises:
            InputError: it is none.
        """
        place, _, function = text.rpartition(":")
        in_file = place.endswith(".py")
        dotted = all(part.isidentifier() for part in place.split("."))
        if not (place and function.isidentifier() and (in_file or dotted)):
            raise InputError(f"expected {_FORM}, got {text!r}")
        return cls(place, function)

    @property
    def file(self) -> Path | None:
        """The file, if it is in one that was named."""
        return Path(self.place).expanduser() if self.place.endswith(".py") else None

    @property
    def name(self) -> str:
        """The same wherever the file lies: "nets.py:make"."""
        return f"{self.file.name if self.file else self.place}:{self.function}"

    @property
    def absolute(self) -> str:
        """The reference as it can be used from another folder."""
        return f"{self.file.absolute() if self.file else self.place}:{self.function}"

    def load(self) -> Function:
        """The function. Its file or module is run, unless it was before.

        Raises:
            InputError: there is no such file, module or function; with the nearest names.
            UserCodeError: running it failed.
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
    """What `load` gives, which runs code of the user's; once more if torchvision kept it from that.

    torchvision may need help before it can be imported: see `_torchvision`. That takes a second,
    and code of the user's may well do without it.
    """
    try:
        return load()
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    importlib.import_module("._torchvision", __package__)
    return load()


def is_reference(text: str) -> bool:
    """Whether a name is meant as a reference to code."""
    return ":" in text or text.endswith(".py")


def load_code(place: str) -> ModuleType:
    """Run a file or module, unless it was before, for what it registers.

    Args:
        place: the path of a file that ends in .py, or a module's dotted name.

    Raises:
        InputError: there is none.
        UserCodeError: running it failed.
    """
    if place.endswith(".py"):
        return _module_of_file(Path(place).expanduser())
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f"expected path/to/file.py or package.module, got {place!r}")
    return _module(place)


def source_digest(function: Function) -> str:
    """12 hexadecimal digits over the file that a function is from; empty if it is from none.

    What the file imports from beside it counts too, as far as its names lead there.
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
    """The files in a folder, or below it, that a module's names come from."""
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
    """The module that a value is, or comes from; empty if it does not say."""
    try:
        name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    except Exception:  # whatever a stand-in for a missing module raises
        return ""
    return name if isinstance(name, str) else ""


def parameters_of(function: Function) -> Mapping[str, inspect.Parameter]:
    """What a function takes, by name; empty for one that does not say."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def call(function: Function, name: str, offered: Mapping[str, object], called_with: str) -> Any:
    """Call a user's function with those of the offered values that it has parameters for.

    Args:
        function: to call.
        name: of it, for messages.
        offered: parameter -> value.
        called_with: the same in words; empty if nothing is offered.

    Raises:
        InputError: it needs something that is not offered.
        UserCodeError: it failed.
    """
    taken = parameters_of(function)
    unknown = [
        parameter.name
        for parameter in taken.values()
        if _is_needed(parameter) and not _by_name(parameter, offered)
    ]
    if unknown:
        how = (
            f"with {called_with} if it takes them; give the others" if offered else "as it is; give"
        )
        raise InputError(
            f"{name} needs {' and '.join(unknown)}, which nobody gives: a function is called {how} "
            "defaults"
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
    """Runs code of the user's inside.

    Args:
        subject: is done, for the message.
        file: that it is from, if that is known.

    Raises:
        UserCodeError: it failed.
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
        reason = "there is no such file" if not path.exists() else error.strerror
        raise InputError(f"{path} cannot be read: {reason}") from None
    # A file that was changed meanwhile, as in a notebook, is another module.
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
                f"no module {error.name!r}, neither installed nor in {Path.cwd()}; for a file "
                f"write path/to/file.py:function"
            ) from None
        raise _failed(name, error, None) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error, None) from error


def _find_also_in(folder: Path) -> None:
    """Let the user's code import what lies beside it; what is installed comes first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _functions(module: ModuleType) -> list[str]:
    return [name for name, item in vars(module).items() if callable(item) and name[:1] != "_"]


def _failed(subject: str, error: BaseException, file: str | None) -> UserCodeError:
    """The error with the last line of the user's own code that led to it."""
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
    """Whether a file is Python's own, or one of a package that was installed."""
    places = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    return file.startswith("<") or any(Path(file).is_relative_to(place) for place in places)
