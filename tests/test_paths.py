"""Where things are kept: Paredown's own variable, then the XDG specification's, then home."""

from pathlib import Path

import pytest
from paredown.paths import cache_folder


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PAREDOWN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_home_is_the_default(tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / ".cache/paredown"
    assert not cache_folder().exists()


def test_the_shared_folder_comes_before_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/shared")
    assert cache_folder() == Path("/var/shared/paredown")


@pytest.mark.parametrize("path", ["", "relative/cache"])
def test_a_relative_shared_folder_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", path)
    assert cache_folder() == tmp_path / ".cache/paredown"


def test_our_own_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/shared")
    monkeypatch.setenv("PAREDOWN_CACHE", "/var/own")
    assert cache_folder() == Path("/var/own")
    monkeypatch.setenv("PAREDOWN_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"
