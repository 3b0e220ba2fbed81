"""Data set `table`: what columns hold, what empty cells count as, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_tables import people, write

from invbench import matrix
from invbench.data import BadData
from invbench.data.table import TableFile


def load(file: Path, target: str = "dose", sensitive: str = "gene"):  # type: ignore[no-untyped-def]
    return TableFile(path=file, target=target, sensitive=sensitive).load()


def test_numbers_with_fractions_are_numbers_and_few_whole_ones_are_categories(tmp_path: Path) -> None:
    table = load(write(tmp_path / "people.csv", people()))
    assert dict(table.categories) == {"race": ("north", "south"), "smoker": ("0", "1"), "gene": ("CC", "CT", "TT")}
    assert table.background == ("race", "age", "smoker")
    assert (table.target, table.sensitive, table.values) == ("dose", "gene", ("CC", "CT", "TT"))
    assert table.people[0] == {**people()[0], "smoker": str(people()[0]["smoker"])}
    assert table.prior is None


@pytest.mark.parametrize(("count", "category"), [(10, True), (11, False)])
def test_more_than_ten_whole_numbers_are_a_number(tmp_path: Path, count: int, category: bool) -> None:
    rows = [{**row, "visits": k % count} for k, row in enumerate(people(50))]
    assert ("visits" in load(write(tmp_path / "people.csv", rows)).categories) is category


def test_categories_that_are_numbers_stand_in_their_order(tmp_path: Path) -> None:
    rows = [{**row, "ward": (11, 9, "east")[k % 3]} for k, row in enumerate(people(30))]
    assert load(write(tmp_path / "people.csv", rows)).categories["ward"] == ("9", "11", "east")


def test_empty_cells_are_a_category_or_no_number_and_rows_without_target_or_secret_are_left_out(tmp_path: Path) -> None:
    rows = people(30)
    rows[0] |= {"race": "", "age": "NA"}
    rows[1] |= {"gene": ""}
    rows[2] |= {"dose": "nan"}
    table = load(write(tmp_path / "people.csv", rows))
    assert (table.people[0]["race"], table.people[0]["age"]) == ("missing", None)
    assert "missing" in table.categories["race"]
    assert len(table.people) == 28
    assert table.notes == ("2 rows without dose or gene are left out",)


def test_the_content_is_of_people_and_of_what_is_asked(tmp_path: Path) -> None:
    file, rows = tmp_path / "people.csv", people(30)
    first = load(write(file, rows)).content
    assert load(write(tmp_path / "other.csv", rows)).content == first
    assert load(file, sensitive="race").content != first
    assert load(file, target="age").content != first
    rows[3]["dose"] += 1
    assert load(write(tmp_path / "changed.csv", rows)).content != first


BAD = {
    "race,gene,dose\na,b\n": r"bad.csv:2: has 2 cells; the columns are 3",
    "": r"bad.csv: is empty",
    "just a text\nof two lines\n": r"bad.csv: is not a CSV file of people",
    'race,gene\n"a,b\n': r"bad.csv: is not a CSV file",
    "gene,gene,dose\na,b,c\n": r"bad.csv: two columns are called 'gene'",
    ",gene,dose\n0,b,c\n": r"bad.csv: a column's name must be printable words, not ''",
    "gene,dose\n" + "CC,1.5\n" * 7: r"bad.csv: has 7 rows with 'dose' and 'gene'; at least 8 needed",
    "gene,dose\n" + "CC,1.5\n" * 9: r"bad.csv: the sensitive attribute 'gene' has one value alone, 'CC'",
    "gene,dose\n" + "CC,1.5\nCT,1.5\n" * 9: r"bad.csv: the target 'dose' has one value alone, '1.5'",
    "gene,dose\n" + "".join(f"{k}.5,{k}\n" for k in range(20)): r"'gene' is a number of many values",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_table_is_refused_with_the_file_and_the_reason(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(BadData, match=BAD[text]):
        load(tmp_path / "bad.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff,gene")
    with pytest.raises(BadData, match=r"bad.csv: is not a CSV file"):
        load(tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("target: does, sensitive: gene", "has no column 'does' (the target); nearest: 'dose'"),
        ("target: dose, sensitive: gen", "has no column 'gen' (the sensitive attribute); nearest: 'gene'"),
        ("target: dose, sensitive: xyz", "has no column 'xyz' (the sensitive attribute); it has 'race', 'age'"),
        ("target: gene, sensitive: gene", "target and sensitive attribute are both 'gene'"),
    ],
)
def test_a_matrix_names_the_place_of_a_file_that_lacks_a_column(tmp_path: Path, words: str, said: str) -> None:
    write(tmp_path / "people.csv", people(30))
    text = f"dataset: {{name: table, path: people.csv, {words}}}\ngrid: {{attack: map-inversion, model: ridge}}\n"
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(matrix.MatrixErrors, match=re.escape("m.yaml:1:30: ") + f".*{re.escape(said)}"):
        matrix.load(tmp_path / "m.yaml")


def test_the_file_of_the_warfarin_consortium(shared_data: Path) -> None:
    table = load(shared_data / "iwpc-warfarin-whitened.csv", sensitive="cyp2c9")
    assert len(table.people) == 4819
    assert table.values == ("11", "12", "13", "22", "23", "33")
    assert set(table.categories) == {"race", "amiodarone", "decr", "cyp2c9", "vkorc1"}
