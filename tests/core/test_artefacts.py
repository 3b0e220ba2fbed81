"""Artefacts: made once whoever asks, never half there, named by what they depend on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from invbench.core.artefacts import Artefact, cache_folder, fetch

SPAWN = multiprocessing.get_context("spawn")
KEYS = st.dictionaries(
    st.sampled_from(["seed", "model", "data", "recipe"]),
    st.one_of(st.integers(0, 3), st.booleans(), st.text("ab", max_size=2), st.lists(st.integers(0, 1), max_size=2)),
    max_size=4,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def artefact(make: Callable[[], dict[str, Tensor]] | None = None, **key: Any) -> Artefact:
    return Artefact("a test's", key, make or (lambda: {"x": torch.arange(6.0).reshape(2, 3)}))


def counted(key: str, log: Path) -> Artefact:
    """An artefact whose making is slow and leaves a line."""

    def make() -> dict[str, Tensor]:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        return {"maker": torch.tensor([os.getpid()])}

    return artefact(make, key=key)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def _fetch_together(start: Barrier, log: Path, answers: Any) -> None:
    start.wait()
    answers.put(fetch(counted("shared", log))["maker"].item())


def test_two_processes_that_want_it_at_the_same_time_make_it_once(tmp_path: Path) -> None:
    start, answers, log = SPAWN.Barrier(2), SPAWN.Queue(), tmp_path / "made"
    processes = [SPAWN.Process(target=_fetch_together, args=(start, log, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    makers = {answers.get(timeout=120) for _ in processes}
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert lines(log) == [str(maker) for maker in makers]  # one made it, both have it


def _die_while_making(log: Path) -> None:
    def make() -> dict[str, Tensor]:
        log.write_text("begun\n")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    fetch(artefact(make, key="killed"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_maker_that_is_killed_leaves_nothing_and_holds_nobody_up(tmp_path: Path) -> None:
    process = SPAWN.Process(target=_die_while_making, args=(tmp_path / "made",))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert lines(tmp_path / "made") == ["begun"]
    again = artefact(key="killed")
    assert not again.made
    again.path.with_suffix(".123.tmp").write_bytes(b"half")  # as if killed while storing it
    assert torch.equal(fetch(again)["x"], torch.arange(6.0).reshape(2, 3))
    assert [path for path in again.path.parent.iterdir() if path.stem.startswith(again.name)] == [again.path]


def test_the_second_fetch_makes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "made"
    first, second = fetch(counted("k", log)), fetch(counted("k", log))
    assert len(lines(log)) == 1
    assert torch.equal(first["maker"], second["maker"])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(4, 3).t(),
        torch.tensor(2.5),
        torch.zeros(0, 3, 8, 8),
        torch.tensor([1, -(2**62)]),
        torch.tensor([True, False]),
        torch.randn(2, dtype=torch.float64),
        torch.randn(5).to(torch.bfloat16),
        torch.tensor([float("nan"), float("inf"), -0.0]),
        torch.randn(2, requires_grad=True) * 2,
    ],
    ids=lambda tensor: f"{tuple(tensor.shape)}-{tensor.dtype}",
)
def test_what_is_stored_is_what_was_made_bit_for_bit(tensor: Tensor) -> None:
    one = artefact(lambda: {"t": tensor}, key="t")
    for found in (fetch(one)["t"], fetch(one)["t"]):
        assert (found.dtype, found.shape, found.requires_grad) == (tensor.dtype, tensor.shape, False)
        assert torch.equal(torch.nan_to_num(found, 7.0), torch.nan_to_num(tensor.detach(), 7.0))


def test_tensors_that_share_memory_are_stored_each_on_its_own() -> None:
    rows = torch.arange(12.0).reshape(3, 4)
    one = artefact(lambda: {"first": rows[0], "last": rows[1:], "all": rows, "again": rows}, key="rows")
    for found in (fetch(one), fetch(one)):
        assert torch.equal(found["all"], rows)
        assert torch.equal(found["again"], rows)
        assert torch.equal(found["first"], rows[0])
        assert torch.equal(found["last"], rows[1:])


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda whole: b"",
    lambda whole: whole[:4],
    lambda whole: whole[: len(whole) // 2],
    lambda whole: whole[:-1],
    lambda whole: b"not safetensors at all, but long enough to be one",
    lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),  # parses as well
    lambda whole: safetensors.torch.save({"y": torch.zeros(3)}),  # another's
    lambda whole: b"\xff" * len(whole),
    lambda whole: whole[:8] + b"x" + whole[9:],
]


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_file_is_made_again(damage: Callable[[bytes], bytes]) -> None:
    one = artefact(key="damaged")
    fetch(one)
    one.path.write_bytes(damage(one.path.read_bytes()))
    for _ in range(2):
        assert torch.equal(fetch(one)["x"], torch.arange(6.0).reshape(2, 3))


def test_it_is_not_there_until_it_is_whole() -> None:
    seen = []

    def make() -> dict[str, Tensor]:
        seen.append((one.made, list(cache_folder().glob("*.safetensors"))))
        return {"x": torch.ones(1)}

    one = artefact(make, key="slow")
    assert not one.made
    fetch(one)
    assert seen == [(False, [])]
    assert one.made
    assert list(cache_folder().glob("*.safetensors")) == [one.path]
    assert not list(cache_folder().glob("*.tmp"))


def test_a_make_that_fails_leaves_nothing_and_is_tried_again() -> None:
    def make() -> dict[str, Tensor]:
        raise ArithmeticError("the loss is nan")

    with pytest.raises(ArithmeticError, match="the loss is nan"):
        fetch(artefact(make, key="k"))
    assert not artefact(key="k").made
    assert torch.equal(fetch(artefact(key="k"))["x"], torch.arange(6.0).reshape(2, 3))


@settings(deadline=None, max_examples=150)
@given(one=KEYS, other=KEYS)
def test_the_name_is_the_same_exactly_when_the_key_is(one: dict[str, Any], other: dict[str, Any]) -> None:
    as_json = [sorted((k, type(v).__name__, repr(v)) for k, v in key.items()) for key in (one, other)]
    assert (artefact(**one).name == artefact(**other).name) == (as_json[0] == as_json[1])


def test_the_name_says_nothing_of_who_makes_it_or_of_a_key_s_order() -> None:
    one = Artefact("training lenet", {"seed": 0, "data": "ab"}, lambda: {})
    other = Artefact("something else", {"data": "ab", "seed": 0}, lambda: {"x": torch.ones(1)})
    assert one.name == other.name == "37c01a2938f14b8dcac4d7ae"


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("INVBENCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "darwin":
        assert cache_folder() == tmp_path / "home" / "Library" / "Caches" / "invbench"
        return
    assert cache_folder() == tmp_path / "xdg" / "invbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "invbench"
