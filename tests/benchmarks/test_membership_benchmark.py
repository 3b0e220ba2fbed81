"""The membership benchmark's own code, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import _membership as measuring  # type: ignore[import-not-found]
import _parts  # type: ignore[import-not-found]
import _raw  # type: ignore[import-not-found]
import membership as asked  # type: ignore[import-not-found]
import msgspec
import pytest
import torch

FEW = ("loss-threshold", "lira,fixed", "lira,per-example", "lira,bayesian", "rmia", "base", "rmia,matched")


def small(seed: int = 0, shadows: tuple[int, ...] = (4, 16)) -> measuring.Asked:
    return measuring.Asked(
        name="lenet",
        data="natural",
        text="digits",
        model="{name: mlp, width: 16, depth: 1}",
        seed=seed,
        shadows=shadows,
        targets=1,
        epochs=4,
        pictures=400,
        attacks={name: measuring.ATTACKS[name] for name in FEW},
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[measuring.Measured]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return [measuring.measure(small(seed)) for seed in range(2)]


def test_it_measures_every_attack_and_its_table_is_of_the_samples_alone(
    measured: list[measuring.Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "ATTACKS", dict.fromkeys(FEW))
    samples = asked.Samples([one.part for one in measured], [*asked.agreements_of(measured)])
    assert [len(part.cases) for part in samples.parts] == [2 * len(FEW)] * 2
    assert all(one.spearman >= 0.999 for part in samples.parts for one in part.matched)
    assert [one.shadows for one in samples.agreements] == [4, 16]
    assert all(0 <= one.tenth <= 1 and one.members > 0 for one in samples.agreements)
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    table = asked.answer(asked.Settings(targets=1, epochs=4), kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [row[2] for row in table.rows] == list(FEW)
    assert [row[6] for row in table.rows] == [""] * len(FEW), "nobody trained 32"
    assert any("lenet on natural, 4 shadows, 2 seeds: " in line for line in table.text)
    assert any("two seeds agree by a Spearman correlation of" in line for line in table.text)


def test_the_global_threshold_is_not_above_itself_and_lira_not_above_lira(measured: list[measuring.Measured]) -> None:
    by_name = {(case.attack, case.shadows): case for case in measured[0].part.cases}
    assert by_name["loss-threshold", 4].above == by_name["lira,fixed", 4].over_lira == [0, 0]
    assert by_name["loss-threshold", 4].tpr == by_name["loss-threshold", 16].tpr, "it asks the victim alone"


def test_fewer_shadows_are_the_first_of_the_most(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So what a part says of 4 is said of 4 shadows in pairs, none of which saw what the other did."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    given = list[torch.Tensor]()

    def played(cell: object, shadows: dict[str, torch.Tensor]) -> tuple[dict[str, object], dict[str, object]]:
        given.append(shadows["kept"])
        raise StopIteration

    monkeypatch.setattr(measuring, "_played", played)
    with pytest.raises(StopIteration):
        measuring.measure(small(shadows=(4, 6)))
    assert given[0].shape == (4, 200)
    assert (given[0].sum(dim=0) == 2).all()


def test_seeds_that_are_equal_agree_wholly_and_of_others_common_pictures_alone_count() -> None:
    one = measuring.Exposed(4, [*range(40)], [float(k) for k in range(40)])
    two = measuring.Exposed(4, [*range(20, 60)], [float(-k) for k in range(20, 60)])
    assert measuring.agreement(one, one) == pytest.approx((40, 1.0, 1.0))
    assert measuring.agreement(one, two) == pytest.approx((20, -1.0, 0.0))


def test_parts_are_named_and_another_model_stays_in_the_table_while_its_ids_are_those_of_now(
    measured: list[measuring.Measured], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [*asked.parts_of("lenet", Path("x.npz"))] == [f"{d}-{s}" for d in ("natural", "cifar10") for s in range(3)]
    assert [*asked.parts_of("resnet20", Path("x.npz"))["cifar10-0"].shadows] == [4, 8, 16]
    monkeypatch.setattr(_raw, "RAW", tmp_path)
    monkeypatch.setattr(asked, "RAW", tmp_path)
    other = msgspec.structs.replace(measured[0], part=msgspec.structs.replace(measured[0].part, model="convnet"))
    before = asked.gathered([other], lambda model: set())
    assert [part.model for part in before.parts] == ["convnet"]
    raw = _raw.Raw(_facts(), asked.Settings(), before)
    _raw.write("membership", raw)
    ids = set(other.part.ids)
    after = asked.gathered(measured, lambda model: ids)
    assert [(part.model, part.revision) for part in after.parts] == [
        ("lenet", None),
        ("lenet", None),
        ("convnet", "abcdef0123"),
    ]
    assert [part.model for part in asked.gathered(measured, lambda model: set()).parts] == ["lenet"] * 2


def _facts() -> _raw.Facts:
    return _raw.Facts(["abcdef0123"], "unknown", "3.12.0", "2026-11-27", {}, 1)


def test_a_part_that_is_none_is_refused_and_a_table_is_not_written_of_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(asked, "UNFINISHED", tmp_path)
    monkeypatch.setattr("sys.argv", ["membership.py", "--only", "cifar10-9"])
    with pytest.raises(SystemExit, match="lenet has no part 'cifar10-9'; it has natural-0, natural-1"):
        asked.main()
    with pytest.raises(SystemExit, match="left to measure: natural-0 natural-1"):
        _parts.read(tmp_path, ["natural-0", "natural-1"], measuring.Measured)
