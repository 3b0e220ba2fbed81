"""A results folder that held another matrix: whoever runs into it is told that its report goes."""

from __future__ import annotations

from pathlib import Path

from small_cells import make_cells

from invbench import matrix
from invbench.runs.executors import Notice
from invbench.runs.run import News, local_crew, run
from invbench.store import Results


def notices(folder: Path, results: Path, seeds: list[int]) -> list[str]:
    """What a run of these cells says, none of which can be computed."""
    news = list[News]()
    make_cells(folder, batch_size=2, seed=seeds)
    read = matrix.load(folder / "m.yaml", [])
    run(read, read.cells, Results(results), {}, crew=local_crew("cpu", 1, 1), listen=news.append)
    return [one.text for one in news if isinstance(one, Notice)]


def test_only_a_folder_of_other_cells_is_told_of(tmp_path: Path) -> None:
    results = tmp_path / "r"
    assert notices(tmp_path, results, [0, 1]) == []
    assert notices(tmp_path, results, [0, 1, 2]) == []
    said = notices(tmp_path, results, [3])
    assert said == [f"{results} held another matrix (3 cells), whose report is replaced; its cells stay there"]
    assert notices(tmp_path, results, [3]) == []
