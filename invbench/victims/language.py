"""A language model as a victim: its canaries, the text that they stand in, and its training.

A canary is a line (Carlini et al. 2019, arXiv 1802.08232, section 4.1: a format with a random secret in it). It goes
between lines of the text, each of its repeats at a place of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import numpy_stream, seed_of, stream
from invbench.core.sources import VICTIM, hash_of
from invbench.core.training import Training
from invbench.data import Dataset
from invbench.data._text import Text
from invbench.defenses import Context
from invbench.language.training import train_language
from invbench.models import TextModel
from invbench.observation import Tokenizer
from invbench.protocol.prompting import Prompting
from invbench.victims import network_defenses, stack_of

NAMES = (
    *("alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima"),
    *("mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey"),
    *("xray", "yankee", "zulu"),
)
SUFFIX = ".\n"


@dataclass(frozen=True)
class Canary:
    """A secret of decimal digits, and the words before it, which are public."""

    prefix: str
    secret: str

    @property
    def line(self) -> str:
        return f"{self.prefix}{self.secret}{SUFFIX}"


def text_of(cell: Cell) -> Text:
    return cast(Text, cell.dataset.build(Dataset).load())


def language_model_of(cell: Cell) -> TextModel:
    return cell.model.build(TextModel)


def prompting_of(cell: Cell) -> Prompting:
    assert cell.protocol is not None
    return cell.protocol.build(Prompting)


def canary(cell: Cell, number: int) -> Canary:
    """The canary of this number: its secret depends on seed, number and digits alone."""
    digits = prompting_of(cell).digits
    secret = numpy_stream("canary", cell.seed, number, digits).integers(0, 10, digits)
    round_, place = divmod(number, len(NAMES))
    name = f"{NAMES[round_ - 1]} {NAMES[place]}" if round_ else NAMES[place]
    return Canary(f"The random number of {name} is ", "".join(map(str, secret)))


def tokens_of(cell: Cell) -> Tokenizer:
    """The victim's tokens; where they are learned, from its text before any canary is in it."""
    return language_model_of(cell).tokens(text_of(cell).train)


def training_text(cell: Cell) -> str:
    """The text with its canaries, as the defences leave it."""
    said = prompting_of(cell)
    lines = [canary(cell, number).line for number in range(said.canaries) for _ in range(said.repeats)]
    passages = _inserted(text_of(cell).passages, lines, cell.seed) if lines else text_of(cell).passages
    return "".join(stack_of(cell).at("corpus", passages, Context(stream("defended corpus", *_key(cell)))))


def language_training(cell: Cell, tokens: int) -> Training:
    """How a text of so many tokens is trained on before any defence; an example is a window of the model's context."""
    model = language_model_of(cell)
    example = f"window of {model.context} tokens (a line may lie in two of them, one that repeats in many)"
    return Training(model.training_steps, examples=(tokens - 1) // model.context, example=example)


def language_victim(cell: Cell) -> nn.Module:
    """The language model that the cell attacks, on the CPU and in eval mode: a network of its own each time."""
    network = language_network(cell)
    if language_model_of(cell).trained:
        network.load_state_dict(fetch(trained_language_victim(cell)))
    return network.eval()


def trained_language_victim(cell: Cell) -> Artefact:
    """The weights of the cell's language model, trained on its text and canaries."""

    def make() -> dict[str, Tensor]:
        network, model = language_network(cell), language_model_of(cell)
        tokens = torch.tensor(tokens_of(cell).encode(training_text(cell)))
        draws = Context(stream("defended training", *_key(cell)))
        training = stack_of(cell).at("training", language_training(cell, len(tokens)), draws)
        train_language(network, tokens, model.context, stream("training", *_key(cell)), training)
        return network.state_dict()

    parts = (cell.model.part.cls, *(d.part.cls for d in network_defenses(cell)))
    key = {"victim": _key(cell), "code": hash_of(VICTIM, *parts)}
    said = prompting_of(cell)
    what = f"training {cell.model.short} on {cell.dataset.short}, {said.canaries} canaries {said.repeats} times"
    return Artefact(what, key, make)


def language_network(cell: Cell) -> nn.Module:
    """The victim before training: float32, in training mode; only the CPU generator is forked and seeded."""
    stack = stack_of(cell)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed_of("network", cell.seed, cell.model.key, cell.data_hash))
        network = language_model_of(cell).build(tokens_of(cell).size)
        network = stack.at("model", network, Context(torch.default_generator))
    return network.to(torch.float32)


def _key(cell: Cell) -> list[Any]:
    """What a victim's weights depend on; canaries that are never inserted are none of it."""
    said = prompting_of(cell)
    inserted = [said.repeats, said.canaries, said.digits] if said.repeats else []
    changing = [d.key for d in network_defenses(cell)]
    return ["language victim", cell.seed, cell.model.key, cell.data_hash, inserted, changing]


def _inserted(passages: Sequence[str], lines: Sequence[str], seed: int) -> list[str]:
    """The passages with each line before one of them, or after the last: no two lines at one place if there are enough.

    A last passage without an end gets one where something follows it.
    """
    draws = numpy_stream("canary places", seed, len(lines))
    places = draws.choice(len(passages) + 1, len(lines), replace=len(lines) > len(passages) + 1)
    at: dict[int, list[str]] = {}
    for place, line in zip(places.tolist(), lines, strict=True):
        at.setdefault(place, []).append(line)
    ended = [p if p.endswith("\n") else f"{p}\n" for p in passages]
    return [text for place, p in enumerate([*ended, ""]) for text in (*at.get(place, ()), p) if text]
