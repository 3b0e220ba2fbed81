"""The peer: breaching 0.1.2's inverting-gradients attack on one of invbench's observations (pip install breaching).

It sees what invbench's attacks see: the same weights, the same shared update, the same normalisation. Labels are
given to it. Its published configuration (24,000 iterations, signed Adam 0.1, TV 0.2, box) is used as it stands but
for the number of iterations, with which its step decay scales (after 3/8, 5/8 and 7/8).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from invbench.observation import UpdateObservation


@dataclass(frozen=True)
class Answer:
    """Unit-range pictures `(B, C, H, W)`, or None and the name of what was raised; CPU seconds of the attack alone."""

    images: Tensor | None
    seconds: float
    failed: str | None = None


def missing() -> str | None:
    """Why the peer cannot be used, in words; None where it can."""
    try:
        import breaching  # noqa: F401
    except Exception as error:  # it imports much, and what is missing may be anything
        return f"breaching cannot be imported: {type(error).__name__}: {error}"
    return None


def inverting_gradients(seen: UpdateObservation, labels: Tensor, iterations: int, seed: int = 0) -> Answer:
    """Run the whole attack; a failed run is an answer without pictures, and the message is printed."""
    torch.manual_seed(seed)  # its start comes from the global stream
    started = time.process_time()
    try:
        images = _run(seen, labels, iterations)
        why = None
    except Exception as error:  # counted in the table as a failed trial
        images, why = None, type(error).__name__
        print(f"breaching failed with {why}: {error}", file=sys.stderr)
    if seen.device.type == "cuda":
        torch.cuda.synchronize(seen.device)
    return Answer(images, time.process_time() - started, why)


def _run(seen: UpdateObservation, labels: Tensor, iterations: int) -> Tensor:
    attacker, payload, shared = attack(seen, labels, iterations)
    guess, _ = attacker.reconstruct(payload, shared, {}, dryrun=False)
    return seen.to_unit_range(guess["data"])


def attack(seen: UpdateObservation, labels: Tensor, iterations: int) -> tuple[Any, list[Any], list[Any]]:
    """The attacker, what the server sent and what the client shared, in breaching's own types."""
    import breaching
    from omegaconf import OmegaConf

    logging.getLogger("breaching").setLevel(logging.WARNING)
    setup = {"dtype": torch.float, "device": seen.device}
    with redirect_stdout(StringIO()):  # it prints the name of the configuration
        config = breaching.get_attack_config("invertinggradients", [f"optim.max_iterations={iterations}"])
    attacker = breaching.attacks.prepare_attack(seen.model, nn.CrossEntropyLoss(), config, setup)
    public = seen.public
    facts = {"shape": list(public.image_shape), "mean": list(public.mean), "std": list(public.std)}
    metadata = OmegaConf.create({**facts, "modality": "vision", "classes": public.classes, "task": "classification"})
    sent = {
        "parameters": [p.detach() for p in seen.model.parameters()],
        "buffers": [b.detach() for b in seen.model.buffers()],
        "metadata": metadata,
    }
    shared = {
        "gradients": list(seen.update),
        "buffers": None,
        "metadata": {
            "num_data_points": public.batch_size,
            "labels": labels.to(seen.device),
            "local_hyperparams": None,
        },
    }
    return attacker, [sent], [shared]


def closure(seen: UpdateObservation, labels: Tensor) -> Callable[[], object]:
    """One evaluation of its objective and of the pictures' gradient, as each of its iterations makes one."""
    attacker, payload, shared = attack(seen, labels, 1)
    models, labels, _ = attacker.prepare_attack(payload, shared)
    for regulariser in attacker.regularizers:
        regulariser.initialize(models, shared, labels)
    attacker.objective.initialize(attacker.loss_fn, attacker.cfg.impl, None)
    candidate = attacker._initialize_data([seen.public.batch_size, *seen.public.image_shape])
    optimizer, _ = attacker._init_optimizer([candidate])
    evaluate: Callable[[], object] = attacker._compute_objective(candidate, labels, models, optimizer, shared, 0)
    return evaluate
