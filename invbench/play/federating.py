"""A federated training under a cell's defences, from its settings to its record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import stream
from invbench.core.sources import VICTIM, hash_of
from invbench.core.theirs import PartRaised, theirs
from invbench.core.training import Training
from invbench.data import ImagePool
from invbench.defenses import Context
from invbench.federation import Federation
from invbench.games._batches import as_played, protocol_of, round_stack
from invbench.games._planning import STAGES, idle_defense, no_network, no_round, not_of_kind, unfit_defense
from invbench.games.update import UpdateGame
from invbench.observation import Labelled, Public
from invbench.play.outcomes import why_failed
from invbench.protocol._batch_norm import use_batch_statistics
from invbench.store.schema import Status
from invbench.store.utility import UtilityRecord
from invbench.victims import Indexes, architecture, pool_of, stack_of, victim, why_untrainable
from invbench.victims.dealing import clients_of
from invbench.victims.federated import Rounds, correct, federate
from invbench.victims.pictures import labelled

CODE = (*VICTIM, "federation.py", "protocol", "updates", "core", "play/federating.py")
"""Everything that shapes what is measured."""
TRIAL = 2
"""Rounds of a forecast, after as many that pay for loading."""


def record_of(federation: Federation, device: str) -> UtilityRecord:
    """The record of a training that has been made, or is made now: the function that a worker calls for it."""
    made = fetch(artefact(federation, device))
    whole = made["seconds"].tolist()
    return replace(
        unmade(federation, "ok", None),
        accuracy=made["correct"].double().mean().item(),
        held_out=len(made["correct"]),
        rounds=int(made["rounds"]),
        clients=int(made["clients"]),
        message_bytes=float(made["bytes"]),
        seconds={"round": whole[0], "whole": whole[1]},
        notes=(*_notes(federation), *_unmoved(int(made["unmoved"]))),
        device=device,
        torch=torch.__version__,
    )


def make(federation: Federation, device: str) -> None:
    """Make what is measured of a training, unless somebody has."""
    fetch(artefact(federation, device))


def unmade(federation: Federation, status: Status, reason: str | None) -> UtilityRecord:
    """The record of a training without numbers, and why it has none."""
    names, settings = federation.names, federation.settings
    return UtilityRecord(id=federation.id, status=status, reason=reason, names=names, settings=settings)


def untrainable(federation: Federation) -> UtilityRecord | None:
    """The outcome of a training that cannot be made, None of one that can."""
    try:
        with theirs():
            reason = why_unsupported(federation)
            if reason is None:
                artefact(federation, "cpu").name  # noqa: B018  a key that is no JSON is told here
    except PartRaised as raised:  # a part's own mistake costs its training, not the run
        return unmade(federation, "failed", why_failed(raised.error, federation.cell))
    return None if reason is None else unmade(federation, "unsupported", reason)


def why_unsupported(federation: Federation) -> str | None:
    """Why there can be no such training, or None."""
    cell = federation.cell
    for unfit in (not_of_kind, _idle, no_round, no_network, unfit_defense):
        if (why := unfit(cell)) is not None:
            return why
    pool = pool_of(cell)
    if not len(pool.train) or not len(pool.trained_targets):
        return f"{cell.dataset.short} has no pictures to train on, or none that are held out"
    if (clients := federation.utility.clients) > len(pool.train):
        return f"{cell.dataset.short} has {len(pool.train)} pictures to train on, too few for {clients} clients"
    if (why := why_untrainable(cell, architecture(cell), _usual(federation))) is not None:
        return why
    if _training(federation).private is not None and cell.protocol is not None and cell.protocol.name != "fedsgd":
        return f"a private training takes one gradient a round: protocol fedsgd, not {cell.protocol.name}"
    return None


def _idle(cell: Cell) -> str | None:
    return idle_defense(cell, STAGES)


def artefact(federation: Federation, device: str) -> Artefact:
    """What is measured of the training: `correct`, which held-out pictures it puts into their class, and its costs."""
    cell = federation.cell
    names = {"federation": federation.settings, "device": torch.device(device).type}
    names |= {"code": hash_of(CODE, *(choice.part.cls for choice in (cell.model, *(cell.defense or ()))))}

    def make() -> dict[str, Tensor]:
        started = time.perf_counter()
        found, rounds = _trained(federation, device, None)
        return {
            "correct": found,
            "rounds": torch.tensor(rounds.number),
            "clients": torch.tensor(rounds.clients),
            "unmoved": torch.tensor(rounds.unmoved),
            "bytes": torch.tensor(rounds.bytes, dtype=torch.float64),
            "seconds": torch.tensor([rounds.seconds, time.perf_counter() - started], dtype=torch.float64),
        }

    return Artefact(what_of(federation), names, make)


def _notes(federation: Federation) -> tuple[str, ...]:
    """What the defences say of the training that they have left, whatever stage they act at."""
    training = _training(federation)
    return stack_of(federation.cell).training_notes(training)


def _unmoved(tensors: int) -> tuple[str, ...]:
    """What a reader must know of a training in which nobody shares some layers."""
    if not tensors:
        return ()
    return (
        f"{tensors} tensors of weights stay at their start: nobody shares them, and no client has layers of its own",
    )


def what_of(federation: Federation) -> str:
    """For a person to read."""
    names = federation.names
    return f"utility of {names['model']} under {names['defense']}, {names['protocol']}, seed {names['seed']}"


@dataclass(frozen=True)
class Trial:
    """`seconds`: that a training should take, by a few of its rounds; None where they failed, for that `reason`."""

    seconds: float | None
    reason: str = ""


def forecast_of(federation: Federation, device: str) -> Trial:
    """How long the training should take: a few rounds are played here and now."""
    try:
        with theirs():
            _trained(federation, device, TRIAL)
            _, rounds = _trained(federation, device, TRIAL)
    except PartRaised as raised:
        return Trial(None, str(raised))
    return Trial(rounds.seconds * _training(federation).steps)


def _trained(federation: Federation, device: str, few: int | None) -> tuple[Tensor, Rounds]:
    """Which held-out pictures the trained network gets right, and what its rounds cost; `few`: rounds of a trial."""
    cell, utility = federation.cell, federation.utility
    pool = pool_of(cell)
    if pool.content != cell.data_hash:
        raise ValueError(f"data set {cell.dataset.short} changed while the matrix ran")
    public, network = as_played(cell, UpdateGame().public(cell)), victim(cell).to(device)
    if protocol_of(cell).batch_norm == "train":
        network = use_batch_statistics(network)
    training = _training(federation)
    training = training if few is None else replace(training, steps=min(few, training.steps))
    drawn_by = [cell.seed, cell.model.key, cell.data_hash]
    defended_by = [*drawn_by, [d.key for d in cell.defense or ()]]
    clients = clients_of(pool.labels[pool.train], utility, *drawn_by)
    pictures = _pictures(pool, pool.train, public, device)
    rounds = federate(public, network, pictures, clients, round_stack(cell), training, utility, drawn_by, defended_by)
    return correct(network, _pictures(pool, pool.trained_targets, public, device)), rounds


def _training(federation: Federation) -> Training:
    """How clients train, as the defences of that stage leave it."""
    cell = federation.cell
    draws = Context(stream("defended training", "federation", cell.seed, [d.key for d in cell.defense or ()]))
    return stack_of(cell).at("training", _usual(federation), draws)


def _usual(federation: Federation) -> Training:
    """How clients train before any defence: the steps are rounds."""
    return Training(federation.utility.rounds, examples=len(pool_of(federation.cell).train))


def _pictures(pool: ImagePool, chosen: Indexes, public: Public, device: str) -> Labelled:
    own = labelled(pool, chosen, (public.mean, public.std))
    return Labelled(own.images.to(device), own.labels.to(device))
