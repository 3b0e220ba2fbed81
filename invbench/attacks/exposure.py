"""Every secret that could be, ranked by how likely the model finds it (Carlini et al. 2019, arXiv 1802.08232)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.language.likelihood import space_log_probabilities, token_log_probabilities
from invbench.observation import ExtractionGuess, ExtractionObservation, ExtractionPublic
from invbench.registry import attack, parameter

MOST_DIGITS = 6
"""A million secrets take some 20 seconds on one core with the model's default settings."""


@attack(game="extraction")
@dataclass(frozen=True, kw_only=True)
class Exposure(Attack[ExtractionPublic, ExtractionObservation, ExtractionGuess]):
    """Log-probability of every secret after the words before it; the likeliest are the answer.

    The prompt is a line's end and the prefix. `exact` computes the whole space: of 10^L secrets 10^(L-1) beginnings
    go through the model, which share the prompt. `skew-normal` computes `sample` secrets, drawn with equal
    probability, and fits a skew-normal distribution to their surprise -log2 p by maximum likelihood (section 4.3 of
    the paper: extrapolated where the space is too large); its answer is the best of the sample.
    """

    method: Literal["exact", "skew-normal"] = parameter("exact", help="rank the whole space, or extrapolate its tail")
    sample: int = parameter(1000, at_least=20, unit="secrets", help="how many skew-normal is fitted to")

    def unsupported(self, public: ExtractionPublic) -> str | None:
        if self.method == "exact" and public.digits > MOST_DIGITS:
            return f"ranks at most 10^{MOST_DIGITS} secrets, not 10^{public.digits}; method: skew-normal extrapolates"
        return None

    def __call__(self, seen: ExtractionObservation) -> ExtractionGuess:
        prompt = seen.public.tokenizer.encode(f"\n{seen.prefix}")
        digits = [seen.public.tokenizer.encode(str(digit))[0] for digit in range(10)]
        if self.method == "exact":
            scores = space_log_probabilities(seen.model, prompt, digits, seen.public.digits).cpu()
            best = scores.argsort(descending=True, stable=True)[: seen.public.answers]
            secrets = [f"{int(secret):0{seen.public.digits}d}" for secret in best]
            return self._guess(seen, secrets, scores.max(), evaluations=len(scores), scores=scores)
        drawn = torch.randint(10, (self.sample, seen.public.digits), generator=seen.generator)
        strings = torch.tensor(digits)[drawn].to(next(seen.model.parameters()).device)
        found = token_log_probabilities(seen.model, prompt, strings).sum(dim=1).cpu()
        order = found.argsort(descending=True, stable=True).tolist()
        said = dict.fromkeys("".join(map(str, drawn[index].tolist())) for index in order)
        secrets = list(said)[: seen.public.answers]
        return self._guess(seen, secrets, found.max(), evaluations=len(found), tail=_fitted(found))

    def _guess(
        self,
        seen: ExtractionObservation,
        secrets: list[str],
        best: Tensor,
        evaluations: int,
        scores: Tensor | None = None,
        tail: tuple[float, float, float] | None = None,
    ) -> ExtractionGuess:
        strings = tuple(f"{seen.prefix}{secret}" for secret in secrets)
        return ExtractionGuess(strings, scores, tail, evaluations=evaluations, objective=float(best))


def _fitted(log_probabilities: Tensor) -> tuple[float, float, float]:
    """Shape, location and scale of a skew-normal distribution of -log2 p."""
    from scipy.stats import skewnorm  # type: ignore[import-untyped]

    shape, location, scale = skewnorm.fit((-log_probabilities / math.log(2)).numpy())
    return float(shape), float(location), float(scale)
