"""The user's own code by name: what is found and called, and how its faults are told."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paredown.errors import InputError, UserCodeError
from paredown.references import Reference, call, is_reference, source_digest

CODE = """
from dataclasses import dataclass

import beside


@dataclass
class Made:
    classes: int = 0


def make(classes):
    return Made(classes)


def fails(classes):
    numbers = []
    return numbers[classes]  # nothing there


def fails_elsewhere():
    return int("a").real, beside


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with code in it, in which we are; what is imported from it is forgotten after."""
    (tmp_path / "nets.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("value = 1\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "inner.py").write_text("def make():\n    return 'inner'\n")
    monkeypatch.chdir(tmp_path)
    places = list(sys.path)
    importlib.invalidate_caches()
    yield tmp_path
    sys.path[:] = places
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_file_and_a_module_are_found(folder: Path) -> None:
    assert Reference.parse("nets.py:make").load()(4).classes == 4
    assert Reference.parse(f"{folder}/nets.py:make").load()(5).classes == 5
    assert Reference.parse("nets:make").load()(6).classes == 6
    assert Reference.parse("pack.inner:make").load()() == "inner"


def test_a_file_runs_once_until_it_changes(folder: Path) -> None:
    file = folder / "counting.py"
    file.write_text("ran = []\ndef make():\n    ran.append(1)\n    return len(ran)\n")
    item = Reference.parse("counting.py:make")
    assert [item.load()(), item.load()()] == [1, 2]
    file.write_text(file.read_text().replace("len(ran)", "-len(ran)"))
    assert item.load()() == -1


def test_names_are_the_same_wherever_the_file_lies(folder: Path) -> None:
    for text in ("nets.py:make", "./nets.py:make", f"{folder}/nets.py:make"):
        reference = Reference.parse(text)
        assert reference.name == "nets.py:make"
        assert Path(reference.absolute.rpartition(":")[0]).samefile(folder / "nets.py")
    assert Reference.parse("pack.inner:make").absolute == "pack.inner:make"


@pytest.mark.parametrize(
    "text", ["nets.py", "nets.py:", ":make", "a b:make", "nets.py:1", "a..b:c", "nets.txt/x:make"]
)
def test_what_is_no_reference_is_told(text: str) -> None:
    assert is_reference(text)
    with pytest.raises(InputError, match=r"expected package\.module:function or path/to/file"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nets.py:mak", "nets.py has no 'mak'; did you mean make?"),
        ("nets.py:number", "nets.py:number is of type int; expected a function"),
        ("nowhere.py:make", "nowhere.py cannot be read: no such file"),
        ("pack.py:make", "pack.py cannot be read: "),
        ("nowhere:make", "no module 'nowhere' is installed or in "),
        ("pack.outer:make", "no module 'pack.outer'"),
    ],
)
def test_what_is_not_there_is_told(text: str, told: str, folder: Path) -> None:
    (folder / "pack.py").mkdir()
    with pytest.raises(InputError, match=told.replace("?", r"\?")) as caught:
        Reference.parse(text).load()
    assert not isinstance(caught.value, UserCodeError)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\nraise OSError('no\\nluck')\n", r"OSError: no luck\n.*bad.py, line 2: raise OSE"),
        ("import nowhere_at_all\n", r"No module named 'nowhere_at_all'\n.*line 1: import nowhere"),
        ("import torch\ntorch.zeros(-1)\n", r"RuntimeError.*\n.*bad.py, line 2: torch.zeros"),
        ("def make(:\n    pass\n", r"SyntaxError.*\n.*bad.py, line 1: def make\(:"),
        ("exit(3)\n", r"SystemExit: 3\n.*bad.py, line 1: exit"),
    ],
)
@pytest.mark.parametrize("text", ["bad.py:make", "bad:make"])
def test_a_file_that_fails_is_told_with_its_line(
    code: str, told: str, text: str, folder: Path
) -> None:
    (folder / "bad.py").write_text(code)
    for _ in range(2):  # nothing half loaded stays behind
        with pytest.raises(UserCodeError, match=told):
            Reference.parse(text).load()


def test_a_function_that_fails_is_told_with_its_line(folder: Path) -> None:
    fails = Reference.parse("nets.py:fails").load()
    with pytest.raises(UserCodeError, match=r"IndexError: .*\n  in .*line 18: return numbers\["):
        call(fails, "nets.py:fails", {"classes": 3}, "classes")
    elsewhere = Reference.parse("nets.py:fails_elsewhere").load()
    with pytest.raises(UserCodeError, match=r"nets.py, line 22: return int"):
        call(elsewhere, "nets.py:fails_elsewhere", {}, "nothing")


def test_functions_are_given_what_they_take() -> None:
    offered = {"classes": 10, "channels": 3}
    assert call(lambda: 1, "f", offered, "") == 1
    assert call(lambda channels=1, other=2: (channels, other), "f", offered, "") == (3, 2)
    assert call(lambda *, classes: classes, "f", offered, "") == 10
    assert call(lambda *args, **more: (args, more), "f", offered, "") == ((), {})
    for needy in (lambda depth: depth, lambda classes, /: classes):
        with pytest.raises(
            InputError, match="supplies only classes and channels; give it a default"
        ):
            call(needy, "f", offered, "classes and channels")


def test_the_digest_covers_what_the_code_is_made_from(folder: Path) -> None:
    name = source_digest(Reference.parse("nets.py:make").load())
    assert name == source_digest(Reference.parse("nets.py:make").load()) != ""
    (folder / "beside.py").write_text("value = 2\n")
    assert source_digest(Reference.parse("nets.py:make").load()) != name
    assert source_digest(len) == ""


def test_code_that_imports_torchvision_before_anything_else_does(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("import torchvision\n\ndef make():\n    return torchvision\n")
    code = "from paredown.references import load_code; print(load_code('nets.py').make().__name__)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "torchvision\n", ran.stderr
