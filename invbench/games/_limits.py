"""How far any attack of a stated kind can get in a cell of clients whose updates are noisy.

What does not depend on the strength of the noise, eigenvalues of J'J, is an artefact of each target: cells that differ
in attack and noise share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, Tensors, fetch
from invbench.core.errors import in_words
from invbench.core.randomness import stream
from invbench.core.sources import GAME, VICTIM, hash_of
from invbench.data import ImagePool
from invbench.defenses import Defense
from invbench.games._batches import as_played, batches, protocol_of, round_stack, wanted_of
from invbench.games._guaranteed import UNDEFENDED
from invbench.metrics._information import Information, error_in_decibels
from invbench.observation import Public
from invbench.scoring import gaussian_prior
from invbench.scoring.computing import computed
from invbench.scoring.reconstruction import Scores, Truth, by_metric
from invbench.updates.equations import independent_equations
from invbench.updates.information import (
    PROBES,
    QUADRATURE_PROBES,
    QUADRATURE_STEPS,
    Derivative,
    derivative,
    quadrature,
    seconds,
    spectrum,
    trace,
)
from invbench.updates.noisy import Noisy, noisy
from invbench.updates.simulation import multiple_of
from invbench.victims import network_defenses, pool_of, stack_of, victim, victim_artefacts

MOST_BYTES = 4 << 30
"""Of J in float64, above which tr(J'J) alone is estimated."""
MOST_SOLVED = 6144
"""Rows of the smaller of J'J and JJ' whose eigenvalues are computed exactly; more have Gauss quadratures instead.

Three and a half minutes of one core for two pictures of 3 x 32 x 32 and a LeNet: 52 s of products with J'J, 118 s of
eigenvectors, 37 s for the prior (added up from what smaller ones take; half a minute at 3,072). At 8,192 the
eigenvectors alone take 280 s, and a cell has ten minutes by default.
"""
SPACING = torch.finfo(torch.float32).eps
"""Relative distance of two numbers of float32: noise below that of what is sent is lost when it is added."""
_WHY = "why"
Prior = tuple[gaussian_prior.Sample, gaussian_prior.Sample]
"""Of one picture: the pictures of all labels and of its own that its covariance is fitted on."""


@dataclass(frozen=True)
class Limits:
    """Scores of a cell by metric, one value a target, and what a reader must know of them."""

    scores: Scores
    notes: tuple[str, ...]


def where_noise_is(cell: Cell, public: Public) -> Noisy | str | None:
    """The noise on what a client sends, why there is no limit for it, or None where there is no noise."""
    public, protocol = as_played(cell, public), protocol_of(cell)
    names = [choice.name for choice in cell.defense or ()]
    found = noisy(round_stack(cell).on(public.network), names, public.batch_size, multiple_of(public))
    if not isinstance(found, Noisy):
        return found
    if cell.attack.part.facts["server"] == "malicious":
        return "a malicious server gives clients weights of its own"
    if protocol.rounds > 1 and protocol.server_lr:
        return "the global model moves between rounds, and each tells other directions of the pictures"
    if protocol.batch_statistics != "before":
        return UNDEFENDED
    if protocol.precision != "float32":
        return f"clients round to {protocol.precision}, which has no derivative"
    if protocol.draw(public.batch_size, torch.Generator().manual_seed(0)):
        return f"what {public.protocol} draws is hidden"
    return found


def limit_artefacts(cell: Cell, public: Public) -> tuple[Artefact, ...]:
    """The information of each target, where noise leaves only some."""
    found = where_noise_is(cell, public)
    if not isinstance(found, Noisy):
        return ()
    pool, public = pool_of(cell), as_played(cell, public)
    truths = [truth.first(public.pictures) for truth in batches(cell, pool)]  # of the clients that are seen
    attacked = np.concatenate([truth.indexes for truth in truths])
    common = gaussian_prior.sample_of(pool, attacked)
    own = {label: gaussian_prior.sample_of(pool, attacked, label) for label in np.unique(pool.labels[attacked])}
    return tuple(
        _artefact(cell, public, found, pool, truth, [(common, own[label]) for label in truth.labels])
        for truth in truths
    )


def limits_of(cell: Cell, public: Public) -> Limits:
    """Every metric that is a limit; nothing where there is no noise, and where none can be told why, in words."""
    found = where_noise_is(cell, public)
    if found is None:
        return Limits({}, ())
    if isinstance(found, str):
        return Limits({}, (f"the limits are empty: {found}",))
    made = [fetch(artefact) for artefact in limit_artefacts(cell, public)]
    if why := [_words(tensors) for tensors in made if _WHY in tensors]:
        return Limits({}, (f"the limits are empty: {why[0]}",))
    if why_lost := _lost_in_rounding(found.variance, made):
        return Limits({}, (f"the limits are empty: {why_lost}",))
    variance = found.variance / (1 if _apart(cell) else public.clients) / protocol_of(cell).rounds
    informations = [_information(tensors, variance) for tensors in made]
    scores = by_metric([computed(cell.game, {"information": one}) for one in informations])
    return Limits(scores, tuple(_notes(cell, public, found, informations)))


def _lost_in_rounding(variance: float, made: Sequence[Tensors]) -> str:
    """That the noise is below what float32 leaves of what is sent, by its root mean square; empty where it is not."""
    spacing = SPACING * max(float(tensors["size"]) for tensors in made)
    if math.sqrt(variance) >= spacing:
        return ""
    said = f"noise of standard deviation {math.sqrt(variance):.2g} is lost in float32"
    return f"{said}, whose numbers are about {spacing:.2g} apart at the size of what is sent"


def _apart(cell: Cell) -> bool:
    """Whether something acts on the updates of several clients together: then the limits are of all that they send."""
    return stack_of(cell).acts("aggregate")


def _artefact(
    cell: Cell, public: Public, noise: Noisy, pool: ImagePool, truth: Truth, priors: Sequence[Prior]
) -> Artefact:
    asked, number = truth.images[: wanted_of(cell)].size, int(truth.positions[0])

    def make() -> Tensors:
        generator = stream("limits", cell.seed, number)
        labels = torch.from_numpy(truth.labels)
        images = torch.from_numpy(truth.images)
        try:
            of = derivative(public, victim(cell), images, labels, noise.steps, apart=_apart(cell))
            return _made(of, pool, priors, asked, generator)
        except (NotImplementedError, RuntimeError) as error:  # something has no forward derivative, or draws
            return {_WHY: torch.frombuffer(bytearray(in_words(error).encode()), dtype=torch.uint8)}

    parts = [cell.model.part.cls, *(choice.part.cls for choice in cell.defense or ())]
    assert cell.protocol is not None
    key = {
        "information": [cell.seed, cell.model.key, cell.data_hash, [d.key for d in network_defenses(cell)]],
        "normalisation": cell.normalisation,
        "protocol": cell.protocol.key,
        "steps": [_step(defense) for defense in noise.steps.defenses],
        "apart": _apart(cell),
        "pictures": truth.indexes.tolist(),
        "asked": asked,
        "prior": [gaussian_prior.named(*prior) for prior in priors],
        "code": hash_of((*GAME, *VICTIM, "updates", "protocol"), *parts, cell.protocol.part.cls),
    }
    what = f"limits of a target of {cell.dataset.short}, {cell.model.short}, batch {cell.batch_size}"

    def trial() -> float:
        """Of a network that nobody trained, which takes as long."""
        settings = tuple((name, False if name == "trained" else value) for name, value in cell.model.settings)
        network = victim(replace(cell, model=replace(cell.model, settings=settings)))
        images, labels = torch.from_numpy(truth.images), torch.from_numpy(truth.labels)
        return _seconds(derivative(public, network, images, labels, noise.steps, apart=_apart(cell)))

    return Artefact(what, key, make, victim_artefacts(cell), trial)


def _seconds(of: Derivative) -> float:
    """About how long `_made` takes."""
    size, smaller = len(of.pixels), min(len(of.pixels), of.entries)
    if size * of.entries * 8 > MOST_BYTES:
        return seconds(of, PROBES, 0)
    if smaller <= MOST_SOLVED:
        return seconds(of, smaller, smaller)
    return seconds(of, PROBES + QUADRATURE_PROBES * QUADRATURE_STEPS, 0)


def _step(defense: Defense) -> list[object]:
    return [type(defense).__module__, type(defense).__qualname__, defense.public_parameters()]


def _made(of: Derivative, pool: ImagePool, priors: Sequence[Prior], asked: int, generator: torch.Generator) -> Tensors:
    """`nodes`, `weights`, `trace` (value, standard error), `facts` (pixels, spread, exact), `size` of what is sent."""
    size, nothing = len(of.pixels), torch.zeros(0, 0, dtype=torch.float64)
    nodes, weights, spread, exact = nothing, nothing, 0.0, False
    if size * of.entries * 8 > MOST_BYTES:
        found = trace(of, asked, generator)
    else:
        by_prior = {prior: torch.from_numpy(gaussian_prior.root(pool, *prior)) for prior in set(priors)}
        roots = [by_prior[prior] for prior in priors]
        spread = sum(float(one.square().sum()) for one in roots[: asked * len(roots) // size])
        exact = min(size, of.entries) <= MOST_SOLVED
        if exact:
            nodes, weights, total = spectrum(of, roots, asked)
            found = total, 0.0
        else:
            found = trace(of, asked, generator)
            nodes, weights = quadrature(of, roots, asked, generator)
    facts = torch.tensor([asked, spread, exact], dtype=torch.float64)
    size_sent = of.send(of.pixels).square().mean().sqrt()
    told = {"trace": torch.tensor(found, dtype=torch.float64), "facts": facts, "size": size_sent}
    return {"nodes": nodes, "weights": weights, **told}


def _information(tensors: Tensors, variance: float) -> Information:
    pixels, spread, exact = tensors["facts"].tolist()
    total, error = tensors["trace"].tolist()
    nodes, weights = tensors["nodes"].numpy(), tensors["weights"].numpy()
    return Information(int(pixels), variance, total, error, nodes, weights, spread, bool(exact))


def _words(tensors: Tensors) -> str:
    return bytes(tensors[_WHY].tolist()).decode()


def _notes(cell: Cell, public: Public, noise: Noisy, found: Sequence[Information]) -> list[str]:
    notes = []
    if noise.after:
        names = ", ".join(noise.after)
        notes.append(f"the limits are of the noisy update before {names}, which can only lower them")
    if _apart(cell):
        notes.append("the limits are of what each client sends by itself: who sees less is below them")
    without = sum(not one.full_rank for one in found)
    if without:
        notes.append(f"limit_psnr is empty for {without} of {len(found)} targets: {_why_no_bound(public, found[0])}")
    if not found[0].nodes.size:
        notes.append("limit_psnr_prior is empty: the derivative of what is sent takes more than 4 GiB")
    elif not found[0].exact:
        error = max(error_in_decibels(*one.prior_error()) for one in found)
        notes.append(
            f"limit_psnr_prior is estimated by {QUADRATURE_PROBES} random quadratures, never too low on average:"
            f" standard error of a target at most {error:.2g} dB"
        )
    if any(one.trace_error for one in found):
        error = max(error_in_decibels(one.trace, one.trace_error) for one in found)
        notes.append(
            f"limit_psnr_dfil is estimated by {PROBES} random probes: standard error of a target at most {error:.2g} dB"
        )
    return notes


def _why_no_bound(public: Public, information: Information) -> str:
    unknowns = math.prod(public.image_shape) * public.pictures
    if information.exact:
        return "some direction of the pictures changes nothing that is sent"
    if independent_equations(public.network, public.image_shape, public.pictures) < unknowns:
        return "the update tells fewer numbers than its pictures have, so no attacker is unbiased"
    if not information.nodes.size:
        return "the derivative of what is sent takes more than 4 GiB"
    return f"its inverse is computed for at most {MOST_SOLVED:,} pixels of a batch, of which there are {unknowns:,}"
