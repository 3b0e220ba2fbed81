"""What an attack is: observations in, answers out. An attack has one of

- `__call__(seen) -> answer`: answers one observation;
- `attack_all(observations) -> answers`: answers all of a cell's at once. The answer for one observation may not
  depend on the others.

Everything else has a default, which `Attack` states. Of game `update` an answer is a `Guess` (`observation/update.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Self, TypeVar

from torch import nn

from invbench.core import progress
from invbench.observation import DIVERGED, Failed, Guess, Observation, Preparation, Public, Tensors, UpdateObservation

Known = TypeVar("Known")
Seen = TypeVar("Seen", bound=Observation[object])
Said = TypeVar("Said")


class Attack(Generic[Known, Seen, Said]):
    """What an attack is asked, and what it says by default. `Known`, `Seen`, `Said`: what is public of a cell of its
    game, the game's observation and its answer."""

    def unsupported(self, public: Known) -> str | None:
        """Why it cannot attack this cell, from what is `public` of it; None where it can."""
        return None

    def preparations(self, public: Known) -> Mapping[str, Preparation]:
        """What it makes once from public knowledge, by name; each observation holds it as `seen.prepared[name]`."""
        return {}

    def trial(self) -> tuple[Self, float]:
        """A short version of itself, and how many times longer the whole takes at most: for the forecast."""
        return self, 1.0

    def parts(self, public: Known) -> Sequence[tuple[str, Attack[Known, Seen, Said]]]:
        """The attacks that it runs in turn, by name, whose forecasts add up to its own."""
        return [("", self)]

    def __call__(self, seen: Seen) -> Said:
        """The answer to one observation; `Failed` where there is none."""
        raise NotImplementedError(f"{type(self).__name__} has neither __call__ nor attack_all")

    def unreadable(self, seen: Seen) -> str | None:
        """Why one observation holds nothing that could be read, so that it is not asked alone; None where it does."""
        return None

    def attack_all(self, observations: Sequence[Seen]) -> list[Said]:
        """The answers to all of a cell's observations, in order; by default computed one after the other."""
        answers = []
        for index, seen in enumerate(observations):
            try:
                if (why := self.unreadable(seen)) is not None:
                    raise Failed(why)
                answers.append(self(seen))
            except Failed as failure:
                answers.append(seen.nothing(str(failure)))  # type: ignore[arg-type]  # its game's own kind of answer
            progress.report("attack", index + 1, len(observations))
        return answers

    @property
    def shares_work(self) -> bool:
        """Whether it answers all observations as one program, so that one alone costs nearly as much as several."""
        return type(self).attack_all is not Attack.attack_all


class UpdateAttack(Attack[Public, UpdateObservation, Guess]):
    """An attack of game `update`."""

    def unreadable(self, seen: UpdateObservation) -> str | None:
        """That the update is not finite, of which no closed form makes a picture."""
        return None if seen.is_finite else DIVERGED

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        """A malicious server's: weights and buffers, by name, that this client is given in place of the global ones.

        Called for each client of a round, from 0 on, before any computes; names, shapes and types are kept. An attack
        that has it says `@attack(server="malicious")`. Its observation's `model` is what the first client was given.
        """
        return weights

    def inserted(self, public: Public) -> nn.Module | None:
        """A malicious server's: a module that clients are given in front of the network, `(N, C, H, W)` to the same.

        Its shape follows from the settings and from what is public of the honest network; what its weights are here
        does not matter, `craft` gives them. Everywhere else, in `public.network` too, the network is then
        `Sequential(inserted, victim)`, whose tensors are called `inserted.*` and `victim.*`. An attack that has it says
        `@attack(server="malicious", adds_module=True)`.
        """
        return None
