"""The membership benchmark's own code, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import _membership as measuring  # type: ignore[import-not-found]
import _raw  # type: ignore[import-not-found]
import membership as asked  # type: ignore[import-not-found]
import msgspec
import numpy as np
import pytest
import torch

FEW = ("loss-threshold", "lira,fixed", "base", "rmia,matched")


def small(seed: int = 0, shadows: tuple[int, ...] = (4, 16)) -> measuring.Asked:
    return measuring.Asked(
        name="lenet",
        data="natural",
        text="digits",
        model="{name: mlp, width: 8, depth: 1}",
        seed=seed,
        shadows=shadows,
        targets=1,
        epochs=3,
        pictures=400,
        attacks={name: measuring.ATTACKS[name] for name in FEW},
    )


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[measuring.Part]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("invbench.numbers.bootstrap.DRAWS", 50)
        return [measuring.measure(small(seed)) for seed in range(2)]


def test_it_measures_every_attack_and_its_table_is_of_the_samples_alone(parts: list[measuring.Part]) -> None:
    assert [len(part.cases) for part in parts] == [2 * len(FEW)] * 2
    assert all(one.spearman >= 0.999 for part in parts for one in part.matched)
    assert [len(part.exposed) for part in parts] == [100, 100], "one victim's members"
    kept = msgspec.json.decode(msgspec.json.encode(asked.Samples(parts)), type=asked.Samples)
    table = asked.answer(asked.Settings(targets=1, epochs=3), kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [row[2] for row in table.rows] == list(FEW)
    assert [row[6] for row in table.rows] == [""] * len(FEW), "nobody trained 32"
    assert any("lenet on natural, 4 shadows, 2 seeds: " in line for line in table.text)
    assert any("two seeds agree by a Spearman correlation of" in line for line in table.text)


def test_parts_are_compared_at_the_most_shadows_that_all_have(parts: list[measuring.Part]) -> None:
    fewer = msgspec.structs.replace(parts[0], cases=[case for case in parts[0].cases if case.shadows == 4])
    assert asked._at(parts) == 16
    assert asked._at([fewer, parts[1]]) == 4
    table = asked.answer(asked.Settings(), asked.Samples([fewer]))
    assert any(line.startswith("lenet on natural, 4 shadows: LiRA with one variance") for line in table.text)


def test_the_global_threshold_is_not_above_itself_and_lira_not_above_lira(parts: list[measuring.Part]) -> None:
    by_name = {(case.attack, case.shadows): case for case in parts[0].cases}
    assert by_name["loss-threshold", 4].above == by_name["lira,fixed", 4].over_lira == [0, 0]
    assert by_name["loss-threshold", 4].tpr == by_name["loss-threshold", 16].tpr, "it asks the victim alone"


def test_fewer_shadows_are_the_first_of_the_most(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They come in pairs, so each candidate is in half of the first four, too."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    given = list[torch.Tensor]()

    def played(cell: object, shadows: dict[str, torch.Tensor]) -> None:
        given.append(shadows["kept"])
        raise StopIteration

    monkeypatch.setattr(measuring, "_played", played)
    with pytest.raises(StopIteration):
        measuring.measure(small(shadows=(4, 6)))
    assert given[0].shape == (4, 200)
    assert (given[0].sum(dim=0) == 2).all()


def test_the_most_exposed_are_those_of_the_highest_mean_over_the_victims_that_saw_them() -> None:
    scores = {
        "member": [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]],
        "score": [[4.0, 3.0, 9.0, 9.0], [0.0, 9.0, 2.5, 9.0]],
    }
    assert measuring.most_exposed(scores, np.array([10, 20, 30, 40])) == [20, 30, 10]


def test_seeds_that_are_equal_agree_wholly_and_of_others_common_pictures_alone_count() -> None:
    assert measuring.agreement([*range(40)], [*range(40)]) == pytest.approx((40, 1.0, 1.0))
    assert measuring.agreement([*range(40)], [*range(59, 19, -1)]) == pytest.approx((20, -1.0, 0.0))


def test_a_part_stays_in_the_table_while_its_cells_have_the_ids_of_now(
    parts: list[measuring.Part], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_raw, "RAW", tmp_path)
    monkeypatch.setattr(asked, "RAW", tmp_path)
    other = msgspec.structs.replace(parts[0], model="convnet", data="cifar10")
    before = asked.gathered([other, parts[1]], tmp_path)
    assert [part.model for part in before.parts] == ["lenet", "convnet"]
    _raw.write(
        "membership",
        _raw.Raw(_raw.Facts(["abcdef0123"], "unknown", "3.12.0", "2026-11-27", {}, 1), asked.Settings(), before),
    )
    monkeypatch.setattr(asked, "known_ids", lambda part, data: set(parts[0].ids))
    after = asked.gathered([parts[1]], tmp_path)
    assert [(part.model, part.seed, part.revision) for part in after.parts] == [
        ("lenet", 1, None),
        ("convnet", 0, "abcdef0123"),
    ]
    assert any(
        "convnet on cifar10, seed 0, at abcdef0123" in line for line in asked.answer(asked.Settings(), after).text
    )
    monkeypatch.setattr(asked, "known_ids", lambda part, data: {"another"})
    assert [part.model for part in asked.gathered([parts[1]], tmp_path).parts] == ["lenet"]


def test_parts_have_names_and_as_many_shadows_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    of_lenet = asked.parts_of("lenet", Path("x.npz"), 32)
    assert [*of_lenet] == [f"{data}-{seed}" for data in ("natural", "cifar10") for seed in range(3)]
    assert of_lenet["cifar10-2"].shadows == [4, 8, 16, 32]
    assert asked.parts_of("resnet20", Path("x.npz"), 16)["cifar10-0"].shadows == [4, 8, 16]
    monkeypatch.setattr("sys.argv", ["membership.py", "--only", "cifar10-9"])
    with pytest.raises(SystemExit, match="lenet has no part 'cifar10-9'; it has natural-0, natural-1"):
        asked.main()
