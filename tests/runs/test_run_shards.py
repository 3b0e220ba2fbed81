"""`run --shard` and `merge`: parts computed apart are the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import FinishedRun, invbench, outcomes, records, table, write_small
from exact_attack import EXACT
from hypothesis import given
from hypothesis import strategies as st
from small_cells import make_cells

from invbench.cell import Cell
from invbench.runs.shards import BadShard, Shard, read_shard


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, ...]:
    """Twelve cells in four groups of three."""
    folder = tmp_path_factory.mktemp("cells")
    return make_cells(folder, attack=[EXACT, "dlg", "idlg", "inverting-gradients"], seed=[0, 1, 2])


@given(parts=st.integers(1, 15))
def test_every_cell_is_in_exactly_one_shard_in_its_order_and_shards_are_of_one_size(
    cells: tuple[Cell, ...], parts: int
) -> None:
    dealt = [Shard(part, parts).of(cells) for part in range(1, parts + 1)]
    assert sorted(cell.id for shard in dealt for cell in shard) == sorted(cell.id for cell in cells)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert all(sorted(shard, key=cells.index) == shard for shard in dealt)


def test_a_shard_is_not_every_nth_cell_of_the_matrix(cells: tuple[Cell, ...]) -> None:
    """In its order the seed changes fastest: every third cell would be every cell of one seed."""
    assert all(len({cell.seed for cell in Shard(part, 3).of(cells)}) > 1 for part in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3/2", "--shard 3/2: the first number must be from 1 to 2"),
        ("0/2", "--shard 0/2: the first number must be from 1 to 2"),
        ("0/0", "--shard 0/0: the first number must be from 1 to 1"),
        (f"1/{'9' * 5000}", f"--shard '1/{'9' * 5000}': must be I/N, as 2/8 for the second of eight"),
        ("half", "--shard 'half': must be I/N, as 2/8 for the second of eight"),
        ("-1/2", "--shard '-1/2': must be I/N, as 2/8 for the second of eight"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadShard) as refused:
        read_shard(text)
    assert str(refused.value) == message


def test_shards_run_apart_and_merged_are_the_run_in_one_piece(finished: FinishedRun, tmp_path: Path) -> None:
    write_small(tmp_path)
    for part in (1, 2):
        done = invbench("run", "small.yaml", "--shard", f"{part}/2", "--workers", 1, folder=tmp_path)
        assert done.exit_code == 0, done.stderr
        assert ": 3 to compute, 0 kept from before\n" in done.stderr
        assert len(records(tmp_path / f"results/small-{part}of2")) == 3
        assert "3 not run yet" in (tmp_path / f"results/small-{part}of2/report.md").read_text()
    merged = invbench("merge", "results/small-1of2", "results/small-2of2", "-o", "whole", folder=tmp_path)
    assert (merged.exit_code, merged.stderr) == (0, "")
    assert merged.stdout.splitlines() == [
        "      3 from results/small-1of2",
        "      3 from results/small-2of2",
        "6 of 6 cells",
        "report:   whole/report.md",
        "table:    whole/summary.csv",
    ]
    assert table(tmp_path / "whole") == table(finished.result)
    assert outcomes(tmp_path / "whole") == outcomes(finished.result)
    for path in finished.result.rglob("*.npz"):
        assert (tmp_path / "whole" / path.relative_to(finished.result)).read_bytes() == path.read_bytes()
    assert json.loads((tmp_path / "whole/environment.json").read_text())["command"][0] == "merge"
    again = invbench("run", "small.yaml", "-o", "whole", folder=tmp_path)
    assert again.stderr == "6 cells (5 of game update, 1 of game attribute): 0 to compute, 6 kept from before\n"
    refused = invbench("run", "small.yaml", "--shard", "3/2", folder=tmp_path)
    assert (refused.exit_code, refused.stderr) == (2, "--shard 3/2: the first number must be from 1 to 2\n")
