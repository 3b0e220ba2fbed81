"""Data leakage in federated averaging (Dimitrov, Balunovic, Konstantinov and Vechev 2022, TMLR, arXiv 2206.12395)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from invbench.attacks import UpdateAttack
from invbench.labels import Read, label_strategy, read_labels
from invbench.matching.adam import adam
from invbench.matching.answers import Best, nothing_yet, take_better
from invbench.matching.epochs import Weights, epochs_of, largest_filtered, of_mean, problem_of_copies, together
from invbench.matching.lanes import Tracker, chunk_of, run_in_chunks
from invbench.matching.outcome import Outcome, counted
from invbench.matching.problem import Problem
from invbench.observation import Guess, Public, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.one_model import by_weights
from invbench.updates.simulation import hidden_scale


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class OrderInvariant(UpdateAttack):
    """Pictures of a client that shuffles them in each epoch: copies for each epoch, and a prior that they are one set.

    Needs `fedavg` with several `epochs` of several local batches and `order: shuffled`. Adam on all copies; then those
    of each epoch are matched to the first epoch's, and averaged. Which labels stand in which local batch is hidden even
    where the labels are known: they are taken in the order given, the same in each epoch, as in the paper.

    Defaults are the authors' for CIFAR-100, but for `tv`, whose unit differs; for grey pictures they have `lr: 0.4`,
    `outside: 2`, `order: 1000` and `invariant: mean`. Weights stand beside squares of gradients, whose size is the
    network's: on four digits and a `lenet` `order: 0.1` gains 0.6 dB, and 1 costs 1.6. The trap: the authors'
    best restart is the one of best true PSNR. Here the weight of the distance does not change over the steps.
    """

    iterations: int = parameter(400, at_least=1, help="steps of Adam of one start; a step is one evaluation")
    restarts: int = parameter(1, at_least=1, help="starts; the answer is the one with the least objective")
    lr: float = parameter(0.1, above=0, help="Adam's step size")
    tv: float = parameter(2e-4, at_least=0, help="weight of total variation (mean |dx| + mean |dy|, normalised space)")
    outside: float = parameter(10.0, at_least=0, help="weight of squares outside [0, 1], summed over a mean picture")
    order: float = parameter(6.075, at_least=0, help="weight of what tells one epoch's set of pictures from another's")
    invariant: Literal["max-conv", "mean"] = parameter(
        "max-conv", help="by which sets are compared: the most behind each of 96 random filters, or the mean picture"
    )
    labels: Literal["known", "llg-dummy", "llg-aux", "ilrg", "rlu"] = parameter("known", help="where labels come from")
    lanes: int = parameter(16, at_least=1, help="most targets and restarts that run as one batched program")

    def unsupported(self, public: Public) -> str | None:
        if public.clients > 1:
            return f"simulates the epochs of one client; here {public.clients} clients' updates are averaged"
        if epochs_of(public) < 2:
            return (
                "needs several whole epochs of several local batches in an order that the client draws (fedavg with "
                "`epochs`, `local_batch_size` and `order: shuffled`); inverting-gradients simulates a fixed order"
            )
        return hidden_scale(public) or label_strategy(self.labels, public)[1]

    def trial(self) -> tuple[Self, float]:
        """Two steps of one start; the whole takes at most this many times longer."""
        return dataclasses.replace(self, iterations=2, restarts=1), self.restarts * (self.iterations + 1) / 3

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """Targets and restarts as lanes; chunks of lanes follow each other in order."""
        return [guess for group in by_weights(observations) for guess in self._one_group(group)]

    def _one_group(self, group: Sequence[UpdateObservation]) -> list[Guess]:
        strategy, _ = label_strategy(self.labels, group[0].public)
        read = read_labels(strategy, group)
        assert read is not None  # no strategy here seeks them
        lanes, chunk = len(group) * self.restarts, chunk_of(self.lanes, sum(t.numel() for t in group[0].update))
        weights, planned = Weights(self.tv, self.outside, self.order), (self.iterations + 1) * -(-lanes // chunk)
        invariant = of_mean if self.invariant == "mean" else largest_filtered(group[0].public.image_shape[0])
        problem = problem_of_copies(group, [one.labels for one in read], weights, invariant, planned)
        best = self._search(problem, group, Tracker(self.iterations, lanes, chunk))
        return [_answer(problem, best, k, seen, one) for k, (seen, one) in enumerate(zip(group, read, strict=True))]

    def _search(self, problem: Problem, group: Sequence[UpdateObservation], tracker: Tracker) -> Best:
        """The best start of every target; every start takes all of its steps."""

        def minimise(problem: Problem, start: Tensor, _: Tensor) -> Outcome:
            settings = {"iterations": self.iterations, "lr": self.lr, "report": tracker.at}
            return adam(problem, start, signed=False, schedule="none", **settings)  # type: ignore[arg-type]

        starts = [torch.randn(problem.size, generator=seen.generator) for seen in group for _ in range(self.restarts)]
        targets = torch.arange(len(group)).repeat_interleave(self.restarts)
        device = problem.lower.device
        never = torch.zeros(len(group), device=device)
        ran = run_in_chunks(minimise, problem, targets, torch.stack(starts).to(device), never, tracker)
        return take_better(nothing_yet(problem, len(group)), targets, ran)


def _answer(problem: Problem, best: Best, index: int, seen: UpdateObservation, read: Read) -> Guess:
    """The copies of target `index`, brought together."""
    copies = seen.to_unit_range(problem.images(best.lane.variables)[index])
    objective = float(best.lane.objective[index])
    return Guess(
        images=together(copies.reshape(-1, seen.public.batch_size, *seen.public.image_shape)),
        labels=read.labels,
        evaluations=int(best.lane.evaluations[index]),
        diverged=bool(best.lane.diverged[index]),
        objective=objective if objective < float("inf") else None,
        notes=(*read.notes, *problem.programs.notes),
        stopped=counted(best.stopped[index]),
    )
