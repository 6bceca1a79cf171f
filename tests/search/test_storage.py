"""Storages: what is not Paredown's is neither written to nor shown in full."""

import sqlite3
from pathlib import Path

import pytest
from paredown.errors import StorageError
from paredown.search.study.storage import open_storage, shown_url


@pytest.mark.parametrize("content", [b"", b"notes"])
def test_looking_for_studies_does_not_make_any(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is not an Optuna storage"):
        open_storage(f"sqlite:///{path}", must_exist=True)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "invoices.db"
    with sqlite3.connect(path) as database:
        database.execute("create table invoices (number int)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="no studies at"):
        open_storage(f"sqlite:///{path}", must_exist=True)
    assert path.read_bytes() == before


def test_passwords_are_not_shown() -> None:
    assert "secret" not in shown_url("postgresql://me:secret@db/studies")
    assert shown_url("sqlite:///paredown.db") == "sqlite:///paredown.db"
    with pytest.raises(StorageError) as caught:
        open_storage("nosql://me:secret@db/studies")
    assert "secret" not in str(caught.value)
