"""Which noise stands in what a client sends: what comes before it, what after, and where no limit can be told."""

import math
from dataclasses import dataclass

import pytest
import torch

from invbench.defenses import Context, Defense, Noise, Stack
from invbench.defenses.clip import Clip
from invbench.defenses.dp_sgd import ClippedSum, DpSgd
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.laplace import Laplace
from invbench.defenses.per_example_clip import PerExampleClip
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.sign import Sign
from invbench.defenses.top_k import TopK
from invbench.observation import Update
from invbench.protocol import Multiple
from invbench.updates.noisy import Noisy, noisy

ONE, SEVERAL = Multiple(1.0, exact=True), Multiple(-0.5, exact=False)


def found(*defenses: Defense, gradient: Multiple = ONE) -> Noisy | str | None:
    return noisy(Stack(defenses), [type(one).__name__ for one in defenses], 4, gradient)


@dataclass(frozen=True)
class Private(Defense):
    """DP-SGD's step, as a defence of updates: each example's gradient clipped, noise on their mean."""

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        return gradients

    def noise_sent(self, batch_size: int) -> Noise:
        return Noise((0.5 / batch_size) ** 2, behind=(PerExampleClip(norm=1.0),))


def test_without_noise_there_is_no_limit_to_speak_of():
    for defenses in ((), (Clip(norm=1.0),), (TopK(fraction=0.1), Sign()), (Gaussian(std=0.0),)):
        assert found(*defenses) is None


def test_steps_before_the_noise_are_kept_and_what_follows_is_only_named():
    clip, noise = Clip(norm=1.0), Gaussian(std=0.1)
    where = found(clip, noise, TopK(fraction=0.1), Clip(norm=0.5))
    assert where == Noisy(Stack((clip,)), pytest.approx(0.01), ("TopK", "Clip"))


@pytest.mark.parametrize("step", [TopK(fraction=0.1), Sign(), Quantize(bits=4), RandomK(fraction=0.5)])
def test_a_step_that_has_no_telling_derivative_before_the_noise_is_named(step):
    assert type(step).__name__ in str(found(step, Gaussian(std=0.1)))


def test_noises_in_a_row_add_their_inverse_informations():
    where = found(Gaussian(std=0.3), Laplace(std=0.4))
    assert isinstance(where, Noisy)
    assert where.variance == pytest.approx(0.09 + 0.08)  # Laplace's is b^2, half its variance


def test_laplace_noise_has_the_fisher_information_of_its_own_density():
    noise = Laplace(std=0.4).noise_sent(1)
    x = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    b = 0.4 / math.sqrt(2)
    density = torch.exp(-x.abs() / b) / (2 * b)
    score = torch.gradient(density.log(), spacing=(x,))[0]
    information = float(torch.trapezoid(density * score.square(), x))
    assert noise is not None
    assert 1 / noise.variance == pytest.approx(information, rel=1e-3)


def test_noise_on_the_mean_of_examples_counts_where_one_gradient_is_sent():
    where = found(Private(), gradient=Multiple(-0.1, exact=True))
    assert where == Noisy(Stack((PerExampleClip(norm=1.0),)), pytest.approx((0.1 * 0.125) ** 2))
    assert "several steps" in str(found(Private(), gradient=SEVERAL))
    assert isinstance(found(Gaussian(std=0.1), gradient=SEVERAL), Noisy)  # on the difference itself


def test_dp_sgd_on_updates_clips_examples_and_then_adds_its_noise():
    private = DpSgd(rounds=1, noise=2.0, clip=0.5, batch=4)
    summed = ClippedSum(clip=0.5, batch=4)
    assert found(private) == Noisy(Stack((summed,)), pytest.approx(0.25**2))
    both = found(Gaussian(std=0.1), private)  # listed first, and yet after the clipping of examples
    assert both == Noisy(Stack((summed,)), pytest.approx(0.25**2 + 0.01))
    assert found(DpSgd(noise=2.0), Clip(norm=1.0)) is None  # of trainings
