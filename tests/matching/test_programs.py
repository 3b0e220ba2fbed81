"""Which program evaluates: torch.func, a graph or a compiled step; by settings alone, and never other than it says."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from invbench.core import execution
from invbench.matching import compiling, programs
from invbench.matching.programs import Programs


class Counted:
    """A batched function that counts how often Python runs it: a traced or compiled program does not."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, variables: Tensor, given: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        return (variables * given).sin(), given.exp().sum(dim=1)


def given(lanes: int) -> tuple[Tensor]:
    return (torch.linspace(0, 1, lanes * 3).reshape(lanes, 3),)


def evaluate(made: Programs, times: int, lanes: int = 2) -> None:
    constants = given(lanes)
    for seed in range(times):
        x = torch.randn(lanes, 3, generator=torch.Generator().manual_seed(seed))
        results = made.evaluate(x, constants)
        for result, expected in zip(results, Counted()(x, *constants), strict=True):
            torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(("planned", "calls"), [(0, 10), (199, 10), (200, 1), (5000, 1)])
def test_the_first_number_of_lanes_is_traced_at_once_where_that_pays(planned: int, calls: int) -> None:
    function = Counted()
    evaluate(Programs(function, planned), 10)
    assert function.calls == calls


def test_a_later_number_of_lanes_is_traced_when_it_has_been_seen_often() -> None:
    function = Counted()
    made = Programs(function, 5000)
    evaluate(made, 5, lanes=3)
    evaluate(made, 250, lanes=2)
    assert function.calls == 1 + 150 + 1


def test_other_lanes_of_the_same_number_share_the_graph_but_not_the_constants() -> None:
    function = Counted()
    made = Programs(function, 5000)
    x, (constants,) = torch.randn(2, 3), given(2)
    for scale in (1.0, 2.0, 3.0):
        result, _ = made.evaluate(x, (scale * constants,))
        assert torch.equal(result, (x * (scale * constants)).sin())
    assert function.calls == 1


def test_a_function_that_cannot_be_traced_is_evaluated_all_the_same_and_a_note_says_so() -> None:
    def branching(variables: Tensor, constants: Tensor) -> tuple[Tensor, ...]:
        return (variables * 2 if bool(variables.sum() > 0) else variables * 3,)

    made = Programs(branching, 5000)
    for sign in (1.0, -1.0):
        [result] = made.evaluate(torch.full((2, 3), sign), given(2))
        assert torch.equal(result, torch.full((2, 3), sign * (2 if sign > 0 else 3)))
    assert len(made.notes) == 1
    assert made.notes[0].startswith("steps not traced: ")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("can't allocate memory: 8 bytes")])
def test_memory_that_runs_out_while_tracing_is_not_taken_for_a_function_that_cannot_be_traced(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(programs, "trace", full)
    with pytest.raises(type(error)):
        evaluate(Programs(Counted(), 5000), 1)


def test_compiling_for_a_cpu_has_to_pay_back() -> None:
    assert not compiling.pays_back(nodes=500, evaluations=4801)  # 8 s saved, 45 s spent
    assert compiling.pays_back(nodes=500, evaluations=30_000)
    assert not compiling.pays_back(nodes=2000, evaluations=4801)
    assert compiling.pays_back(nodes=2000, evaluations=15_000)


def test_where_compiling_does_not_pay_back_the_bits_are_those_without_and_a_note_says_why() -> None:
    x = torch.randn(2, 3)
    off = Programs(Counted(), 100).evaluate(x, given(2))
    with execution.using(execution.Settings("on")) as steps:
        made = Programs(Counted(), 100)
        on = made.evaluate(x, given(2))
    assert all(torch.equal(one, two) for one, two in zip(off, on, strict=True))
    assert made.notes == ["steps not compiled: it would take longer than it saves"]
    assert steps.compile_seconds == 0


def test_too_few_evaluations_are_not_compiled_and_a_note_says_why() -> None:
    function = Counted()
    with execution.using(execution.Settings("on")):
        made = Programs(function, 5)
        evaluate(made, 5)
    assert function.calls == 5
    assert made.notes == ["steps not compiled: it would take longer than it saves"]


def test_without_a_compiler_the_traced_steps_go_on_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: Any) -> None:
        raise RuntimeError("No working C++ compiler\nfound")

    monkeypatch.setattr(torch._inductor, "compile", no_compiler)
    function = Counted()
    with execution.using(execution.Settings("on")) as steps:
        made = Programs(function, 10**9)
        evaluate(made, 5)
    assert function.calls == 1
    assert made.notes == ["steps not compiled: RuntimeError: No working C++ compiler found"]
    assert steps.compile_seconds > 0


def test_what_inductor_compiles_is_used_for_every_chunk_of_as_many_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def compile_(step: Any, inputs: list[Tensor]) -> Any:
        compiled.append(len(inputs[0]))
        return lambda *tensors: list(step(*tensors))

    monkeypatch.setattr(torch._inductor, "compile", compile_)
    with execution.using(execution.Settings("on")):
        made = Programs(Counted(), 10**9)
        evaluate(made, 3)
        evaluate(made, 3)
    assert compiled == [2]
    assert made.notes == ["steps compiled by Inductor"]


def test_a_step_that_inductor_compiled_computes_the_same_numbers() -> None:
    with execution.using(execution.Settings("on")) as steps:
        made = Programs(Counted(), 10**9)
        evaluate(made, 3)
    if made.notes != ["steps compiled by Inductor"]:
        pytest.skip(f"this machine compiles nothing: {made.notes}")
    assert steps.compile_seconds > 0


class FakeGraph:
    """What CUDA's graph does, on a CPU: replaying runs the recorded step on the inputs it was recorded with."""

    replayed = 0

    def replay(self) -> None:
        FakeGraph.replayed += 1
        self.again()


def test_a_cuda_graph_is_replayed_on_new_variables_and_hands_out_results_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stream:
        def wait_stream(self, other: Any) -> None: ...

    recorded: list[FakeGraph] = []
    for name, fake in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda _: nullcontext(),
        "CUDAGraph": FakeGraph,
        "graph": lambda graph: nullcontext(recorded.append(graph)),
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    held: list[tuple[Tensor, Tensor]] = []

    def step(x: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        if not held:
            held.append((x, scale))
        return (x * scale,)

    replay = compiling.captured(step, (torch.ones(2), torch.tensor(3.0)))
    output = torch.empty(2)
    first_input, scale = held[0]
    recorded[0].again = lambda: output.copy_(first_input * scale)  # type: ignore[attr-defined]
    replay(torch.tensor([1.0, 2.0]))
    assert FakeGraph.replayed == 1
    assert torch.equal(output, torch.tensor([3.0, 6.0]))
    assert replay(torch.tensor([5.0, 5.0]))[0].data_ptr() != replay(torch.tensor([5.0, 5.0]))[0].data_ptr()


def test_who_does_not_compile_does_not_wait_for_inductor() -> None:
    """It takes as long to load as torch itself, in every process."""
    code = "import sys, invbench.attacks.auto, invbench.runs.run; sys.exit('torch._inductor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
