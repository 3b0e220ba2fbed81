"""Text drawn from the model and ranked by how memorised it looks (Carlini et al. 2021, arXiv 2012.07805)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from invbench.attacks import Attack
from invbench.core.training import Training
from invbench.language.likelihood import Sampling as Draw
from invbench.language.network import GPT
from invbench.language.ranking import entropy, surprises, windowed, without_near_duplicates
from invbench.language.sampling import decaying, drawn
from invbench.language.training import train_language
from invbench.observation import ExtractionGuess, ExtractionObservation, ExtractionPublic, Failed, Preparation, Tensors
from invbench.registry import attack, parameter

REFERENCE = "reference"


@attack(game="extraction")
@dataclass(frozen=True, kw_only=True)
class Sampling(Attack[ExtractionPublic, ExtractionObservation, ExtractionGuess]):
    """Draw continuations of a prompt, remove near-duplicates, answer those that look most memorised.

    `prompt`: the words before a secret, where a text ends with the secret's suffix, or an empty line, as without any
    knowledge. Ranked by (the paper's section 5.2, log P the mean surprise of a token in nats): `perplexity`, low;
    `zlib`, bits of the compressed text over log P; `lower`, log P of the text in lower case less log P; `window`,
    the lowest mean of `window` tokens in a row; `reference`, log P of a smaller model over log P. The paper's smaller
    model is GPT-2 Small, trained on the same data; the one here is half as wide and deep and trained on the public
    text alone, for whoever attacks has no other.
    """

    prompt: Literal["prefix", "newline"] = parameter("prefix", help="what the model continues")
    rank: Literal["perplexity", "reference", "zlib", "lower", "window"] = parameter(
        "perplexity", help="what the texts are ranked by"
    )
    samples: int = parameter(200, at_least=1, at_most=100_000, unit="texts", help="how many are drawn")
    tokens: int = parameter(24, at_least=1, unit="tokens", help="length of a text, no more than the model reads")
    top_k: int = parameter(40, at_least=0, help="how many likeliest tokens are drawn from; 0: all")
    top_p: float = parameter(1.0, above=0, at_most=1, help="share of the probability that is drawn from")
    temperature: float = parameter(1.0, above=0, help="temperature in the end")
    start: float = parameter(1.0, above=0, help="temperature of the first token; the paper's: 10")
    decay: int = parameter(20, at_least=0, unit="tokens", help="over how many it goes from the first to the last")
    window: int = parameter(50, at_least=1, unit="tokens", help="length of rank: window")
    steps: int = parameter(1000, at_least=1, unit="batches of 8", help="how long the reference model is trained")

    def unsupported(self, public: ExtractionPublic) -> str | None:
        context = int(str(public.model_settings["context"]))
        if self.rank == REFERENCE and "layers" not in public.model_settings:
            return f"rank: reference trains half a model of layers, width and heads, and {public.model} states none"
        if self.rank == REFERENCE and len(public.tokenizer.encode(public.text)) <= context + 1:
            return f"rank: reference needs public text of more than {context + 1} tokens"
        return None

    def preparations(self, public: ExtractionPublic) -> Mapping[str, Preparation]:
        if self.rank != REFERENCE:
            return {}
        steps = self.steps

        def make(made: Mapping[str, Tensors]) -> Tensors:
            network = _reference(public, seed=0)
            tokens = torch.tensor(public.tokenizer.encode(public.text))
            train_language(network, tokens, network.context, torch.Generator().manual_seed(0), Training(steps))
            return network.state_dict()

        return {REFERENCE: Preparation(what="a smaller model of public text", key={"steps": steps}, make=make)}

    def __call__(self, seen: ExtractionObservation) -> ExtractionGuess:
        public = seen.public
        context = int(str(public.model_settings["context"]))
        opening = f"\n{seen.prefix}" if self.prompt == "prefix" else "\n"
        prompt = public.tokenizer.encode(opening)
        length = min(self.tokens, context - len(prompt))
        if length < 1:
            raise Failed(f"the prompt has {len(prompt)} tokens, the model reads {context}")
        schedule = decaying(Draw(self.temperature, self.top_k, self.top_p), self.start, self.decay)
        tokens = drawn(seen.model, prompt, self.samples, length, schedule, seen.generator)
        texts = [self._ended(public.tokenizer.decode(one), public.suffix) for one in tokens.tolist()]
        texts = [text for text in dict.fromkeys(texts) if text.strip()]
        reference = None
        if self.rank == REFERENCE:
            reference = _reference(public, seed=0)
            reference.load_state_dict(dict(seen.prepared[REFERENCE]))
        scores = [self._memorised(seen, opening, text, reference) for text in texts]
        ranked = [texts[i] for i in sorted(range(len(texts)), key=lambda i: -scores[i])]
        kept = [ranked[i] for i in without_near_duplicates(ranked)]
        before = seen.prefix if self.prompt == "prefix" else ""
        return ExtractionGuess(
            tuple(f"{before}{text}" for text in kept[: public.answers]),
            evaluations=self.samples,
            objective=max(scores, default=None),
            facts={"different": len(texts), "kept": len(kept)},
        )

    def _ended(self, text: str, suffix: str) -> str:
        """The text up to the first suffix, where a prefix was continued."""
        head, found, _ = text.partition(suffix)
        return head + found if self.prompt == "prefix" else text

    def _memorised(self, seen: ExtractionObservation, opening: str, text: str, reference: nn.Module | None) -> float:
        """The text's score, higher where it looks more memorised."""

        def nats(model: nn.Module, words: str) -> torch.Tensor:
            encode, context = seen.public.tokenizer.encode, int(str(seen.public.model_settings["context"]))
            return surprises(model, encode(opening), encode(words), context)

        own = nats(seen.model, text)
        mean = max(float(own.mean()), 1e-9)  # a text of probability 1
        if self.rank == "zlib":
            return entropy(text) / mean
        if self.rank == "lower":
            return float(nats(seen.model, text.lower()).mean()) - mean
        if self.rank == "window":
            return -windowed(own, self.window)
        if reference is not None:
            return float(nats(reference, text).mean()) / mean
        return -mean


def _reference(public: ExtractionPublic, seed: int) -> GPT:
    """A network half as wide and as deep as the victim, of one head at least."""
    layers, width, heads, context = (
        int(str(public.model_settings[name])) for name in ("layers", "width", "heads", "context")
    )
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        fewer = max(1, heads // 2)
        wide = max(fewer, width // 2 // fewer * fewer)
        return GPT(public.tokenizer.size, max(1, layers // 2), wide, fewer, context, tied=True).eval()
