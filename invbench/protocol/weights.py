"""A network trained far beyond zero error, whose weights everybody holds (Haim et al. 2022, arXiv 2206.07758)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("training-set",))
@dataclass(frozen=True, kw_only=True)
class Weights(Protocol):
    """How the network was trained on its few pictures, and how many answers count.

    The attacker holds the trained weights and knows the architecture, the pictures' shape and normalisation and how
    many pictures of each of the two classes there were, half of all. ValueError for an odd number of them.
    """

    pictures: int = parameter(20, at_least=2, unit="pictures", help="size of the training set, half of each class")
    answers: int | None = parameter(
        None, at_least=1, unit="pictures", help="most pictures of an answer; by default twice the training set"
    )
    start: float | None = parameter(
        0.003, above=0, help="std of the first layer's weights before training; null: the architecture's own start"
    )
    decay: float = parameter(0.0, at_least=0, help="weight decay: rate * decay of every weight is lost in each step")
    rate: float = parameter(0.001, above=0, help="length of a step: rate * gradient / loss, of the whole training set")
    loss: float = parameter(5e-11, above=0, unit="nats", help="mean loss at which training ends")
    steps: int = parameter(100_000, at_least=1, unit="steps", help="after which it ends in any case")

    def __post_init__(self) -> None:
        if self.pictures % 2:
            raise ValueError(f"weights: pictures must be an even number, half of each class, not {self.pictures}")

    @property
    def most_answers(self) -> int:
        """How many pictures an answer may hold."""
        return 2 * self.pictures if self.answers is None else self.answers
