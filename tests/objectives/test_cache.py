"""The cache of networks: what comes back, what counts as nothing, and what never goes wrong."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.training.cache import Cache, cache_key
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "networks")


def some(seed: int = 0, count: int = 100) -> Tensors:
    return {"weight": torch.randn(count, generator=torch.Generator().manual_seed(seed))}


def same(data: Mapping[str, torch.Tensor] | None, other: Mapping[str, torch.Tensor]) -> bool:
    return (
        data is not None
        and data.keys() == other.keys()
        and all(data[n].dtype == other[n].dtype and torch.equal(data[n], other[n]) for n in other)
    )


def files(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


def test_what_goes_in_comes_out(cache: Cache) -> None:
    tensors = {
        "a.weight": torch.randn(3, 4),
        "a.bias": torch.tensor([1e-40, -0.0, torch.inf]),
        "steps": torch.tensor(7),
        "half": torch.randn(5).bfloat16(),
        "kept": torch.tensor([True, False]),
        "none": torch.zeros(0, 3),
    }
    cache.put("one", tensors)
    assert same(cache.get("one"), tensors)
    assert files(cache) == ["one.safetensors"]


def test_networks_come_back_whatever_their_memory_format(cache: Cache) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    cache.put("one", network.state_dict())
    assert same(cache.get("one"), network.state_dict())


def test_a_second_put_replaces_the_first(cache: Cache) -> None:
    cache.put("one", some(0))
    cache.put("one", some(1))
    cache.put("two", some(2))
    assert same(cache.get("one"), some(1))
    assert same(cache.get("two"), some(2))
    assert files(cache) == ["one.safetensors", "two.safetensors"]


def test_what_came_out_is_the_callers_own(cache: Cache) -> None:
    cache.put("one", some())
    first = cache.get("one")
    assert first is not None
    first["weight"].zero_()
    cache.put("one", some(1))  # replaces the file under what was read
    assert not first["weight"].any()
    assert same(cache.get("one"), some(1))


def test_nothing_is_none(cache: Cache) -> None:
    assert cache.get("one") is None
    assert not cache.folder.exists()  # asking makes no folder
    cache.put("one", some())
    assert cache.get("two") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        bytes(100),
        b"PK\x03\x04 a pickle of torch" * 40,
        (2**62).to_bytes(8, "little") + b"{}",
        (9).to_bytes(8, "little") + b'{"a": 1} ',
        b"\xff" * 4096,
    ],
    ids=["empty", "short", "zeros", "zip", "huge header", "foreign header", "ones"],
)
def test_foreign_files_count_as_nothing_and_are_replaced(cache: Cache, content: bytes) -> None:
    cache.folder.mkdir()
    (cache.folder / "one.safetensors").write_bytes(content)
    assert cache.get("one") is None
    cache.put("one", some())
    assert same(cache.get("one"), some())


@given(share=st.floats(0, 0.999))
def test_entries_cut_short_count_as_nothing(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    cache = Cache(tmp_path_factory.getbasetemp() / "cut")
    cache.put("one", some())
    path = cache.folder / "one.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert cache.get("one") is None


def test_a_folder_in_an_entrys_place_counts_as_nothing(cache: Cache) -> None:
    (cache.folder / "one.safetensors").mkdir(parents=True)
    assert cache.get("one") is None
    cache.put("one", some())  # cannot be written, and does not raise
    assert cache.get("one") is None
    assert files(cache) == ["one.safetensors"]


class Died(BaseException):
    """As when the process is interrupted."""


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (OSError(28, "No space left on device"), False),
        (SafetensorError("I/O error: No space left on device (os error 28)"), False),
        (Died(), True),
    ],
)
def test_a_writer_that_fails_midway_leaves_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, error: BaseException, ends: bool
) -> None:
    cache.put("old", some())

    def half(tensors: Tensors, name: Path, metadata: dict[str, str]) -> None:
        save_file(tensors, name)
        name.write_bytes(name.read_bytes()[:50])
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    for key in ("one", "old"):
        if ends:
            with pytest.raises(Died):
                cache.put(key, some(1))
        else:
            cache.put(key, some(1))
    monkeypatch.undo()
    assert files(cache) == ["old.safetensors"]
    assert cache.get("one") is None
    assert same(cache.get("old"), some())


def test_a_full_disk_stops_nothing(cache: Cache) -> None:
    cache.put("one", some())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))  # no file may be larger
    try:
        cache.put("one", some(1, count=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert same(cache.get("one"), some())
    assert files(cache) == ["one.safetensors"]


@pytest.mark.parametrize("inside", [".", "deeper/still"])
def test_a_cache_that_cannot_be_written_keeps_nothing_and_says_nothing(
    tmp_path: Path, inside: str
) -> None:
    (tmp_path / "networks").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "networks" / inside)
    cache.put("one", some())
    assert cache.get("one") is None
    assert (tmp_path / "networks").read_text() == "a file where the folder should be"


def age(cache: Cache, key: str, seconds: float) -> None:
    path = cache.folder / f"{key}.safetensors"
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def room_for(entries: float) -> int:
    """Bytes that so many entries of `some(count=1000)` take; each has a header beside 4000."""
    return int(entries * 4200)


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=room_for(3))
    for number, key in enumerate(("one", "two", "three")):
        cache.put(key, some(number, 1000))
        age(cache, key, 100 - number)
    assert cache.get("one") is not None  # used, and so the youngest
    cache.put("four", some(4, 1000))
    assert files(cache) == ["four.safetensors", "one.safetensors", "three.safetensors"]
    assert cache.get("two") is None


def test_the_limit_holds(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=room_for(2))
    for number in range(6):
        cache.put(f"key{number}", some(number, 1000))
        age(cache, f"key{number}", 100 - number)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= cache.limit
    assert files(cache) == ["key4.safetensors", "key5.safetensors"]


def test_what_is_no_entry_does_not_go(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine" * 10_000)
    cache = Cache(tmp_path, limit=room_for(1))
    cache.put("one", some(1, 1000))
    age(cache, "one", 10)
    cache.put("two", some(2, 1000))
    assert files(cache) == ["notes.txt", "two.safetensors"]


def test_reading_does_not_bring_back_what_another_process_dropped(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put("one", some())

    read_bytes = Path.read_bytes

    def read_then_drop(path: Path) -> bytes:
        data = read_bytes(path)
        path.unlink()  # by another process, which needs the room
        return data

    monkeypatch.setattr(Path, "read_bytes", read_then_drop)
    assert same(cache.get("one"), some())
    assert files(cache) == []


WRITER = """
import sys, torch
from pathlib import Path
from paredown.objectives.training.cache import Cache
cache = Cache(Path(sys.argv[1]))
mine = {"weight": torch.full((200_000,), float(sys.argv[2]))}
for _ in range(40):
    cache.put("one", mine)
    seen = cache.get("one")["weight"]
    assert (seen == seen[0]).all() and seen[0] in (1, 2), "half of each"
"""


def test_two_processes_may_write_the_same_entry(cache: Cache) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(cache.folder), number])
        for number in ("1", "2")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    tensors = cache.get("one")
    assert tensors is not None
    assert tensors["weight"].shape == (200_000,)
    assert files(cache) == ["one.safetensors"]


def test_the_default_folder_is_made_when_first_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    cache = Cache()
    assert not (tmp_path / "cache").exists()
    cache.put("one", some())
    assert (tmp_path / "cache/networks/one.safetensors").is_file()


def test_keys_are_the_same_in_every_process() -> None:
    """A key that changed between runs would lose every network that was trained."""
    plan = {"version": 1, "prune": {"stage1": 0.5}}
    key = cache_key(stage="train", plan=plan, seed=0, weights=None)
    text = '{"plan": {"prune": {"stage1": 0.5}, "version": 1}, "seed": 0, '
    text += '"stage": "train", "weights": null}'
    assert key == hashlib.sha256(text.encode()).hexdigest()[:24] == "cd625a9497fa713b20e63c5e"


def test_keys_do_not_depend_on_order() -> None:
    assert cache_key(a={"x": 1, "y": 2}, b=3) == cache_key(b=3, a={"y": 2, "x": 1})


PARTS = {"plan": {"block": {"stage1": "separable"}}, "seed": 0, "epochs": 3, "weights": None}


@pytest.mark.parametrize(
    "change",
    [
        {"plan": {"block": {"stage1": "nx1-1xn"}}},
        {"plan": {"block": {"stage2": "separable"}}},
        {"plan": {"width": {"stage1": "separable"}}},
        {"plan": {}},
        {"seed": 1},
        {"seed": "0"},
        {"seed": None},
        {"epochs": 4},
        {"epochs": 3.5},
        {"weights": "None"},
        {"more": None},
    ],
    ids=str,
)
def test_keys_depend_on_every_part(change: dict[str, object]) -> None:
    assert cache_key(**(PARTS | change)) != cache_key(**PARTS)


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3))
def test_keys_are_fit_for_file_names(parts: dict[str, object]) -> None:
    key = cache_key(parts=parts)
    assert len(key) == 24
    assert set(key) <= set("0123456789abcdef")


def test_a_flipped_bit_is_noticed(cache: Cache) -> None:
    cache.put("one", {"weight": torch.ones(4)})
    path = cache.folder / "one.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(data)
    assert cache.get("one") is None
