"""Defences: one file each; they know no attack. What every one of them has.

A defence is a frozen dataclass marked `@defense` with the base `Defense`. It acts at each stage whose method it has:

- `corpus(passages, context)`: a language model's training text, as passages in order, before anything is trained;
- `model(network, context)`: the network before it is trained; `context.generator` is torch's global one;
- `training(training, context)`: how a victim is trained (`core/training.py`);
- `inputs(batch, context)`: a client's normalised pictures and labels, before it computes anything;
- `per_example(gradients, context)`: each example's own gradient, before they are averaged;
- `update(shared, context)`: what one client is about to share;
- `aggregate(updates, context)`: the updates of all clients, before the server sees them; it sees their mean;
- `answer(scores, context)`: what a released model answers to a query;
- `regression(regression, context)`: a regression of least squares (`core/regression.py`) before it is released.

`_face.py` says what else a defence may tell of itself. A stack (`_stack.py`) runs stage by stage and, within one, in
the order of its list: `[gaussian, per-example-clip]` clips each example first, then adds noise. What a defence does is
public, its draws are not.

A defence keeps every tensor's shape, type and device, changes none of its input, and draws all randomness from
`context.generator`, the client's own CPU stream, so that the draw is the same on every device.
"""

from __future__ import annotations

from invbench.defenses._face import (
    NETWORK,
    STAGES,
    VALUE,
    Batch,
    Client,
    Context,
    Defense,
    Noise,
    Round,
    Stage,
    stages_of,
)
from invbench.defenses._stack import NO_DEFENSES, Stack
from invbench.defenses._vectors import flatten, mean

__all__ = [
    "NETWORK",
    "NO_DEFENSES",
    "STAGES",
    "VALUE",
    "Batch",
    "Client",
    "Context",
    "Defense",
    "Noise",
    "Round",
    "Stack",
    "Stage",
    "flatten",
    "mean",
    "stages_of",
]
