"""Pictures behind InstaHide and mixup, from many encodings of them (Carlini et al. 2021, arXiv 2011.05315)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.attacks import UpdateAttack
from invbench.inversion.common_signs import with_common_signs
from invbench.inversion.exclusive import exclusive_inputs
from invbench.inversion.unmixing import repeated, unmixed
from invbench.observation import Failed, Guess, Public, UpdateObservation
from invbench.registry import attack
from invbench.updates.simulation import as_gradient, not_one_gradient

_MIXING = ("instahide", "mixup")
_LARGEST = 8
"""Of so many pictures 8 / 2^8 of all units are active for one alone."""


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Unmix(UpdateAttack):
    """A client's batch is mixed anew in each round: its encodings are read, and unmixed together.

    Encodings are inputs of the network, which exclusive units of a first fully connected layer behind ReLU tell exactly
    (`inversion/exclusive.py`); Carlini et al. are given them. Behind `instahide` with k = 2 magnitudes are taken, those
    that repeat over the rounds are pictures that were mixed with themselves, all others tell relative signs, and
    smoothness and the range of real pictures choose the sign of each value that is left
    (`inversion/unmixing.py`, `common_signs.py`). Behind `mixup` pictures that were mixed with themselves are read as
    they are. A picture meets itself in one round of B: in a few B rounds (protocol setting `rounds`) one does so twice,
    and the others must once, behind `mixup` twice. One that did not is not answered. Told of no mixing, or with one
    round, it answers the encodings.

    What the signs hide is left to smoothness: the more pictures share them, the surer they are, and on strokes on a
    flat ground they are often wrong.
    """

    def unsupported(self, public: Public) -> str | None:
        if not _starts_exclusive(public.network):
            return f"needs a first fully connected layer with bias and a ReLU behind it; {public.model} has none"
        if public.clients > 1:
            return f"reads one client's encodings; here {public.clients} clients' updates are averaged"
        if public.batch_size > _LARGEST:
            return f"needs a batch_size of at most {_LARGEST}, not {public.batch_size}: hardly a unit is exclusive"
        for defense in public.defenses:
            if defense.name not in _MIXING:
                return f"reads exact encodings, and {defense.name} changes what is sent"
            if defense.name == "instahide" and defense.parameters["k"] != 2:
                return f"unmixes encodings of two pictures, not of {defense.parameters['k']}"
        return not_one_gradient(public)

    def __call__(self, seen: UpdateObservation) -> Guess:
        mixing = {defense.name for defense in seen.public.defenses}
        rounds = [one.update for one in seen.rounds] if mixing and seen.rounds else [as_gradient(seen)]
        of_round = [_read(update, seen.public) for update in rounds]
        encodings = torch.cat(of_round)
        if not len(encodings):
            raise Failed("no encoding is read: no three units are active for the same picture alone")
        if not mixing or len(rounds) == 1:
            return _answer(seen, of_round[0], {"encodings": len(encodings)})
        if "instahide" not in mixing:
            alone = repeated(encodings, seen.public.batch_size)
            if not len(alone):
                raise _never_alone(len(rounds))
            return _answer(seen, alone, {"encodings": len(encodings)})
        made = unmixed(encodings.abs(), seen.public.batch_size)
        if made is None:
            raise _never_alone(len(rounds))
        pictures = with_common_signs(made.pictures.reshape(-1, *seen.public.image_shape), *_range(seen))
        return _answer(seen, pictures, {"encodings": len(encodings), "explained": made.explained})


def _never_alone(rounds: int) -> Failed:
    return Failed(f"in {rounds} rounds no picture was mixed with itself twice")


def _read(update: tuple[Tensor, ...], public: Public) -> Tensor:
    return exclusive_inputs(update[0].cpu(), update[1].cpu(), public.batch_size)


def _answer(seen: UpdateObservation, pictures: Tensor, facts: dict[str, int]) -> Guess:
    images = pictures.reshape(-1, *seen.public.image_shape).float().to(seen.device)
    return Guess(images=seen.to_unit_range(images), evaluations=1, facts=facts)


def _range(seen: UpdateObservation) -> tuple[Tensor, Tensor]:
    mean, std = (constant.cpu().double() for constant in seen.channel_constants())
    return -mean / std, (1 - mean) / std


def _starts_exclusive(network: nn.Module) -> bool:
    """Whether pictures go through a fully connected layer with bias, its first parameters, and a ReLU at once."""
    layers = [layer for layer in network.modules() if not list(layer.children())]
    layers = [layer for layer in layers if not isinstance(layer, nn.Flatten)][:2]
    return (
        len(layers) == 2
        and isinstance(layers[0], nn.Linear)
        and layers[0].bias is not None
        and isinstance(layers[1], nn.ReLU)
    )
