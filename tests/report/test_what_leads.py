"""By which metric the cells of a report are compared, and what is printed in bold."""

from __future__ import annotations

from pathlib import Path

from made_results import attribute_record, made_results, nested, update_record
from parsed_markdown import tables

from invbench import report
from invbench.store import Record

RANKS, LIKELIEST = [0.9] * 8, [0.5] * 8
"""Macro AUC of an attack that tells people apart and of one that does not; control `imputation` has 0.5."""


def ranked(attack: str, right: list[int], ranks: list[float]) -> Record:
    """A cell of game `attribute` whose controls are right for half of the people, and rank them like chance."""
    one = attribute_record(right, attack=attack)
    chance = {"accuracy": nested([0.75] * len(right)), "macro_auc": nested([0.5] * len(right))}
    scores = {"accuracy": nested([float(r) for r in right]), "macro_auc": nested(ranks)}
    return Record(**(vars(one) | {"scores": scores, "controls": {"imputation": chance}}))


def written(folder: Path, *records: Record) -> str:
    return report.markdown(made_results(folder, records), links_from=folder)


def best_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Best here: ")]


def test_cells_are_compared_by_the_metric_that_carries_the_evidence(tmp_path: Path) -> None:
    """Nobody's likeliest value is right more often than the control's; one attack's ranks say more all the same."""
    half = [1, 1, 1, 1, 1, 1, 0, 0]
    text = written(tmp_path, ranked("ranks", half, RANKS), ranked("likeliest", half, LIKELIEST))
    [best] = best_lines(text)
    assert best.startswith("Best here: `ranks` on `iwpc`, macro AUC 0.900 (above control: ")
    assert "- `ranks` on `iwpc` reads most: macro AUC 0.900, the strongest control (imputation) 0.500" in text
    [crossed] = [t for t in tables(text) if " by " in t.under]
    assert crossed.under.startswith("macro AUC")
    assert crossed.rows == [["iwpc", "0.900", "0.500 nothing"]]


def test_what_has_read_nothing_is_not_the_best_beside_what_has(tmp_path: Path) -> None:
    control = {"grey": {"psnr": nested([40.0] * 3)}}
    high = update_record([30.0] * 3, attack="dlg", facts={"controls": control})
    text = written(tmp_path, high, update_record([25.0] * 3, attack="idlg"))
    [best] = best_lines(text)
    assert best.startswith("Best here: `idlg` on `lenet` under `none`, PSNR 25.00 dB")


def test_equal_cells_are_counted_beside_the_best(tmp_path: Path) -> None:
    cells = [update_record([30.0] * 3, attack=name) for name in ("dlg", "idlg", "auto")]
    [best] = best_lines(written(tmp_path / "three", *cells))
    assert best.endswith("; 2 more cells equal it.")
    [best] = best_lines(written(tmp_path / "two", *cells[:2]))
    assert best.endswith("; 1 more cell equals it.")
    [best] = best_lines(written(tmp_path / "one", cells[0]))
    assert "equal" not in best


def test_a_value_at_or_below_its_control_is_not_bold(tmp_path: Path) -> None:
    above, at, below = (update_record([psnr] * 3, model=f"m{psnr:.0f}") for psnr in (30.0, 14.0, 10.0))
    control = {"grey": {"psnr": nested([14.0] * 3)}}
    at = Record(**(vars(at) | {"controls": control}))
    assert _bold(written(tmp_path / "all", above, at, below)) == ["**30.00 ± 0.00**"]
    for name, one in (("at", at), ("below", below)):
        assert _bold(written(tmp_path / name, one)) == []


def _bold(text: str) -> list[str]:
    """What is printed bold in the column of PSNR, which is the fourth."""
    rows = [line.split("|")[4].strip() for line in text.splitlines() if line.startswith("| `m")]
    return [value for value in rows if value.startswith("**")]
