"""PyTorch's compiler (`torch._dynamo`, and sympy with it), loaded where something compiles and not before.

Derivatives by `torch.func` ask it for one thing, that compiled autograd be off meanwhile, and loading it for that takes
a process two seconds and 100 MB. Where it is not loaded nothing can have put compiled autograd on.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_NAME = "torch._dynamo"


def load_compiler_late() -> None:
    """From now on `torch._dynamo` is loaded with the first of its names that is asked for, but for that one."""
    import torch

    if _NAME not in sys.modules:
        torch._dynamo = _Later()  # type: ignore[assignment]  # importing the module puts it in this place


class _Later:
    """Stands where `torch._dynamo` will stand."""

    def __getattr__(self, name: str) -> Any:
        if name == "compiled_autograd" and _NAME not in sys.modules:
            return _CompiledAutograd()
        return getattr(importlib.import_module(_NAME), name)


class _CompiledAutograd:
    """Stands for `torch._dynamo.compiled_autograd`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(f"{_NAME}.compiled_autograd"), name)

    def _disable(self) -> AbstractContextManager[None]:
        return nullcontext()
