"""How a guess at a batch is scored: whatever its order, its length and its numbers, and beside which controls."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small_cells import crops, make_cell, write_pool
from torch import Tensor

from invbench.data import ImagePool
from invbench.games.update import UpdateDeal, UpdateGame
from invbench.metrics import label_overlap, lpips, psnr, ssim
from invbench.observation import Guess
from invbench.scoring.controls import prior_labels, stand_in
from invbench.scoring.reconstruction import Scores
from invbench.sheets import sheet_of

BATCH = 4
LABELS = np.array([2, 0, 1, 2, 1, 1, 0, 2, 0, 0, 1, 2])
PERFECT = {"psnr": 100.0, "ssim": 1.0, "lpips": 0.0, "label_accuracy": 1.0, "exact": 1.0, "identified": 1.0,
           "recovered": 1.0}  # fmt: skip
FEW = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def play(folder: Path, images: np.ndarray | None = None, labels: np.ndarray | None = None, **said: Any) -> UpdateDeal:
    """One batch of four of a user's own pictures, unless told otherwise."""
    images = crops(12) if images is None else images
    write_pool(folder / "pool.npz", images, LABELS if labels is None and len(images) == 12 else labels)
    said = {"batch_size": BATCH, "targets": 1, "attack": {"name": "inverting-gradients"}} | said
    return UpdateGame().deal(make_cell(folder, **said), torch.device("cpu"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def played(tmp_path: Path) -> UpdateDeal:
    return play(tmp_path)


def truth(played: UpdateDeal, target: int = 0) -> Tensor:
    return torch.from_numpy(played.arrays([seen.nothing("") for seen in played.observations])["originals"][target])


@cache
def blurred() -> Tensor:
    """Four pictures near the originals, each at a distance of its own."""
    shift = torch.tensor([0.02, 0.05, 0.08, 0.11]).reshape(-1, 1, 1, 1)
    noise = torch.randn(BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return (torch.from_numpy(crops(BATCH)).float() / 255 + shift * noise).clamp(0, 1)


def one(played: UpdateDeal, images: Tensor, labels: Tensor | None = None) -> dict[str, list[float | None]]:
    """The scores of one batch, metric to picture."""
    return first(played.score([Guess(images=images, labels=labels)]))


def first(scores: Scores) -> dict[str, list[float | None]]:
    return {name: targets[0] for name, targets in scores.items()}


def test_every_metric_of_the_game_is_scored_and_no_other(played: UpdateDeal) -> None:
    scores = played.score([Guess(images=truth(played))])
    named = sheet_of("update").by_name
    of_malicious = {"d_snr", "d_snr_honest"}
    assert scores.keys() == {name for name in named if named[name].role != "limit"} - of_malicious
    assert all(np.shape(targets) == (1, BATCH) for targets in scores.values())
    assert all(control.keys() <= scores.keys() for control in played.controls().values())


@FEW
@given(order=st.permutations(range(BATCH)))
def test_a_perfect_guess_is_perfect_in_any_order(tmp_path: Path, order: list[int]) -> None:
    played = play(tmp_path)
    scores = one(played, truth(played)[order], torch.from_numpy(LABELS[:BATCH])[order])
    for metric, best in PERFECT.items():
        assert scores[metric] == pytest.approx([best] * BATCH, abs=1e-9), metric


@FEW
@given(order=st.permutations(range(BATCH)))
def test_matching_undoes_any_permutation_for_every_metric(tmp_path: Path, order: list[int]) -> None:
    played, labels = play(tmp_path), torch.tensor([2, 1, 1, 2])
    plain = one(played, blurred(), labels)
    assert plain["psnr"] == pytest.approx(psnr(blurred(), truth(played)).tolist())
    assert plain["ssim"] == pytest.approx(ssim(blurred(), truth(played)).tolist())
    assert plain["lpips"] == pytest.approx(lpips(blurred(), truth(played)).tolist(), abs=1e-6)
    assert plain["label_accuracy"] == [1.0, 0.0, 1.0, 1.0]
    assert one(played, blurred()[order], labels[order]) == plain


def test_one_assignment_serves_every_metric_and_the_labels(played: UpdateDeal) -> None:
    """The two middle pictures swap their labels: each picture keeps the label that it came with."""
    labels = torch.tensor([2, 1, 0, 2])
    assert one(played, blurred()[[3, 2, 1, 0]], labels[[3, 2, 1, 0]])["label_accuracy"] == [1.0, 0.0, 0.0, 1.0]


def test_every_target_is_matched_with_its_own_batch(tmp_path: Path) -> None:
    played = play(tmp_path, targets=3)
    right = [Guess(images=truth(played, k)) for k in range(3)]
    assert played.score(right)["psnr"] == [[100.0] * BATCH] * 3
    assert max(map(max, played.score(right[::-1])["psnr"][::2])) < 40


def test_a_missing_picture_is_scored_as_the_mean_of_the_pictures_not_attacked(played: UpdateDeal) -> None:
    mean = torch.from_numpy(crops(12)[BATCH:]).double().mean(dim=0) / 255
    scores = one(played, blurred()[2:3], torch.tensor([1]))
    filled = one(played, torch.stack([mean, mean, blurred()[2].double(), mean]))
    for metric in ("psnr", "ssim", "lpips", "identified"):
        assert scores[metric] == pytest.approx(filled[metric], abs=1e-6), metric
    assert scores["recovered"] == [0.0, 0.0, 1.0, 0.0]


def test_a_missing_picture_is_never_exact_however_near_the_mean_is(tmp_path: Path) -> None:
    same = np.repeat(crops(1), 12, axis=0)
    scores = one(play(tmp_path, same), torch.zeros(0, 3, 16, 16))
    assert scores["psnr"] == [100.0] * BATCH
    assert scores["exact"] == scores["recovered"] == [0.0] * BATCH


def test_a_guess_of_nothing_is_scored(played: UpdateDeal) -> None:
    scores = first(played.score([played.observations[0].nothing("why")]))
    assert scores["recovered"] == [0.0] * BATCH
    assert scores["label_accuracy"] == [None] * BATCH
    assert scores["psnr"] == first(played.controls()["mean"])["psnr"]


def test_labels_that_are_granted_are_not_read(played: UpdateDeal) -> None:
    assert one(played, blurred(), torch.tensor([2, 1, 0, 2]))["label_overlap"] == [None] * BATCH
    assert all("label_overlap" not in control for control in played.controls().values())


def test_hidden_labels_are_read_in_whatever_order_beside_the_class_prior(tmp_path: Path) -> None:
    """The batch has labels 2, 0, 1, 2; of the eight others three are 0, three are 1 and two are 2."""
    played = play(tmp_path, protocol={"name": "fedsgd", "labels": "hidden"})
    assert one(played, blurred(), torch.tensor([1, 2, 2, 0]))["label_overlap"] == [1.0] * BATCH
    assert one(played, blurred(), torch.tensor([1, 2, 1, 1]))["label_overlap"] == [1.0, 0.0, 1.0, 0.0]
    assert one(played, blurred()[:2], torch.tensor([2, 2]))["label_overlap"] == [1.0, 0.0, 0.0, 1.0]
    controls = played.controls()
    assert prior_labels(played.pool, np.arange(BATCH)).tolist() == [0, 0, 1, 2]
    assert controls["mean"]["label_overlap"] == [[1.0, 1.0, 1.0, 0.0]]
    assert "label_overlap" not in controls["grey"]


@pytest.mark.parametrize(("batch", "expected"), [(8, 0.57), (64, 0.85), (256, 0.92)])
def test_the_class_prior_alone_tells_most_labels_of_a_large_batch(batch: int, expected: float) -> None:
    """As much as labels that never change do, of batches of an even data set: which are attacked moves no share."""
    drawn = np.random.default_rng(0)
    even = np.repeat(np.arange(10), [batch // 10 + (k < batch % 10) for k in range(10)])
    labels = np.repeat(np.arange(10), 1000)
    none = np.zeros(0, np.int64)
    pool = ImagePool(
        images=np.zeros((10_000, 1, 1, 1), np.uint8), labels=labels, classes=10, mean=(0.5,), std=(1.0,),
        train=none, targets=np.arange(10_000), trained_targets=none,
    )  # fmt: skip
    batches = [drawn.choice(10_000, batch, replace=False) for _ in range(2000)]
    found = [(prior_labels(pool, attacked), labels[attacked]) for attacked in batches]
    assert all(np.array_equal(prior, even) for prior, _ in found)
    assert np.mean([label_overlap(prior, truth) for prior, truth in found]) == pytest.approx(expected, abs=0.01)


def test_a_label_that_went_missing_with_its_picture_is_a_wrong_one(played: UpdateDeal) -> None:
    """A mean over what was returned would flatter."""
    assert one(played, blurred()[1:3], torch.tensor([0, 2]))["label_accuracy"] == [0.0, 1.0, 0.0, 0.0]


def test_pictures_beyond_the_batch_are_ignored(played: UpdateDeal) -> None:
    others = torch.from_numpy(crops(12)[8:]).float() / 255
    more, labels = torch.cat([others, blurred()]), torch.tensor([0, 0, 0, 0, 2, 0, 1, 2])
    assert one(played, more, labels) == one(played, blurred(), labels[4:])


@FEW
@given(bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), 7.0, -3.0]), place=st.integers(0, 767))
def test_numbers_that_are_no_brightness_are_clamped_and_nan_is_black(tmp_path: Path, bad: float, place: int) -> None:
    played, images, clean = play(tmp_path), blurred().clone(), blurred().clone()
    images[1].view(-1)[place] = bad
    clean[1].view(-1)[place] = 1.0 if bad > 1 else 0.0
    assert one(played, images) == one(played, clean)


def test_a_guess_that_is_all_nan_is_scored_as_black(played: UpdateDeal) -> None:
    scores = one(played, torch.full((BATCH, 3, 16, 16), torch.nan))
    assert scores["psnr"] == pytest.approx(psnr(np.zeros((BATCH, 3, 16, 16)), truth(played)).tolist())
    assert scores["recovered"] == [1.0] * BATCH


@pytest.mark.parametrize("shape", [(BATCH, 3, 8, 8), (BATCH, 1, 16, 16), (BATCH, 768)])
def test_pictures_of_another_shape_are_no_guess(played: UpdateDeal, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape|dimension"):
        one(played, torch.zeros(shape))


def test_a_guess_without_labels_leaves_their_accuracy_empty(played: UpdateDeal) -> None:
    assert one(played, blurred())["label_accuracy"] == [None] * BATCH


def test_exact_means_above_80_decibels(played: UpdateDeal) -> None:
    off = torch.tensor([0.9e-4, 1.1e-4, 0.0, 0.0]).reshape(-1, 1, 1, 1)  # 80 dB is a distance of 1e-4
    images = truth(played).double()
    guess = torch.where(images > 0.5, images - off, images + off)
    scores = one(played, guess)
    assert scores["exact"] == [1.0, 0.0, 1.0, 1.0]
    assert [round(v) for v in scores["psnr"]] == [81, 79, 100, 100]


# `identified`


def test_a_guess_nearer_to_another_target_is_not_identified(played: UpdateDeal) -> None:
    other = torch.from_numpy(crops(12)[7]).float() / 255
    guess = truth(played).clone()
    guess[1] = 0.3 * guess[1] + 0.7 * other
    assert one(played, guess)["identified"] == [1.0, 0.0, 1.0, 1.0]


def test_a_copy_of_the_original_among_the_candidates_takes_nothing_away(tmp_path: Path) -> None:
    twice = np.concatenate([crops(6), crops(6)])
    assert one(play(tmp_path, twice), blurred())["identified"] == one(play(tmp_path), blurred())["identified"]
    scores = one(play(tmp_path, twice), torch.from_numpy(twice[:BATCH]).float() / 255)
    assert scores["identified"] == [1.0] * BATCH


def test_candidates_are_the_original_and_the_99_targets_after_it(tmp_path: Path) -> None:
    """A target that equals the guess makes it unidentified when it is among the candidates, and only then."""
    nearly = np.rint(0.9 * crops(1)[0] + 12).astype(np.uint8)  # no other crop is as near to the first
    for place, found in ((99, 0.0), (100, 1.0), (109, 1.0)):
        images = crops(110)
        images[place] = nearly
        played = play(tmp_path, images, np.arange(110) % 3, batch_size=1)
        assert one(played, torch.from_numpy(nearly[None]).float() / 255)["identified"] == [found], place


def test_the_candidates_of_the_last_targets_begin_again_with_the_first(tmp_path: Path) -> None:
    images = crops(110)
    played = play(tmp_path, images, np.arange(110) % 3, batch_size=1, offset=109)
    as_target = {place: torch.from_numpy(images[place : place + 1]).float() / 255 for place in (0, 98, 109)}
    assert [one(played, as_target[place])["identified"] for place in (0, 98, 109)] == [[0.0], [0.0], [1.0]]


def test_fewer_targets_than_100_are_all_candidates(tmp_path: Path) -> None:
    played = play(tmp_path, batch_size=1, offset=3)
    for place, picture in enumerate(torch.from_numpy(crops(12)).float() / 255):
        assert one(played, picture[None])["identified"] == [float(place == 3)]


# Controls


def test_the_grey_control_is_the_best_of_all_levels(played: UpdateDeal) -> None:
    ours = first(played.controls()["grey"])["psnr"]
    levels = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    for picture, value in zip(truth(played).double(), ours, strict=True):
        errors = ((picture.flatten()[:, None] - levels) ** 2).mean(dim=0)
        assert value == pytest.approx(-10 * float(errors.min().log10()), abs=1e-3)


@pytest.mark.parametrize("trained", [False, True])
def test_the_mean_control_is_the_mean_of_all_pictures_but_those_attacked(tmp_path: Path, trained: bool) -> None:
    played = play(tmp_path, model={"name": "mlp", "width": 5, "trained": trained, "training_steps": 1})
    attacked = played.pool.trained_targets[:BATCH] if trained else np.arange(BATCH)
    others = np.delete(crops(12), attacked, axis=0).astype(np.float64) / 255
    mean = np.broadcast_to(others.mean(axis=0), (BATCH, 3, 16, 16))
    control, pictures = first(played.controls()["mean"]), truth(played)
    assert control["psnr"] == pytest.approx(psnr(mean, pictures).tolist(), abs=1e-6)
    assert control["ssim"] == pytest.approx(ssim(mean, pictures).tolist(), abs=1e-6)
    assert control["lpips"] == pytest.approx(lpips(mean, pictures).tolist(), abs=1e-6)


def test_every_target_has_the_mean_of_the_pictures_that_are_not_its_own_or_of_those_of_its_label(
    tmp_path: Path,
) -> None:
    every = np.tile(np.arange(BATCH), 3)
    played = play(tmp_path, crops(12), every, targets=3)
    for k, target in enumerate(played.controls()["mean"]["psnr"]):
        mine = slice(k * BATCH, (k + 1) * BATCH)
        others = np.delete(crops(12), mine, axis=0).astype(np.float64) / 255
        labels, own, true = np.delete(every, mine), every[mine], truth(played, k).numpy()
        of_all = np.broadcast_to(others.mean(axis=0), (BATCH, 3, 16, 16))
        of_label = np.stack([others[labels == label].mean(axis=0) for label in own])
        near = min((of_all, of_label), key=lambda means: np.square(means - true).sum())
        assert target == pytest.approx(psnr(near, true).tolist(), abs=1e-6)


def test_a_label_that_repeats_has_as_many_centres_in_the_order_that_fits_best(tmp_path: Path) -> None:
    """What eight public faces, always the same, score behind the best assignment is not read."""
    levels = np.array([40, 200] * 6, dtype=np.uint8)
    images = (levels[:, None, None, None] + np.random.default_rng(0).integers(0, 30, (12, 3, 16, 16))).astype(np.uint8)
    played = play(tmp_path, images, np.array([0, 0] * 5 + [1, 2]), batch_size=2, targets=1)
    (found,) = played.controls()["mean"]["psnr"]
    dark, light = (images[2:10][levels[2:10] == level].mean(axis=0) / 255 for level in (40, 200))
    assert found == pytest.approx(psnr(np.stack([dark, light]), truth(played)).tolist(), abs=1e-6)


def test_what_stands_in_for_a_missing_answer_knows_nothing_of_the_pictures_attacked(tmp_path: Path) -> None:
    pools = [play(tmp_path / name, images).pool for name, images in other_first_pictures(tmp_path).items()]
    pictures = [stand_in(pool, np.arange(BATCH)) for pool in pools]
    assert np.allclose(pictures[0], pictures[1], atol=1e-12)
    assert not np.allclose(pictures[0], stand_in(pools[0], np.arange(1)), atol=1e-3)


def other_first_pictures(folder: Path) -> dict[str, np.ndarray]:
    """Two data sets that differ in their first batch alone."""
    plain, other = crops(12), crops(12)
    other[:BATCH] = 255 - other[:BATCH]
    for name in ("plain", "other"):
        (folder / name).mkdir()
    return {"plain": plain, "other": other}


def test_without_other_pictures_the_mean_control_claims_nothing_and_no_answer_is_scored_as_mid_grey(
    tmp_path: Path,
) -> None:
    """With the victim's own picture as the mean an attack that returned nothing read most: 100 dB."""
    played = play(tmp_path, crops(1), np.array([1]), batch_size=1, targets=1)
    controls = played.controls()
    assert controls["mean"] == {metric: [[None]] for metric in controls["grey"]}
    nothing = first(played.score([played.observations[0].nothing("why")]))
    assert nothing["psnr"] == pytest.approx(psnr(np.full((1, 3, 16, 16), 0.5), truth(played)).tolist())
    assert any("no pictures but those attacked" in note for note in played.notes)
    assert not any("no pictures but those attacked" in note for note in play(tmp_path).notes)


@pytest.mark.parametrize("asked", [["grey"], ["mean"], ["grey", "mean"], ["mean", "noise"]])
def test_the_controls_are_those_asked_for(tmp_path: Path, asked: list[str]) -> None:
    assert play(tmp_path, controls=asked).controls().keys() == set(asked) - {"noise"}


def test_controls_do_not_depend_on_the_guess_the_model_or_the_defence(tmp_path: Path) -> None:
    plain = play(tmp_path)
    other = play(tmp_path, model={"name": "mlp", "width": 5}, defense={"name": "gaussian", "std": 1.0}, seed=3)
    plain.score([Guess(images=blurred())])
    assert plain.controls() == other.controls()


# Pictures of every kind


def test_pictures_smaller_than_the_window_have_no_ssim_and_say_so(tmp_path: Path) -> None:
    played = play(tmp_path, crops(12, side=8))
    scores = one(played, truth(played))
    assert scores["ssim"] == [None] * BATCH
    assert all(first(control)["ssim"] == [None] * BATCH for control in played.controls().values())
    assert scores["lpips"] == pytest.approx([0.0] * BATCH, abs=1e-9)
    assert [scores[name] for name in ("psnr", "identified", "exact")] == [[100.0] * BATCH, [1.0] * BATCH, [1.0] * BATCH]
    assert any("ssim is empty: 8 x 8" in note for note in played.notes)
    assert any("lpips: 8 x 8" in note for note in played.notes)


def test_grey_scale_pictures_have_every_metric(tmp_path: Path) -> None:
    played = play(tmp_path, crops(12, side=32, channels=1))
    scores = one(played, truth(played), torch.from_numpy(LABELS[:BATCH]))
    for metric, best in PERFECT.items():
        assert scores[metric] == pytest.approx([best] * BATCH, abs=1e-9), metric
    assert not any("ssim" in note or "lpips" in note for note in played.notes)


def test_pictures_that_lpips_cannot_take_have_the_other_metrics_and_say_so(tmp_path: Path) -> None:
    played = play(tmp_path, crops(12, channels=2))
    scores = one(played, truth(played))
    assert scores["lpips"] == scores["identified"] == [None] * BATCH
    assert scores["psnr"] == [100.0] * BATCH
    assert scores["ssim"] == pytest.approx([1.0] * BATCH)
    assert any("lpips" in note and "have 2" in note for note in played.notes)


@pytest.mark.parametrize(
    ("labels", "batch_size", "said"),
    [
        ([0, 1, 2] * 4, 3, None),
        ([0, 0, 1, 2, 1, 0] * 2, 3, "1 of 2 batches hold a label more than once"),
        ([0] * 12, 2, "2 of 2 batches hold a label more than once"),
    ],
)
def test_shared_labels_are_noted(tmp_path: Path, labels: list[int], batch_size: int, said: str | None) -> None:
    played = play(tmp_path, labels=np.array(labels), batch_size=batch_size, targets=2)
    assert [note for note in played.notes if "label" in note] == ([said] if said else [])


# What is kept


@settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(0, 6), values=arrays.arrays(np.float32, (6, 3, 16, 16), elements=st.floats(0, 1, width=32)))
def test_arrays_are_originals_and_guesses_in_the_batch_s_order(tmp_path: Path, count: int, values: np.ndarray) -> None:
    played = play(tmp_path)
    guess = Guess(images=torch.from_numpy(values[:count]), labels=torch.arange(count))
    kept = played.arrays([guess])
    assert kept["originals"].shape == kept["reconstructions"].shape == (1, BATCH, 3, 16, 16)
    assert kept["originals"].dtype == kept["reconstructions"].dtype == np.float32
    assert np.allclose(kept["originals"][0] * 255, crops(BATCH), atol=1e-3)
    assert kept["labels"].tolist() == [LABELS[:BATCH].tolist()]
    scores = first(played.score([guess]))
    assert np.allclose(psnr(kept["reconstructions"][0], kept["originals"][0]), scores["psnr"], atol=1e-2)
    assert (kept["guessed_labels"][0] >= 0).tolist() == [bool(v) for v in scores["recovered"]]
    for row, label in zip(kept["reconstructions"][0], kept["guessed_labels"][0], strict=True):
        assert label < 0 or np.array_equal(row, values[label])


def test_the_grid_is_a_picture_of_every_pair(tmp_path: Path) -> None:
    played = play(tmp_path, targets=2)
    guesses = [Guess(images=blurred()), Guess(images=torch.zeros(0, 3, 16, 16))]
    drawn = played.files(guesses, played.score(guesses), {})
    assert drawn["grid.png"].startswith(b"\x89PNG")
    all_missing = [Guess(images=torch.zeros(0, 3, 16, 16))] * 2
    assert drawn != played.files(all_missing, played.score(all_missing), {})
