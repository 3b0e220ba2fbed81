"""Fixtures that every test may use."""

from __future__ import annotations

import compileall
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from command_line import Finished, FinishedRun, invbench, write_small
from filelock import FileLock
from hypothesis import settings
from their_attacks import BAD_ATTACK, WAITING, install

settings.register_profile("ci", derandomize=True)  # a change fails for what it changed, not for what was drawn
if os.environ.get("CI"):
    settings.load_profile("ci")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # torch is loaded already, and has read its variable


def pytest_configure(config: pytest.Config) -> None:
    """Compile invbench once where Python may not keep what it compiles: else each process that tests start does so."""
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).resolve().parents[1] / "invbench", quiet=2)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data beside the checkout; a test that needs it skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data in ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A small finished run, made once by the real command line. Copy it before you change it."""

    def make(folder: Path) -> None:
        write_small(folder)
        done = invbench("run", "small.yaml", "--workers", 2, folder=folder)
        (folder / "done.json").write_text(json.dumps(asdict(done)))

    folder = _once(tmp_path_factory, "finished", make)
    return FinishedRun(folder, Finished(**json.loads((folder / "done.json").read_text())))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the attacks `waiting` and `bad-attack` installed in it."""
    return install(tmp_path / "site", {"waiting": WAITING, "bad-attack": BAD_ATTACK})


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one of the test processes makes and all share."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, made = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
