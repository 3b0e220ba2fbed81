"""The global settings of a process that numbers rest on, each with how it is read and set again."""

from __future__ import annotations

import gc
import locale
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as every_module


@dataclass(frozen=True)
class Setting:
    """`write` is given what `read` gave before; None where nothing can set it again."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None = None


def settings() -> Iterator[Setting]:
    """All of them. A library that a task loads may add to some (the path of modules), which goes, too."""
    yield from _of_torch()
    yield from _of_backends()
    yield from _of_python()
    if os.name == "posix":
        yield from _of_posix()


def _of_torch() -> Iterator[Setting]:
    yield Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("default device", torch.get_default_device, lambda _: torch.set_default_device(None))
    yield Setting("number of threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting("number of threads between operations", torch.get_num_interop_threads)
    yield Setting("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting("inference mode", torch.is_inference_mode_enabled)
    yield Setting("anomaly mode", torch.is_anomaly_enabled, torch.set_anomaly_enabled)
    yield Setting("deterministic mode", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode)
    yield Setting("flushing of denormal numbers", _flushes, torch.set_flush_denormal)
    yield Setting("matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    for device in ("cpu", "cuda"):
        read, write = partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
        yield Setting(f"autocast on {device}", read, write)
    yield Setting("hook of every module", _hooks, _set_hooks)
    yield Setting("function mode of torch", torch._C._len_torch_function_stack)
    yield Setting("dispatch mode of torch", torch._C._len_torch_dispatch_stack)
    yield Setting("level of torch.func", lambda: len(torch._C._functorch.get_interpreter_stack() or ()))
    yield Setting("hook of saved tensors", partial(torch._C._autograd._top_saved_tensors_default_hooks, True))


def _of_backends() -> Iterator[Setting]:
    """Which kernels are taken, and how exactly they compute."""
    backends, precision = torch.backends, ("fp32_precision",)
    reduced = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    known: list[tuple[str, Any, tuple[str, ...]]] = [
        ("backends", backends, precision),
        ("mkldnn", backends.mkldnn, ("enabled", "deterministic", "allow_tf32", *precision)),
        ("mkldnn.matmul", getattr(backends.mkldnn, "matmul", None), precision),
        ("mkldnn.conv", getattr(backends.mkldnn, "conv", None), precision),
        ("cudnn", backends.cudnn, ("enabled", "benchmark", "deterministic", "allow_tf32", *precision)),
        ("cudnn.conv", getattr(backends.cudnn, "conv", None), precision),
        ("cuda.matmul", backends.cuda.matmul, ("allow_tf32", *reduced, *precision)),
        ("opt_einsum", backends.opt_einsum, ("enabled", "strategy")),
    ]
    for place, holder, names in known:
        for name in names:
            try:
                getattr(holder, name)
            except Exception:  # not in this version of torch, or told by another of these
                continue
            yield Setting(f"{place}.{name}", partial(getattr, holder, name), partial(setattr, holder, name))
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        read, write = getattr(backends.cuda, f"{kind}_sdp_enabled"), getattr(backends.cuda, f"enable_{kind}_sdp")
        yield Setting(f"attention kernel {kind}", read, write)


def _of_python() -> Iterator[Setting]:
    yield Setting("error handling of numpy", np.geterr, lambda value: np.seterr(**value))
    yield Setting("working directory", os.getcwd, os.chdir)
    yield Setting("environment", lambda: dict(os.environ), _set_environment)
    yield Setting("path of modules", lambda: list(sys.path), _set_path)
    yield Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit)
    yield Setting("collection of garbage", gc.isenabled, lambda value: gc.enable() if value else gc.disable())
    yield Setting("trace function", sys.gettrace, sys.settrace)
    yield Setting("profile function", sys.getprofile, sys.setprofile)
    yield Setting("standard output", lambda: (sys.stdout, sys.stderr), _set_streams)
    yield Setting("locale", partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL))
    yield Setting("filter that makes warnings errors", _warnings_as_errors, _set_warnings_as_errors)


def _of_posix() -> Iterator[Setting]:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE):
        yield Setting(f"handler of {number.name}", partial(signal.getsignal, number), partial(signal.signal, number))
    yield Setting("alarm", _alarmed, lambda _: signal.setitimer(signal.ITIMER_REAL, 0))
    yield Setting("priority", partial(os.getpriority, os.PRIO_PROCESS, 0))
    if hasattr(os, "sched_getaffinity"):
        yield Setting("choice of cores", partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0))
    import resource  # not on Windows

    for kind in ("AS", "CPU", "DATA", "FSIZE", "NOFILE", "STACK"):
        limit = getattr(resource, f"RLIMIT_{kind}")
        yield Setting(f"limit {kind}", partial(resource.getrlimit, limit), partial(resource.setrlimit, limit))


def _flushes() -> bool:
    """Whether a number below float32's smallest normal one counts as 0."""
    return float(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 0.5) == 0.0


def _hooks() -> dict[str, Any]:
    """What torch calls for every module, by its own names."""
    found = {name: value for name, value in vars(every_module).items() if name.startswith("_global_")}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in found.items()}


def _set_hooks(before: dict[str, Any]) -> None:
    for name, value in before.items():
        if isinstance(value, dict):
            held = getattr(every_module, name)
            held.clear()
            held.update(value)
        else:
            setattr(every_module, name, value)


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _set_streams(before: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = before


def _warnings_as_errors() -> list[Any]:
    return [known for known in warnings.filters if known[0] == "error"]


def _set_warnings_as_errors(before: list[Any]) -> None:
    kept = [known for known in warnings.filters if known[0] != "error"]
    warnings.resetwarnings()
    warnings.filters[:] = [*before, *kept]  # type: ignore[index]


def _alarmed() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0
