"""Who computes an evaluation of many lanes: torch.func itself, a traced graph, or a compiled one.

A graph gives the same bits as torch.func (`tracing.py`), so when it takes over is a matter of time alone: tracing
costs as much as some 50 to 300 evaluations save, most for small networks, and a graph is for one number of lanes. A
compiled step rounds otherwise; which cells get one follows from their settings (`compiling.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from invbench.core import execution
from invbench.core.memory import is_out_of_memory
from invbench.matching.compiling import Step, compiled, pays_back
from invbench.matching.tracing import Batched, Traced, trace

_WORTH_TRACING = 200
"""Planned evaluations from which the first number of lanes is traced at once."""
_WORTH_COMPILING = 40
"""The same where the graph is to be compiled."""
_SEEN_OFTEN = 150
"""Evaluations after which any number of lanes (others have left) is traced."""
_NOT_WORTH = "steps not compiled: it would take longer than it saves"

Bound = Callable[[Tensor], tuple[Tensor, ...]]
Made = TypeVar("Made")


class Programs:
    """Evaluates `batched(variables, *given)`, `planned` times as far as is known; `notes` say what was done.

    `given` is one tuple for as long as the lanes stay the same: what depends on it alone is computed once.
    """

    def __init__(self, batched: Batched, planned: int = 0) -> None:
        self.notes: list[str] = []
        self._batched, self._planned = batched, planned
        self._execution = execution.current()
        self._traced: dict[int, Traced | None] = {}  # by number of lanes; None where tracing failed
        self._fused: dict[int, Step] = {}  # by number of lanes
        self._done: Counter[int] = Counter()
        self._given: tuple[Tensor, ...] | None = None
        self._bound: Bound | None = None
        self._worth = _WORTH_COMPILING if self._execution.compiles else _WORTH_TRACING
        if self._execution.compiles and planned < self._worth:
            self._note(_NOT_WORTH)

    def evaluate(self, variables: Tensor, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The function's results, detached from the graph."""
        lanes = len(variables)
        if given is not self._given:
            self._given, self._bound = given, None
        if self._bound is None and self._wants_graph(lanes):
            self._bound = self._bind(variables, given)
        self._done[lanes] += 1
        if self._bound is None:
            return tuple(result.detach() for result in self._batched(variables, *given))
        with torch.no_grad():
            return self._bound(variables)

    def _wants_graph(self, lanes: int) -> bool:
        if lanes in self._traced:
            return self._traced[lanes] is not None
        at_once = self._planned >= self._worth and not self._traced
        return at_once or self._done[lanes] >= _SEEN_OFTEN

    def _bind(self, variables: Tensor, given: tuple[Tensor, ...]) -> Bound | None:
        lanes, planned = len(variables), 0 if self._traced else self._planned
        if lanes not in self._traced:
            self._traced[lanes] = self._try("traced", lambda: trace(self._batched, variables, given))
        traced = self._traced[lanes]
        if traced is None:
            return None
        handed = traced.bind(given)
        step = self._fused.get(lanes) or (self._fuse(traced, (variables, *handed), planned) or traced.step)
        return lambda moved: step(moved, *handed)

    def _fuse(self, traced: Traced, inputs: tuple[Tensor, ...], planned: int) -> Step | None:
        """The compiled step, where it is wanted; kept for the next lanes where it does not hold on to these."""
        if not self._execution.compiles:
            return None
        on_cpu = inputs[0].device.type == "cpu"
        if on_cpu and not pays_back(len(traced.step.graph.nodes), planned):
            self._note(_NOT_WORTH)
            return None
        with self._execution.compiling():
            made = self._try("compiled", lambda: compiled(traced.step, inputs))
        if made is None:
            return None
        step, what = made
        self._note(what)
        if on_cpu:
            self._fused[len(inputs[0])] = step
        return step

    def _try(self, what: str, make: Callable[[], Made]) -> Made | None:
        """What `make` gives; where it fails the slower program goes on, and a note says so."""
        try:
            return make()
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self._note(f"steps not {what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            return None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
