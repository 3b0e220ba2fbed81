"""Compiled steps, where the matrix asks for them (`compile: on`): Inductor on a CPU, a CUDA graph on a GPU.

A CUDA graph replays the step's kernels without launching each, which is what small batches wait for; it costs a few
steps. Inductor fuses what lies between convolutions, but takes a minute, so on a CPU a step is compiled only where the
planned evaluations pay that back. The rule knows the settings alone, never the machine: the same cell always gets
the same program.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx

Step = Callable[..., tuple[Tensor, ...]]

# Measured once on one core (LeNet 8 lanes, 496 nodes: 30 to 60 s, saves 2.8 ms; ConvNet-16, 2,032 nodes: 97 s, 7 ms).
_SAVED = 3.5e-6  # s that a compiled node saves at each evaluation
_COST, _COST_PER_NODE = 30.0, 0.03  # s that compiling takes


def pays_back(nodes: int, evaluations: int) -> bool:
    """Whether compiling a step of so many nodes for the CPU saves more than it costs."""
    return evaluations * nodes * _SAVED > _COST + nodes * _COST_PER_NODE


def compiled(step: fx.GraphModule, inputs: tuple[Tensor, ...]) -> tuple[Step, str]:
    """The step made faster for inputs of these shapes, and what was done, in words."""
    if inputs[0].device.type == "cuda":
        return captured(step, inputs), "steps replayed as a CUDA graph"
    return _fused(step, inputs), "steps compiled by Inductor"


def _fused(step: fx.GraphModule, inputs: tuple[Tensor, ...]) -> Step:
    """The step with what lies between convolutions fused by Inductor."""
    import torch._inductor.config as settings  # takes as long as torch itself: only who compiles waits for it

    with torch.no_grad(), settings.patch(compile_threads=1):  # no processes of its own
        fused = torch._inductor.compile(step, list(inputs))
    return lambda *tensors: tuple(fused(*tensors))


def captured(step: Step, inputs: tuple[Tensor, ...]) -> Step:
    """A CUDA graph of the step. Every input but the first (the variables) must stay what it is now."""
    held = (inputs[0].clone(), *inputs[1:])
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # kernels are chosen and memory is found before the recording
        for _ in range(3):
            step(*held)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step(*held)

    def replay(variables: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        held[0].copy_(variables)
        graph.replay()
        return tuple(result.clone() for result in results)

    return replay
