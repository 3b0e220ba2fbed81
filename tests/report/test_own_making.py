"""What a report says of attacks that can make pictures by themselves, beside the same attack on noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import made_results, nested, update_record

from invbench import report
from invbench.report.figures import figures_of
from invbench.report.wording import finding
from invbench.store import Record
from invbench.store.beside import always_beside, beside

SAME = "the same pictures from noise: what is shown is the generator's, not the client's"
UNSURE = "not surely better than its pictures from noise: what is shown may be the generator's, not the client's"
MINE = [16.0, 17.0, 15.0, 16.5, 15.5, 16.0]


def generated(psnr: list[float], noise: list[float], *, marked: bool = True, identified: float = 0.0) -> Record:
    """A cell whose other controls have 14 decibels, and whose control `noise` has these."""
    plain = update_record(psnr, attack="generator")
    count = len(psnr)
    scores = {**plain.scores, "identified": nested([identified] * count), "lpips": nested([0.5] * count)}
    of_noise = {"psnr": nested(noise), "identified": nested([0.0] * count), "lpips": nested([0.5] * count)}
    notes = (always_beside("noise"),) if marked else ()
    controls = {**plain.controls, "noise": of_noise}
    return Record(**{**vars(plain), "scores": scores, "controls": controls, "notes": (*plain.notes, *notes)})


def test_the_note_names_the_control_and_is_read_back() -> None:
    assert beside(["something else", always_beside("noise"), always_beside("drawn")]) == ("noise", "drawn")
    assert beside(["about it: " + always_beside("noise")]) == ()


@pytest.mark.parametrize(
    ("noise", "identified", "said"),
    [
        (MINE, 0.0, SAME),
        ([value + 1 for value in MINE], 0.0, SAME),
        ([value - 0.3 for value in MINE], 0.0, SAME),  # less than a margin
        ([12.0, 19.0, 9.0, 18.0, 10.0, 17.0], 0.0, UNSURE),
        ([value - 3 for value in MINE], 0.0, ""),
        (MINE, 1.0, ""),  # as near by decibels, and yet the client's own are found by it
    ],
)
def test_only_what_is_surely_better_than_from_noise_is_the_clients(
    noise: list[float], identified: float, said: str
) -> None:
    assert figures_of(generated(MINE, noise, identified=identified)).own == said


def test_few_targets_are_not_sure_and_an_attack_without_a_mark_is_not_asked() -> None:
    assert figures_of(generated(MINE[:2], [value - 3 for value in MINE[:2]])).own == UNSURE
    assert figures_of(generated(MINE, MINE, marked=False)).own == ""


def test_a_row_says_perhaps_where_it_is_not_sure() -> None:
    few = generated(MINE[:2], [value - 3 for value in MINE[:2]])
    assert finding(figures_of(few)) == "unsure with 2 targets (+2.50 dB); perhaps its own making"


def test_the_report_says_it_in_its_own_words_of_the_row_the_headline_and_the_notes(tmp_path: Path) -> None:
    same = generated(MINE, MINE)
    assert finding(figures_of(same)) == "read nothing (+0.00 dB); its own making"
    text = report.markdown(made_results(tmp_path / "same", [same]), links_from=tmp_path)
    flat = " ".join(text.split())
    assert f"- Of 1 cell: {SAME} (`generator` on `lenet`" in flat
    assert "read nothing (+0.00 dB); its own making" in flat
    assert '"Its own making": the attack can make pictures by itself' in flat
    assert SAME in text.split("## Notes")[1]
    other = generated(MINE, [value - 3 for value in MINE])
    text = report.markdown(made_results(tmp_path / "other", [other]), links_from=tmp_path)
    assert "own making" not in text.split("## Notes")[0]
    assert "generator's, not" not in text
