"""The metrics as columns."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from invbench.sheets import columns, every_sheet, sheet_of


def test_the_first_games_have_the_columns_of_their_contract() -> None:
    update = ("psnr", "ssim", "lpips", "label_accuracy", "label_overlap", "identified", "recovered", "exact")
    assert measured("update") == (*update, "d_snr", "d_snr_honest")
    assert measured("attribute") == ("accuracy", "macro_auc", "error")
    assert [name for name, column in columns().items() if column.role != "limit"][:12] == [
        *update,
        "d_snr",
        "d_snr_honest",
        "accuracy",
        "macro_auc",
    ]
    rates = ("auc", "balanced_accuracy", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001")
    assert measured("membership") == (*rates, "member_accuracy", "other_accuracy")
    likeness = ("psnr_to_mean", "psnr_to_nearest", "ssim_to_mean", "ssim_to_nearest")
    found = ("class_found", "class_found_by_classifier", "confidence")
    assert measured("model") == (*found, *likeness, "weight_error", "validation_error")
    assert measured("extraction") == ("exposure", "extracted", "probability", "bits_per_byte")
    assert measured("training-set") == ("training_found", "unseen_found", "psnr", "ssim")


def test_games_of_defences_have_their_guarantee_as_a_limit() -> None:
    for game in ("update", "membership", "model", "extraction", "informed"):
        assert sheet_of(game).by_name["epsilon"].role == "limit"
    assert {sheet_of(game).by_name["limit_rero"].better for game in ("update", "informed")} == {"lower"}
    assert measured("informed") == ("matched",)


def measured(game: str) -> tuple[str, ...]:
    """The columns of a game that are no limits."""
    return tuple(name for name, column in sheet_of(game).by_name.items() if column.role != "limit")


def test_every_column_belongs_to_a_game_and_every_game_s_columns_are_known() -> None:
    assert {name for sheet in every_sheet() for name in sheet.by_name} == set(columns())
    assert all(column.name == name and column.help for name, column in columns().items())


def test_the_gate_puts_up_with_half_a_decibel_and_with_two_hundredths_of_anything_else() -> None:
    tolerances = {name: column.tolerance for name, column in columns().items() if column.role != "limit"}
    assert {tolerances.pop(name) for name in ("psnr", "psnr_to_mean", "psnr_to_nearest")} == {0.5}
    assert tolerances.pop("weight_error") == 1e-3
    assert tolerances.pop("exposure") == 0.5
    assert {tolerances.pop(name) for name in ("training_found", "unseen_found")} == {1.0}
    assert {tolerances.pop(name) for name in ("d_snr", "d_snr_honest")} == {0.05}
    assert set(tolerances.values()) == {0.02}


def test_only_a_lower_perceptual_distance_and_smaller_errors_are_a_stronger_attack() -> None:
    lower = {name for name, column in columns().items() if column.better == "lower" and column.role != "limit"}
    errors = {"weight_error", "validation_error", "update_error", "error", "d_snr", "d_snr_honest"}
    assert lower == {"lpips", "unseen_found", "bits_per_byte"} | errors
    assert {columns()[name].role for name in ("validation_error", "error", "unseen_found")} == {"cost"}
    assert columns()["lpips"].gain(-0.1) == 0.1
    assert columns()["psnr"].gain(-0.1) == -0.1


def test_a_value_prints_with_its_column_s_decimals_and_an_empty_one_as_nothing() -> None:
    assert columns()["psnr"].show(31.256) == "31.26"
    assert columns()["ssim"].show(0.98765) == "0.988"
    assert columns()["psnr"].show(None) == ""


def test_a_column_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        columns()["psnr"].tolerance = 1.0  # type: ignore[misc]
