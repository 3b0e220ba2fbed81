"""The global settings of a process that numbers rest on, each with how it is read and set again."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as every_module

from invbench.core.process import Setting, of_process


def settings() -> Iterator[Setting]:
    """All of them. A library that a task loads may add to some (the path of modules), which goes, too."""
    yield from _of_torch()
    yield from _of_backends()
    yield from _of_arithmetic()
    yield from of_process()


def _of_torch() -> Iterator[Setting]:
    yield Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("default device", torch.get_default_device, lambda _: torch.set_default_device(None))
    yield Setting("number of threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting("number of threads between operations", torch.get_num_interop_threads)
    yield Setting("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting("inference mode", torch.is_inference_mode_enabled)
    yield Setting("anomaly mode", torch.is_anomaly_enabled, torch.set_anomaly_enabled)
    yield Setting("deterministic mode", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode)
    yield Setting("matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    for device in ("cpu", "cuda"):
        read, write = partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
        yield Setting(f"autocast on {device}", read, write)
    yield Setting("hook of every module", _hooks, _set_hooks)
    yield Setting("function mode of torch", torch._C._len_torch_function_stack)
    yield Setting("dispatch mode of torch", torch._C._len_torch_dispatch_stack)
    yield Setting("level of torch.func", lambda: len(torch._C._functorch.get_interpreter_stack() or ()))
    yield _implementations()
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


def _of_arithmetic() -> Iterator[Setting]:
    """How the processor rounds."""
    yield Setting("error handling of numpy", np.geterr, lambda value: np.seterr(**value))
    yield Setting("flushing of denormal numbers", _flushes, torch.set_flush_denormal)
    library = ctypes.CDLL(None) if os.name == "posix" else None
    told, tell = getattr(library, "fegetround", int), getattr(library, "fesetround", None)
    alone = torch.get_num_threads() == 1  # a thread that was begun meanwhile keeps the mode of whoever began it
    write = (lambda before: tell(before[0])) if alone and tell is not None else None
    yield Setting("rounding of numbers", lambda: (told(), _rounding()), write)


def _flushes() -> bool:
    """Whether a number below float32's smallest normal one counts as 0."""
    return float(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 0.5) == 0.0


def _rounding() -> tuple[float, float, float]:
    """Three sums that no two ways of rounding give alike: halfway above 1, halfway below -1, and a little further."""
    one, half = np.float64(1.0), np.float64(2.0**-53)
    return float(one + half), float(-one - half), float(one + half * np.float64(1.5))


def _implementations() -> Setting:
    """Those of torch's own operators that somebody else has registered since, as `torch.library` keeps them in its book
    (`aten/sigmoid/CPU`). Modules of torch that are loaded late register some, too."""
    known, home = set(torch.library._impls), Path(torch.__file__).parent

    def registered() -> list[str]:
        found = [name for name in torch.library._impls - known if name.startswith("aten/")]
        for name in found:
            operator, key = name.removeprefix("aten/").rsplit("/", 1)
            told = torch._C._dispatch_dump(f"aten::{operator}")  # `CPU: registered at FILE:LINE :: ...`
            if re.search(rf"^{key}(\[alias\])?: registered at {re.escape(str(home))}", told, re.MULTILINE):
                known.add(name)
        return [name for name in found if name not in known]

    return Setting("implementation of an operator of torch", registered)


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
