"""What a stack guarantees of a client's update: the order of its steps decides, and every refusal has its reason."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from invbench import registry
from invbench.core.private import Private
from invbench.core.training import Training
from invbench.defenses import Context, Defense, Round, Stack, dp_sgd
from invbench.defenses._accountant import epsilon_of, gaussian_delta, gaussian_distance, gaussian_epsilon
from invbench.defenses._contract import BrokenContract
from invbench.defenses.clip import Clip
from invbench.defenses.dp_sgd import DpSgd
from invbench.defenses.gaussian import Gaussian
from invbench.privacy import Guarantee, rounds
from invbench.privacy.rounds import guarantee_of_round
from invbench.privacy.trainings import guarantee_of_training

BATCH = 4


def of(*stack: tuple[str, dict[str, object]]) -> Guarantee | str:
    parts = [(name, registry.load("defense", name).build(settings, Defense)) for name, settings in stack]
    return guarantee_of_round([(name, part.of_round(Round(BATCH))) for name, part in parts])


def epsilon(*stack: tuple[str, dict[str, object]]) -> float:
    found = of(*stack)
    assert isinstance(found, Guarantee), found
    return found.epsilon


CLIP, L1 = ("clip", {"norm": 0.5}), ("clip", {"norm": 0.5, "p": "l1"})
NOISE = ("gaussian", {"std": 1.0})
LAPLACE = ("laplace", {"std": math.sqrt(2)})  # scale 1
TOP_K, HALF = ("top-k", {"fraction": 0.1}), ("random-k", {"fraction": 0.5})
BITS = ("quantize", {"bits": 8})
DP: tuple[str, dict[str, object]] = ("dp-sgd", {"noise": 4.0, "rounds": 1})


@pytest.mark.parametrize(("multiple", "wanted"), [(1, 9.9973), (2, 4.3772), (4, 1.9931), (8, 0.9263)])
def test_a_clip_of_the_whole_update_then_gaussian_noise(multiple: int, wanted: float) -> None:
    """Exact, for two updates up to twice the norm apart (Balle and Wang 2018)."""
    assert epsilon(("clip", {"norm": 0.3}), ("gaussian", {"std": 0.3 * multiple})) == pytest.approx(wanted, abs=1e-3)


def test_the_exact_epsilon_is_where_delta_is_met_and_a_distance_gives_it_back() -> None:
    for distance in (0.01, 0.25, 1.0, 4.0, 20.0):
        found = gaussian_epsilon(distance, 1e-5)
        assert gaussian_delta(found, distance) <= 1e-5 < gaussian_delta(found - 1e-6 * max(found, 1), distance)
        assert gaussian_distance(found, 1e-5) == pytest.approx(distance, rel=1e-6)
    for delta in (1e-100, 1e-200, 1e-250, 1e-300):
        assert gaussian_epsilon(gaussian_distance(1.0, delta), delta) == pytest.approx(1.0, rel=1e-6), delta
    assert gaussian_epsilon(1e-6, 1e-5) == 0
    assert gaussian_epsilon(31.0, 1e-5) == math.inf


def test_next_to_no_noise_guarantees_nothing_and_is_no_division_by_zero() -> None:
    assert epsilon_of(1e-300, 0.5, 3, 1e-5, "rdp") == epsilon_of(1e-300, 0.5, 3, 1e-5, "prv") == (math.inf, "rdp")


def test_laplace_noise_has_an_epsilon_after_an_l1_clip_alone() -> None:
    found = of(L1, LAPLACE)
    assert isinstance(found, Guarantee)
    assert (found.epsilon, found.delta) == (pytest.approx(2 * 0.5), 0)
    assert "needs an L1 clip" in str(of(CLIP, LAPLACE))
    assert epsilon(L1, NOISE) == epsilon(CLIP, NOISE)


def test_clips_by_two_norms_both_hold() -> None:
    wide: tuple[str, dict[str, object]] = ("clip", {"norm": 50.0})
    assert epsilon(L1, wide, LAPLACE) == epsilon(wide, L1, LAPLACE) == epsilon(L1, LAPLACE)
    assert epsilon(CLIP, ("clip", {"norm": 50.0, "p": "l1"}), NOISE) == epsilon(CLIP, NOISE)
    assert epsilon(L1, wide, NOISE) == epsilon(CLIP, NOISE), "an L1 norm bounds the L2 norm"


@pytest.mark.parametrize(
    ("stack", "why"),
    [
        ([CLIP], "clipping alone"),
        ([NOISE], "no clip before it"),
        ([NOISE, CLIP], "clipping alone has none: no noise follows"),
        ([CLIP, ("gaussian", {"std": 0.0})], "clipping alone"),
        ([CLIP, BITS, NOISE], "quantize, after the clip and before any noise, may make an update longer"),
        ([CLIP, ("sign", {}), NOISE], "sign, after the clip"),
        ([CLIP, ("random-k", {"fraction": 0.5, "rescale": True}), NOISE], "random-k, after the clip"),
        ([BITS], "nothing in the stack"),
        ([("per-example-clip", {"norm": 1.0}), NOISE], "no clip before it"),
        ([("dp-sgd", {"noise": 1.0})], "without `rounds` makes the victim's training private"),
        ([("dp-sgd", {"noise": 0.0, "rounds": 1})], "dp-sgd adds no noise"),
        ([DP, ("per-example-clip", {"norm": 1.0})], "per-example-clip acts on gradients that dp-sgd has clipped"),
        ([TOP_K, DP], "top-k stands between dp-sgd's sum and its noise"),
        ([CLIP, ("qsgd", {}), NOISE], "qsgd, after the clip and before any noise, may make an update longer"),
        ([CLIP, ("top-k", {"fraction": 0.1, "feedback_rounds": 3}), NOISE], "top-k, after the clip"),
        ([CLIP, NOISE, ("soteria", {})], "soteria stands behind the noise and reads the client's pictures again"),
        ([DP, ("soteria", {})], "soteria stands behind the noise and reads the client's pictures again"),
        ([("mixup", {}), DP], "mixup acts on a batch before dp-sgd clips its examples, and may mix them"),
    ],
)
def test_what_guarantees_nothing_says_why(stack: list[tuple[str, dict[str, object]]], why: str) -> None:
    found = of(*stack)
    assert isinstance(found, str)
    assert why in found


def test_what_comes_after_the_noise_is_free_and_what_shortens_before_it_keeps_the_bound() -> None:
    plain = epsilon(CLIP, NOISE)
    assert epsilon(CLIP, ("prune", {}), ("partial", {}), NOISE) == plain
    for stack in (
        [CLIP, NOISE, TOP_K],
        [CLIP, NOISE, BITS],
        [CLIP, TOP_K, NOISE],
        [CLIP, HALF, NOISE],
        [CLIP, ("prune", {}), ("soteria", {}), ("partial", {}), NOISE, ("partial", {}), ("qsgd", {})],
        [BITS, CLIP, NOISE],
    ):
        assert epsilon(*stack) == plain, stack
    assert epsilon(("clip", {"norm": 5.0}), CLIP, ("clip", {"norm": 3.0}), NOISE) == plain, "the tightest clip counts"
    assert epsilon(CLIP, ("gaussian", {"std": 0.5}), CLIP, NOISE) == plain, "the second round of noise says less"


def test_dp_sgd_counts_every_example_in_every_round() -> None:
    assert epsilon(DP) == pytest.approx(0.9263, abs=1e-3)
    assert epsilon(("dp-sgd", {"noise": 40.0, "rounds": 100})) == pytest.approx(0.9263, abs=1e-3)
    assert epsilon(("dp-sgd", {}), DP) == epsilon(DP), "the first acts on the victim's training"
    assert epsilon(DP, TOP_K) == epsilon(("per-example-clip", {"norm": 1.0}), DP) == epsilon(DP)
    asked = DpSgd(epsilon=8.0, rounds=1000).of_round(Round(BATCH))
    assert asked.noise is not None
    assert epsilon(("dp-sgd", {"noise": asked.noise, "rounds": 1000})) == pytest.approx(8, abs=1e-6)


@pytest.mark.parametrize("examples", [1, 7, 8, 9])
def test_the_divisor_is_the_batch_asked_for_however_many_examples_there_are(examples: int) -> None:
    """Opacus 1.6 divides by int(N * q) of the private N (its issue 819): noise alone would tell 8 records from 7."""
    acting = DpSgd(clip=2.0, noise=3.0, rounds=1).of_round(Round(BATCH))
    zeros = [(torch.zeros(20_000),)] * examples
    drawn = acting.update(acting.per_example(zeros, context())[0], context())[0]
    assert float(drawn.std()) == pytest.approx(3 * 2 / BATCH, rel=0.03)
    loud = acting.per_example([(torch.full((4,), 100.0),)] * examples, context())
    mean = torch.stack([gradient for (gradient,) in loud]).mean(dim=0)
    assert float(mean.norm()) == pytest.approx(2.0 * examples / BATCH), "the sum of clipped gradients over the batch"


def test_sampling_that_the_game_does_not_do_is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accountant is Opacus', which is not asked here."""
    monkeypatch.setattr(dp_sgd, "installed", lambda: True)
    monkeypatch.setattr(rounds, "installed", lambda: True)
    monkeypatch.setattr(dp_sgd, "least_noise", lambda *asked: 0.7 if asked == (8.0, 0.01, 1000, 1e-5, "rdp") else 0.0)
    monkeypatch.setattr(rounds, "epsilon_of", lambda *asked: (7.983, "rdp"))
    settings = {"epsilon": 8.0, "rounds": 1000, "population": 400}
    found = of(("dp-sgd", settings))
    assert isinstance(found, Guarantee)
    assert found.epsilon > 100
    assert "epsilon 7.98" in found.how
    assert "(RDP) is not covered: the batches attacked are no Poisson samples" in found.how


def test_dp_sgd_refuses_a_round_that_it_does_not_fit() -> None:
    with pytest.raises(ValueError, match="acts on one gradient"):
        DpSgd(rounds=1).of_round(Round(4, one_gradient=False))
    with pytest.raises(ValueError, match="mixes a batch's examples"):
        DpSgd(rounds=1).of_round(Round(4, mixing=True))
    with pytest.raises(ValueError, match="population of 3"):
        DpSgd(rounds=1, population=3).of_round(Round(4))
    assert DpSgd().of_round(Round(4, one_gradient=False)) == DpSgd(), "it acts on a training"
    with pytest.raises(ValueError, match="`of_round` fills them in"):
        DpSgd(rounds=1).update((torch.zeros(2),), context())


def context() -> Context:
    return Context(torch.Generator().manual_seed(0))


def test_what_inherits_from_a_mechanism_is_not_that_mechanism() -> None:
    """Somebody's own noise may be none: only the classes that were proved guarantee anything."""
    silent = type("Silent", (Gaussian,), {"update": lambda self, shared, context: shared})(std=1.0)
    assert "may make an update longer" in str(guarantee_of_round([("clip", Clip(norm=0.5)), ("silent", silent)]))
    lax = type("Lax", (Clip,), {"update": lambda self, shared, context: shared})(norm=0.5)
    assert "none by itself" in str(guarantee_of_round([("lax", lax), ("gaussian", Gaussian(std=1.0))]))
    private = type("Quiet", (Private,), {"noised": lambda self, sums, stream: sums})(1.0, 4.0, 10, 0)
    found = guarantee_of_training([("dp-sgd", DpSgd())], Training(10, private=private, examples=100))
    assert found == "no defence makes the training differentially private"


def test_a_defence_may_not_claim_other_examples_than_there_are() -> None:
    """With a thousand times as many, an example would seem to be drawn a thousand times more rarely."""
    odd = type("Odd", (Defense,), {"training": lambda self, training, context: replace(training, examples=10**6)})()
    with pytest.raises(BrokenContract, match="must keep the number of examples, 100, and gives 1000000"):
        Stack((odd,)).at("training", Training(10, examples=100), Context(torch.Generator()))


@pytest.mark.parametrize("seen", [4, 16])
def test_rounds_of_one_batch_compose_exactly(seen: int) -> None:
    """R rounds of Gaussian noise are one of std / sqrt(R); Laplace noise has R times its epsilon."""

    def seen_often(*stack: tuple[str, dict[str, object]]) -> Guarantee:
        parts = [(name, registry.load("defense", name).build(settings, Defense)) for name, settings in stack]
        found = guarantee_of_round([(name, part.of_round(Round(BATCH))) for name, part in parts], seen)
        assert isinstance(found, Guarantee)
        return found

    assert seen_often(CLIP, ("gaussian", {"std": math.sqrt(seen)})).epsilon == pytest.approx(epsilon(CLIP, NOISE))
    assert seen_often(L1, LAPLACE).epsilon == pytest.approx(seen * epsilon(L1, LAPLACE))
    asked = ("dp-sgd", {"noise": 4.0, "rounds": seen})
    assert seen_often(DP).epsilon == epsilon(asked), "dp-sgd asked for one round, which was not the last"
    assert seen_often(("dp-sgd", {"noise": 4.0, "rounds": 2 * seen})).epsilon > epsilon(asked)
