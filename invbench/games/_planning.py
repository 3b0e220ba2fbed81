"""Why a cell of clients' pictures cannot be played, or could show nothing, as far as it is known beforehand."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from invbench import registry
from invbench.cell import Cell
from invbench.core.errors import in_words
from invbench.defenses import Defense, Stage, stages_of
from invbench.defenses._contract import checked_reason
from invbench.games._batches import (
    attackers_own,
    pictures_of,
    positions_of,
    protocol_of,
    round_of,
    target_pool,
    wanted_of,
)
from invbench.protocol._batch_norm import use_batch_statistics
from invbench.scoring.controls import exact_already
from invbench.updates.statistics import why_not_granted
from invbench.victims import architecture, model_of, pool_of, shape_of, usual_training, why_untrainable
from invbench.victims.given import unfit_weights
from invbench.victims.layers import TooManyLayers

STAGES: frozenset[Stage] = frozenset({"model", "training", "inputs", "per_example", "update", "aggregate"})
"""The stages of defences that a round passes through."""
FEW = 6
"""Defences that are named where another one does not act."""
MOST_PARAMETERS = 1 << 30
"""Of a victim: 4 GiB in float32, and every target has a copy. The largest of torchvision's has 0.6 of it."""


def why_unplayable(cell: Cell) -> str | None:
    """Why this cell cannot be played, or None."""
    return _of_other_kind(cell) or _too_few(cell) or _no_victim(cell) or _vacuous(cell)


def why_no_client(cell: Cell, stages: frozenset[Stage] = STAGES) -> str | None:
    """Why no client of this cell computes an update, whatever its pictures, or None."""
    return _of_other_kind(cell, stages) or _no_victim(cell)


def _of_other_kind(cell: Cell, stages: frozenset[Stage] = STAGES) -> str | None:
    why = not_of_kind(cell) or idle_defense(cell, stages)
    return (
        why
        or no_round(cell)
        or _crafted_once(cell)
        or (None if model_of(cell).trained else idle_untrained(cell, stages))
    )


def _crafted_once(cell: Cell) -> str | None:
    """Why a server that crafts weights cannot also step with what it sees."""
    protocol = protocol_of(cell)
    if protocol.rounds == 1 or not protocol.server_lr or cell.attack.part.facts["server"] != "malicious":
        return None
    return f"{cell.attack.name} crafts the weights of one round, and with `server_lr` each round has its own"


def no_round(cell: Cell) -> str | None:
    """Why its protocol shares nothing, or which of the cell's defences cannot take part in its rounds."""
    try:
        round_of(cell)
    except ValueError as error:
        return f"{cell.names['protocol']} {error}"
    summing = [choice.name for choice in cell.defense or () if "aggregate" in choice.build(Defense).stages()]
    if len(summing) > 1:
        return f"defences {' and '.join(summing)} would each make one update of all clients' updates"
    for choice in cell.defense or ():
        try:
            choice.build(Defense).of_round(round_of(cell))
        except ValueError as error:
            return f"defence {choice.name}: {error}"
    return None


def not_of_kind(cell: Cell) -> str | None:
    """Which of the cell's data set and model is not of the kind that its game is played on: pictures, or a table."""
    kind = registry.load("game", cell.game).facts["data"]
    for choice in (cell.dataset, cell.model):
        if choice.part.facts["data"] != kind:
            words = kind if kind == "images" else f"a {kind}"
            return f"game {cell.game} is played on {words}; {choice.short} is not of that kind"
    return None


def idle_defense(cell: Cell, stages: frozenset[Stage]) -> str | None:
    """Which of the cell's defences acts at none of the stages that its game passes through."""
    for defense in cell.defense or ():
        if not stages & set(defense.build(Defense).stages()):
            return acts_nowhere(defense.name, cell.game, stages)
    return None


def acts_nowhere(defense: str, game: str, stages: frozenset[Stage]) -> str:
    """That a defence acts at none of a game's stages, with a few that do."""
    others = [name for name in registry.names("defense") if stages & set(_stages_of(name))]
    few = ", ".join(others[:FEW]) + (", ..." if len(others) > FEW else "")
    return f"defence {defense} acts at no stage of game {game}; these do: {few}"


def _stages_of(defense: str) -> tuple[Stage, ...]:
    try:
        return stages_of(registry.load("defense", defense).cls)
    except registry.BrokenPart:
        return ()


def idle_untrained(cell: Cell, stages: frozenset[Stage]) -> str | None:
    """Which of the cell's defences changes nothing of these stages but a training, where the victim is not trained."""
    for defense in cell.defense or ():
        if stages & set(defense.build(Defense).stages()) <= {"corpus", "training"}:
            return f"defence {defense.name} changes how a victim is trained, and {cell.model.short} is not `trained`"
    return None


def _too_few(cell: Cell) -> str | None:
    pool, batch = pool_of(cell), pictures_of(cell)
    if model_of(cell).trained and not len(pool.train):
        return f"{cell.dataset.short} has no pictures that a victim trains on"
    wanted, there = (cell.offset + cell.targets) * batch, len(target_pool(cell, pool))
    if wanted > there:
        start = f" from batch {cell.offset} on" if cell.offset else ""
        return f"{cell.targets} batches of {batch}{start} need {wanted} pictures; the target pool has {there}"
    public = protocol_of(cell).public
    if public and (own := len(attackers_own(cell, pool))) < public:
        return f"public: {public} pictures; {cell.dataset.short} has {own} that are neither attacked nor trained on"
    return None


def _no_victim(cell: Cell) -> str | None:
    """Why there is no such network for these pictures, or none that computes on the batches at hand."""
    if (why := no_network(cell)) is not None:
        return why
    pool, model, network, name = pool_of(cell), model_of(cell), architecture(cell), cell.model.short
    if model.trained and len(pool.train) == 1 and (why := _one_is_too_few(network, shape_of(pool))) is not None:
        return f"{name} cannot train on one picture: {why}"
    if model.trained and (why := why_untrainable(cell, network, usual_training(cell))) is not None:
        return why
    if (why := unfit_defense(cell)) is not None:
        return why
    by_batch = protocol_of(cell).batch_norm == "train" and _smallest_batch(cell, network) == 1
    if by_batch and (why := _one_is_too_few(network, shape_of(pool))) is not None:
        return f"{name} cannot normalise by a batch of one picture: {why}"
    return why_not_granted(protocol_of(cell), network, shape_of(pool), cell.batch_size or 1)


def unfit_defense(cell: Cell) -> str | None:
    """Which of the cell's defences cannot act on such a network, and why."""
    for defense in cell.defense or ():
        part = defense.build(Defense)
        said = part.unsupported(architecture(cell), cell.batch_size or 1)
        if (why := checked_reason(type(part).__name__, said)) is not None:
            return f"defence {defense.name}: {why}"
    return None


def no_network(cell: Cell) -> str | None:
    """Why there is no such network for these pictures, or none that a machine holds."""
    pool = pool_of(cell)
    if (why := model_of(cell).unsupported(shape_of(pool), pool.classes)) is not None:
        return why
    try:
        network = architecture(cell)
    except TooManyLayers as error:
        return str(error)
    return too_large(cell.model.short, network) or unfit_weights(cell)


def brings_weights(cell: Cell) -> str | None:
    """Why a game whose victims' training is the truth takes no model that comes with weights; None for others."""
    if (origin := model_of(cell).origin) is None:
        return None
    return (
        f"game {cell.game} trains its victims itself and scores what they learned from whom; who trained the weights"
        f" of {origin} on what is not known"
    )


def too_large(name: str, network: nn.Module) -> str | None:
    """That a network of that name has more parameters than a machine holds."""
    if (count := sum(p.numel() for p in network.parameters())) > MOST_PARAMETERS:
        return f"{name} has {count:,} parameters for such pictures; at most {MOST_PARAMETERS:,}"
    return None


class _Enough(Exception):
    """As many of a client's batches were seen as are looked at."""


def _smallest_batch(cell: Cell, network: nn.Module) -> int:
    """Pictures in the smallest batch that a client takes a gradient of: seen by letting it share without weights.

    Of its first thousand batches; whatever does not work there is told when the cell is played.
    """
    protocol, size, seen = protocol_of(cell), cell.batch_size or 1, [cell.batch_size or 1]
    weights, buffers = dict(network.named_parameters()), dict(network.named_buffers())

    def gradient(model: nn.Module, weights: Any, buffers: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        seen.append(len(images))
        if min(seen) == 1 or len(seen) > 1000:
            raise _Enough
        return tuple(torch.zeros_like(weight) for weight in model.parameters())

    images = torch.empty(size, *shape_of(pool_of(cell)), device="meta")
    labels = torch.empty(size, dtype=torch.int64, device="meta")
    with suppress(Exception), torch.no_grad(), torch.random.fork_rng(devices=[]):
        draws = protocol.draw(size, torch.Generator().manual_seed(0))
        protocol.share(network, weights, buffers, images, labels, draws, gradient)
    return min(seen)


@lru_cache(maxsize=64)
def _one_is_too_few(network: nn.Module, shape: tuple[int, int, int]) -> str | None:
    """What BatchNorm says of one picture, of which it sees a single value a channel; None where it sees more.

    Tried without weights; whatever else does not work there is told when the cell is played.
    """
    probe = use_batch_statistics(copy.deepcopy(network))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            probe(torch.empty(1, *shape, device="meta"))
    except ValueError as error:
        return in_words(error)
    except Exception:
        return None
    return None


def _vacuous(cell: Cell) -> str | None:
    """Why no attack could be seen to read anything, whatever the defence: that would pass for safety."""
    pool = pool_of(cell)
    if pool.classes < 2:
        return (
            f"{cell.dataset.short} has one class, of which every update is zero: give its pictures labels"
            " (a folder: a sub-folder a class, `labels: FILE.csv`, or `drawn_classes: NUMBER`)"
        )
    places = target_pool(cell, pool)
    for number in range(cell.offset, cell.offset + cell.targets):
        attacked = places[positions_of(cell, number)][: wanted_of(cell)]
        if exact_already(pool, tuple(attacked.tolist())) < len(attacked):
            return None
    return "every picture attacked is of one grey, or the mean of the others: a control has it exactly already"
