"""Tasks that workers call by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from invbench.core import artefacts, progress


def double(number: int) -> int:
    return 2 * number


def fail(words: str) -> NoReturn:
    raise ValueError(words)


def leave(code: int) -> NoReturn:
    os._exit(code)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def die_once(mark: Path, number: int) -> int:
    """Die by this signal, but the first time only."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), number)
    return os.getpid()


def stamp(file: Path) -> float:
    """Write when it ran, and say it."""
    now = time.monotonic()
    file.write_text(str(now))
    return now


def look(file: Path) -> bool:
    """Whether an earlier task has written its file."""
    return file.exists()


def leave_orphans(folder: Path, signalled: int) -> None:
    """Start a process in a session of its own and one without parents, then end by this signal (0: wait)."""
    own = subprocess.Popen(["sleep", "603"], start_new_session=True).pid
    (folder / "own").write_text(str(own))
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            (folder / "daemon").write_text(str(os.getpid()))
            os.execvp("sleep", ["sleep", "604"])
        os._exit(0)
    while not (folder / "daemon").exists():
        time.sleep(0.01)
    (folder / "worker").write_text(str(os.getpid()))
    if signalled:
        os.kill(os.getpid(), signalled)
    time.sleep(600)


def threads() -> dict[str, object]:
    """What numerical libraries were told, what torch uses, and which process this is."""
    import torch

    told = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return told | {"torch": torch.get_num_threads(), "process": os.getpid()}


def keep(name: str) -> None:
    """Make an artefact of the cache that holds this process."""
    artefacts.receive(name, str(os.getpid()).encode())


def meet(folder: Path, name: str, others: int) -> str | None:
    """Wait until as many tasks as `others` go on at once, then say which GPU this one is given."""
    (folder / name).touch()
    while len(list(folder.iterdir())) < others:
        time.sleep(0.01)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def climb(steps: int, pause: float) -> int:
    """Report every step."""
    for step in range(steps):
        progress.report("climb", step + 1, steps, objective=1 / (step + 1))
        time.sleep(pause)
    return steps


def wait_for(file: Path) -> int:
    """Write this process into `file`.begun, then wait until the file is there."""
    Path(f"{file}.begun").write_text(str(os.getpid()))
    while not file.exists():
        time.sleep(0.01)
    return os.getpid()


SLOW = ("torch._dynamo", "sympy", "torchvision", "lpips", "scipy.stats", "pandas", "sklearn")
"""Modules that take a process between half a second and three to load."""


def score() -> list[str]:
    """Which of SLOW a process has loaded that takes a derivative and compares pictures."""
    import torch

    from invbench.metrics import lpips, ssim

    torch.func.vmap(torch.func.grad(torch.sum))(torch.ones(2, 3))
    pictures = torch.zeros(1, 3, 32, 32)
    lpips(pictures, pictures)
    ssim(pictures, pictures)
    return [name for name in SLOW if name in sys.modules]


def train() -> list[str]:
    """The same, of one that has an optimiser, which PyTorch guards by its compiler."""
    import torch

    weight = torch.nn.Parameter(torch.ones(()))
    torch.optim.SGD([weight], lr=0.1).step()
    torch.func.grad(torch.sum)(torch.ones(3))
    return [name for name in SLOW if name in sys.modules]
