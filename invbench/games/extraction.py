"""Game `extraction`: secrets that stand in the training text of a released language model (Carlini et al. 2019)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from invbench.cell import Cell, Choice
from invbench.core.artefacts import Artefact
from invbench.core.randomness import stream
from invbench.defenses import Defense, Stage
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._guaranteed import of_training
from invbench.games._planning import acts_nowhere, idle_untrained
from invbench.games._said import curve_csv, strings_csv
from invbench.language.likelihood import PLAIN, Sampling, surprise, token_log_probabilities
from invbench.observation import ExtractionGuess, ExtractionObservation, ExtractionPublic, Tokenizer
from invbench.registry import game
from invbench.scoring.computing import computed
from invbench.victims import training_notes, why_untrainable
from invbench.victims.language import (
    SUFFIX,
    Canary,
    canary,
    language_model_of,
    language_network,
    language_training,
    language_victim,
    prompting_of,
    text_of,
    tokens_of,
    trained_language_victim,
    training_text,
)

STAGES: frozenset[Stage] = frozenset({"corpus", "model", "training"})
"""The stages of defences that a language model's training passes through."""


@game(data="text", axes=("attack", "model", "defense"), protocol="prompting")
@dataclass(frozen=True, kw_only=True)
class Extraction(Game[ExtractionPublic, ExtractionObservation, ExtractionGuess]):
    """Each target is a canary: a secret number in a line of the training text of the one victim.

    Whoever attacks holds the model, its tokens and the words before each secret. `targets` from number `offset` on,
    of the protocol's `canaries`, which are all in one text.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        for choice in (cell.dataset, cell.model):
            if choice.part.facts["data"] != "text":
                return f"game {cell.game} is played on text; {choice.short} is not of that kind"
        said, model = prompting_of(cell), language_model_of(cell)
        as_released = model.released and not model.trained
        stages = STAGES - {"corpus", "training"} if as_released else STAGES
        for defense in cell.defense or ():
            if not stages & set(defense.build(Defense).stages()):
                if as_released:
                    return f"defence {defense.name} acts at no stage on {cell.model.name}, which is not trained here"
                return acts_nowhere(defense.name, cell.game, stages)
        if (why := model.unsupported()) is not None:
            return why
        if as_released and said.repeats:
            return (
                f"{cell.model.name} is released as it is, and no canary stands in what it was trained on: ask it with"
                " the protocol's `repeats: 0`, or fine-tune it with `trained: true` on the data set's text and canaries"
            )
        if cell.offset + cell.targets > said.canaries:
            start = f" from number {cell.offset} on" if cell.offset else ""
            return f"{cell.targets} targets{start}, but the training text has {said.canaries} canaries"
        tokens = tokens_of(cell)
        longest = max(len(tokens.encode(f"\n{canary(cell, k).prefix}")) + said.digits for k in range(said.canaries))
        if longest > model.context:
            return f"a canary takes up to {longest} tokens; {cell.model.name} reads {model.context}"
        passages, wanted = len(text_of(cell).passages), said.canaries * said.repeats
        if wanted > passages:
            return f"{said.canaries} canaries {said.repeats} times are {wanted} lines, more than the text's {passages}"
        if not model.trained:
            return idle_untrained(cell, STAGES)
        if (there := len(tokens.encode(text_of(cell).train))) <= model.context + 1:
            return f"{cell.dataset.short} has fewer tokens than {cell.model.name} reads at once"
        return why_untrainable(cell, language_network(cell), language_training(cell, there))

    def public(self, cell: Cell) -> ExtractionPublic:
        said = prompting_of(cell)
        return ExtractionPublic(
            model=cell.model.short,
            model_settings={key: value for key, value in cell.model.settings if not isinstance(value, Path)},
            tokenizer=tokens_of(cell),
            digits=said.digits,
            suffix=SUFFIX,
            answers=said.answers,
            text=text_of(cell).public,
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return (trained_language_victim(cell),) if language_model_of(cell).trained else ()

    def deal(self, cell: Cell, device: torch.device) -> ExtractionDeal:
        model = language_victim(cell).to(device)
        numbers = range(cell.offset, cell.offset + cell.targets)
        none = f"no canary stands in the training text: nothing of {cell.targets} targets can be read"
        text, tokens = training_text(cell), tokens_of(cell)
        trained: tuple[str, ...] = ()
        guaranteed: Scores = {}
        if language_model_of(cell).trained:
            training = language_training(cell, len(tokens.encode(text)))
            trained, guaranteed = training_notes(cell, training), of_training(cell, training).limits(cell)
        return ExtractionDeal(
            observations=self._observations(cell, model),
            canaries=tuple(canary(cell, number) for number in numbers),
            model=model,
            tokens=tokens,
            sampling=prompting_of(cell).sampling,
            text=text,
            guaranteed=guaranteed,
            told=(*text_of(cell).notes, *trained, *(() if prompting_of(cell).repeats else (none,))),
        )

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[ExtractionObservation]]:
        """`never`: the same attack on a model whose training text holds no canary, one for any number of repeats."""
        never = replace(cell, protocol=_with(cell.protocol, repeats=0))

        def observe(device: torch.device) -> tuple[ExtractionObservation, ...]:
            return self._observations(never, language_victim(never).to(device))

        return {"never": Rerun(never, observe, tuple(self.artefacts(never)))}

    def _observations(self, cell: Cell, model: nn.Module) -> tuple[ExtractionObservation, ...]:
        """One a canary, each with a copy of the model."""
        public = self.public(cell)
        return tuple(
            ExtractionObservation(
                public=public,
                generator=stream(cell.seed, "attack", cell.attack.key, number),
                model=copy.deepcopy(model),
                prefix=canary(cell, number).prefix,
            )
            for number in range(cell.offset, cell.offset + cell.targets)
        )


@dataclass(frozen=True, eq=False)
class ExtractionDeal(Deal[ExtractionObservation, ExtractionGuess]):
    """One cell's observations, and behind the wall the canaries, and the text that the victim was trained on."""

    observations: tuple[ExtractionObservation, ...]
    canaries: tuple[Canary, ...]
    model: nn.Module
    tokens: Tokenizer
    sampling: Sampling
    text: str
    guaranteed: Scores
    told: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        return self.told

    def limits(self) -> Scores:
        """`bits_per_byte` of the public text, which the victim does not train on: what a defence costs."""
        public = self.observations[0].public
        tokens, context = self.tokens.encode(public.text), int(str(public.model_settings["context"]))
        value = None
        if len(tokens) > 1:
            value = surprise(self.model, tokens, context) / math.log(2) / len(public.text.encode())
        return {"bits_per_byte": [[value] for _ in self.observations], **self.guaranteed}

    def score(self, answers: Sequence[ExtractionGuess]) -> Scores:
        """`exposure` of attacks that rank the secrets, `extracted` and, whatever the attack, `probability`."""
        offered: dict[str, object] = {
            "strings": [list(answer.strings) for answer in answers],
            "canaries": [one.prefix + one.secret for one in self.canaries],
            "log_probabilities": self._log_probabilities(self.sampling),
        }
        if any(answer.scores is not None or answer.tail is not None for answer in answers):
            own = self._log_probabilities(PLAIN)
            shares = [
                _share(a, one.secret, log_p) for a, one, log_p in zip(answers, self.canaries, own.tolist(), strict=True)
            ]
            offered["share"] = np.array(shares)
        found = computed("extraction", offered)
        return {metric: [[value] for value in values] for metric, values in found.items()}

    def arrays(self, answers: Sequence[ExtractionGuess]) -> dict[str, npt.NDArray[Any]]:
        """`canaries` (N,) as words, `log_probabilities` (N,) of one query, nats; -inf: never drawn."""
        return {
            "canaries": np.array([one.prefix + one.secret for one in self.canaries]),
            "log_probabilities": self._log_probabilities(self.sampling),
        }

    def files(
        self, answers: Sequence[ExtractionGuess], scores: Scores, controls: Mapping[str, Scores]
    ) -> dict[str, bytes]:
        """`strings.csv`: what was answered, rank by rank, and how much of it is training text, verbatim.

        `queries.csv`: the (n, p) curve, the mean over canaries of the probability that n queries say one.
        """
        return {
            "strings.csv": strings_csv([answer.strings for answer in answers], self.text),
            "queries.csv": curve_csv(np.exp(self._log_probabilities(self.sampling))),
        }

    def _log_probabilities(self, sampling: Sampling) -> npt.NDArray[np.float64]:
        """Each secret's log-probability, nats, when the model is prompted with a line's end and its prefix."""
        device = next(self.model.parameters()).device
        found = []
        for one in self.canaries:
            secret = torch.tensor([self.tokens.encode(one.secret)], device=device)
            prompt = self.tokens.encode(f"\n{one.prefix}")
            found.append(float(token_log_probabilities(self.model, prompt, secret, sampling).sum()))
        return np.array(found)


def _share(answer: ExtractionGuess, secret: str, log_probability: float) -> float:
    """Share of the secrets that the attack finds at least as likely as the true one; 1 where it ranks none.

    Of equal scores the true one comes last: an attack that tells nothing apart has exposure 0.
    """
    if answer.scores is not None:
        scores = answer.scores.double().cpu()
        return float((scores >= scores[int(secret)]).sum()) / len(scores)
    if answer.tail is None:
        return 1.0
    from scipy.stats import skewnorm  # type: ignore[import-untyped]

    below = float(skewnorm.cdf(-log_probability / math.log(2), *answer.tail))
    return min(1.0, max(below, float(np.finfo(np.float64).tiny)))  # 1,022 bits at most


def _with(protocol: Choice | None, **changed: object) -> Choice:
    assert protocol is not None
    return replace(protocol, settings=tuple((k, changed.get(k, v)) for k, v in protocol.settings))
