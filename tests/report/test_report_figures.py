from __future__ import annotations

import numpy as np
import pytest
from made_results import attribute_record, empty_record, nested, update_record

from invbench.report.figures import Figures, figures_of, figures_of_all
from invbench.report.wording import finding


def test_the_strongest_control_follows_each_metrics_own_direction() -> None:
    figures = figures_of(update_record())
    assert figures.strongest["psnr"] == ("grey", 14.0)  # the higher of grey 14 and mean 13
    assert figures.strongest["lpips"] == ("mean", 0.4)  # the lower of grey 0.5 and mean 0.4
    assert figures.controls["psnr"] == {"grey": 14.0, "mean": 13.0}


def test_a_metric_without_values_has_no_summary_and_no_control() -> None:
    figures = figures_of(update_record())
    assert "ssim" not in figures.scores
    assert "ssim" not in figures.strongest


@pytest.mark.parametrize(
    ("psnr", "read"),
    [
        ([15.5, 15.0, 15.6], True),  # each target above its own control, 1.2 dB in the mean
        ([14.9, 14.4, 15.5], False),  # above its control at every target, but by 0.77 dB in the mean
        ([40.0, 5.0, 5.0], False),  # 2.5 dB above in the mean, but one target in three carries it
        ([10.0, 10.0, 10.0], False),
    ],
)
def test_an_attack_reads_only_what_is_a_decibel_and_its_interval_above_the_control(
    psnr: list[float], read: bool
) -> None:
    leak = figures_of(update_record(psnr)).leak
    assert leak is not None
    assert leak.control.name == "grey"
    assert leak.gain == pytest.approx(sum(psnr) / 3 - 42.5 / 3)
    assert leak.read is read


@pytest.mark.parametrize(("targets", "sure"), [(1, False), (2, False), (3, True)])
def test_fewer_than_three_targets_are_no_evidence(targets: int, sure: bool) -> None:
    cell = figures_of(update_record([40.0, 40.1, 39.9][:targets]))
    assert cell.leak is not None
    assert (cell.leak.more, cell.leak.read, cell.unsure) == (True, sure, not sure)
    assert finding(cell).startswith("unsure") is not sure


def test_a_cell_of_which_every_target_diverged_has_read_nothing() -> None:
    """Its answers may be random starts: LPIPS finds them closer to a photograph than noise that was fitted."""
    every, some = (found([0.0] * 8, noise=True, diverged=count) for count in (8, 1))
    assert finding(every) == "read nothing (+0.00 dB); 8 of 8 diverged"
    assert finding(some) == "read nothing (+0.00 dB); 1 of 8 diverged", "the control did another amount of work"
    by_psnr = figures_of(update_record([30.0, 34.0, 32.0], facts={"diverged": 3}))
    assert (by_psnr.shown, by_psnr.unsure) == (None, False)
    assert figures_of(update_record([30.0, 34.0, 32.0], facts={"diverged": 2})).shown is not None


def test_an_update_of_nothing_but_zeros_and_an_exact_control_leave_nothing_to_read() -> None:
    said = "the update of 3 of 3 targets is zero: nothing was shared"
    empty = figures_of(update_record([10.0] * 3, facts={"notes": [said]}))
    assert (empty.nothing_to_read, finding(empty)) == (said, "nothing to read")
    partly = figures_of(update_record([10.0] * 3, facts={"notes": [said.replace("3 of 3", "2 of 3")]}))
    assert partly.nothing_to_read is None
    some = {"grey": {"psnr": nested([100.0, 14.0, 15.0])}}
    assert figures_of(update_record([100.0, 30.0, 31.0], facts={"controls": some})).remarks == (
        "the control grey is exact at 1 of 3 targets: nothing can be read of those",
    )
    constant = figures_of(update_record([100.0] * 3, facts={"controls": {"grey": {"psnr": nested([100.0] * 3)}}}))
    assert constant.nothing_to_read == "the control grey has PSNR 100.00 dB already: no room is left above it"


def test_attributes_are_judged_by_accuracy_against_imputation() -> None:
    leak = figures_of(attribute_record([1] * 12)).leak
    assert leak is not None
    assert (leak.metric, leak.control, leak.gain, leak.read) == ("accuracy", ("imputation", 0.5), 0.5, True)
    unsure = figures_of(attribute_record([1, 0, 1, 1])).leak
    assert unsure is not None
    assert unsure.gain == 0.25
    assert (unsure.more, unsure.certain, unsure.read) == (True, False, False)


def test_without_numbers_or_controls_there_is_no_leak() -> None:
    assert figures_of(empty_record("failed", "why")).leak is None
    assert figures_of(update_record(facts={"controls": {}})).leak is None


def test_a_picture_that_has_no_value_is_left_out_of_a_controls_mean() -> None:
    grey = {"psnr": nested([12.0, None])}
    figures = figures_of(update_record([20.0, 21.0], facts={"controls": {"grey": grey}}))
    assert figures.strongest["psnr"] == ("grey", 12.0)


def found(identified: list[float], lpips: float = 0.3, noise: bool = False, diverged: int = 0) -> Figures:
    """A cell whose PSNR is its control's; the controls find nothing and are 0.4 and 0.5 away by LPIPS."""
    psnr = [14.0] * 8
    controls = {
        name: {"psnr": nested(psnr), "identified": nested([0.0] * 8), "lpips": nested([away] * 8)}
        for name, away in {"grey": 0.5, "mean": 0.4, **({"noise": 0.4} if noise else {})}.items()
    }
    scores = {"psnr": nested(psnr), "identified": nested(identified), "lpips": nested([lpips] * 8)}
    return figures_of(update_record(psnr, facts={"scores": scores, "controls": controls, "diverged": diverged}))


def test_what_psnr_misses_and_identified_shows_is_a_leak_and_says_by_which_metric() -> None:
    clear = found([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert clear.shown is not None
    assert (clear.shown.metric, clear.shown.gain) == ("identified", 0.5)
    assert finding(clear) == "+0.500 by identified (+0.00 dB)"
    once = found([1.0] + [0.0] * 7)  # chance
    assert (once.shown, once.unsure) == (None, True)
    assert finding(once) == "unsure (+0.125 by identified; +0.00 dB)"


def test_lpips_shows_a_leak_only_beside_the_noise_control() -> None:
    """It finds noise closer to a photograph than anything flat, so flat controls prove nothing."""
    assert found([0.0] * 8).shown is None
    assert finding(found([0.0] * 8)) == "read nothing (+0.00 dB)"
    beside = found([0.0] * 8, noise=True)
    assert finding(beside) == "+0.100 by LPIPS (+0.00 dB)"
    assert finding(found([0.0] * 8, lpips=0.5, noise=True)) == "read nothing (+0.00 dB)"


def test_figures_are_the_same_alone_and_among_others() -> None:
    rng = np.random.default_rng(0)
    records = [update_record(rng.normal(15, 3, 1 + k % 5).tolist(), seed=k) for k in range(40)]
    records[7:7] = [empty_record("failed", "why"), attribute_record([1, 0, 1, 1])]
    assert figures_of_all(iter(records)) == [figures_of(record) for record in records]
