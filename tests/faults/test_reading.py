"""Records, plans and baselines that are damaged or hostile: read, or refused by place with exit code 2."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_results import attribute_record, empty_record, made_results, update_record

from invbench import cli, gate
from invbench.core.errors import Refusal
from invbench.matrix import MOST_CELLS
from invbench.store import BASELINE, Record, Results, StoreError, text_of
from invbench.store.reading import DEEPEST, MOST_BYTES, RESULT, parsed, read_json

FACTS: dict[str, Any] = {
    "facts": [{"certified": True, "part": "peel"}, {"certified": False}],
    "stopped": {"at rest": 2},
}
RECORDS = [
    update_record(facts=FACTS),
    update_record((31.0, 12.0), attack="dlg", defense="gaussian(std=0.1)"),
    attribute_record(),
    empty_record("failed", "out of memory", attack="analytic"),
]
COMMANDS = (
    ["report", "DIR"],
    ["report", "DIR", "--format", "csv"],
    ["check", "DIR", "--baseline", "b.json"],
    ["check", "DIR", "--baseline", "b.json", "--json", "--junit", "junit.xml"],
    ["compare", "DIR", "whole"],
    ["show", "DIR"],
    ["show", "DIR", RECORDS[0].id],
    ["baseline", "DIR", "-o", "again.json"],
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 10**30, 1.5, 1.7e308, -1.7e308, 1e100, "", "text", "\ud800", "\x1b[2J", "x[/]",
    "../../etc", "=1+1", "a\nb", [], [[]], [[[1.0]]], {}, {"": 1}, {"a": None}, [None], ["a"], nested(30), nested(600),
    [[1.0], [2.0]], [[1.0, 2.0], [None]], {"psnr": []}, {"x[red]": [[1.0], [1.0]]},
    "0123456789abcdef", "ok", "failed", "update",
)  # fmt: skip
"""What a value of a record or a baseline may become."""


def copied(plain: Any) -> Any:
    """A copy, however deep."""
    return json.loads(json.dumps(plain))


def mutated(plain: Any, chance: random.Random) -> Any:
    """The same JSON with one to three places changed: another value, none, one more, or one moved."""
    whole = copied(plain)
    for _ in range(chance.randint(1, 3)):
        parent = whole
        while True:
            keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(parent[key], dict | list) and parent[key] and chance.random() < 0.75:
                parent = parent[key]
                continue
            how = chance.random()
            if how < 0.15:
                del parent[key]
            elif how < 0.25 and isinstance(parent, dict):
                parent[chance.choice(["", "new", "x[/]", "\ud800", "psnr", "noise"])] = copied(parent[key])
            elif how < 0.3 and isinstance(parent, list):
                parent.append(copied(parent[key]))
            else:
                parent[key] = copied(chance.choice(ODD))
            break
    return whole


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The same bytes cut, or with a few changed."""
    broken = bytearray(data[: chance.randint(0, len(data))] if chance.random() < 0.5 else data)
    for _ in range(chance.randint(0, 4) if broken else 0):
        broken[chance.randrange(len(broken))] = chance.choice(
            [0, 34, 44, 58, 91, 93, 123, 125, 255, chance.randrange(256)]
        )
    return bytes(broken)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the result `whole`, a copy of it `r`, and a baseline of it `b.json`."""
    monkeypatch.chdir(tmp_path)
    whole = made_results(tmp_path / "whole", RECORDS)
    shutil.copytree(whole.path, tmp_path / "r")
    (tmp_path / "b.json").write_text(gate.to_text(gate.freeze(whole)))
    return tmp_path


def outcome(words: list[str]) -> tuple[int, str]:
    """How the command ended, in this process; a traceback is an AssertionError."""
    done = CliRunner(charset="utf-8").invoke(cli.invbench, ["r" if word == "DIR" else word for word in words])
    ended = isinstance(done.exception, SystemExit | None)
    assert ended, f"{words} ended in {done.exception!r}"
    return done.exit_code, done.output


def fuzz(base: Path, seed: int, count: int) -> None:
    """Change a record or the baseline, run every command that reads it, put it back."""
    results, chance = Results(base / "r"), random.Random(seed)
    places = [*(results.cell(r.id) / "record.json" for r in RECORDS), base / "b.json", base / "r" / "plan.json"]
    places.append(base / "r" / "environment.json")
    for turn in range(count):
        path = chance.choice([*places, *places[:5]])
        data = path.read_bytes()
        plain = json.loads(data)
        changed = json.dumps(mutated(plain, chance)).encode() if chance.random() < 0.7 else damaged(data, chance)
        path.write_bytes(changed)
        words = COMMANDS[turn % len(COMMANDS)]
        try:
            code, said = outcome(words)
            changes = "missing regressed changed failed NOT passed improved new same"
            assert code in (0, 1, 2), said
            assert code != 1 or any(word in said for word in changes.split()), f"{words}: {said}"
        except (AssertionError, RecursionError) as error:
            raise AssertionError(f"seed {seed}, turn {turn}, {path.name}: {changed[:3000]!r}") from error
        finally:
            path.write_bytes(data)


def test_hundreds_of_damaged_records_and_baselines_are_read_or_refused(base: Path) -> None:
    fuzz(base, 0, 240)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_thousands_of_damaged_records_and_baselines_are_read_or_refused(base: Path, seed: int) -> None:
    fuzz(base, seed, 2000)


# One by one


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    plain = json.loads(path.read_text())
    how(plain)
    path.write_text(json.dumps(plain))


RECORD_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "fewer scores than targets": (lambda r: r["scores"]["psnr"].pop(), "'scores' must have 2 targets of psnr, not 1"),
    "controls of unlike length": (lambda r: r["controls"]["grey"]["psnr"].pop(), "'controls' must have 2 targets each"),
    "path no text": (lambda r: r["dataset"].update(path=7), "'dataset' must be a mapping to text or null"),
    "score too large": (
        lambda r: r["scores"].update(psnr=[[1.7e308], [1.0]]),
        "a number within 1e+100 or null",
    ),
    "settings too deep": (lambda r: r.update(settings=nested(600)), "is nested too deep; at most 40 levels are read"),
    "facts too deep": (lambda r: r.update(facts=[nested(600), {}]), "is nested too deep"),
    "a metric that is no name": (lambda r: r["scores"].update({"x[/]": [[1.0], [1.0]]}), "'x[/]', which is no name"),
    "a game that is no text": (lambda r: r["names"].update(game=None), "'names' must be"),
    "a seed that is no number": (lambda r: r["names"].update(seed="=1"), "'names' must be"),
}


@pytest.mark.parametrize("kind", RECORD_FAULTS)
def test_a_record_that_contradicts_itself_is_refused_by_file_and_field(base: Path, kind: str) -> None:
    path = Results(base / "r").cell(RECORDS[0].id) / "record.json"
    damage, message = RECORD_FAULTS[kind]
    change(path, damage)
    for words in COMMANDS[:6]:
        code, said = outcome(words)
        assert code == 2
        assert f"{path.relative_to(base)}: " in said
        assert message in said


def test_halves_of_surrogate_pairs_are_read_and_shown_as_what_they_are(base: Path) -> None:
    path = Results(base / "r").cell(RECORDS[0].id) / "record.json"
    change(path, lambda r: r.update(notes=["\ud800"], names=r["names"] | {"attack": "\ud800"}))
    for words in COMMANDS:
        code, said = outcome(words)
        assert code in (0, 1)
        assert "\ud800" not in said
    assert "\\ud800" in outcome(["report", "DIR"])[1].replace("\\\\", "\\")


@pytest.mark.parametrize("inside", ["settings", "scores", "controls", "names", "facts", "top"])
def test_a_key_that_stands_twice_in_a_record_is_refused_by_name(base: Path, inside: str) -> None:
    path = Results(base / "r").cell(RECORDS[0].id) / "record.json"
    places = {
        "settings": ('"tv":', '"tv": 1,'),
        "scores": ('"ssim":', '"ssim": [[1.0], [1.0]],'),
        "controls": ('"grey":', '"grey": {},'),
        "names": ('"seed":', '"seed": 1,'),
        "facts": ('"part":', '"part": "dlg",'),
        "top": ('"status":', '"status" : "failed",'),
    }
    key, first = places[inside]
    text = path.read_text()
    path.write_text(text.replace(key, f"{first} {key}", 1))
    assert path.read_text() != text
    with pytest.raises(StoreError, match=f"the key '{key[1:-2]}' is there twice"):
        list(Results(base / "r").each_record())


def test_a_text_that_looks_like_a_key_is_no_key(base: Path) -> None:
    results = Results(base / "r")
    results.write(replace(RECORDS[0], notes=('she said "status": "ok"',)))
    assert results.records()[0].notes == ('she said "status": "ok"',)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"a" :1,"a":2}', '[{"b": {"a\\"": 1, "a\\"": 2}}]'])
def test_a_key_that_stands_twice_is_refused_in_any_json(text: str) -> None:
    with pytest.raises(StoreError, match=r"here: is not JSON: the key .* is there twice"):
        parsed(text.encode(), "here")


def test_json_is_read_to_a_depth_and_no_deeper() -> None:
    assert parsed(json.dumps(nested(DEEPEST)).encode(), "here") == nested(DEEPEST)
    for depth in (DEEPEST + 1, 600, 100_000):
        with pytest.raises(StoreError, match="here: is nested too deep"):
            parsed(b'{"a": ' * depth + b"1" + b"}" * depth, "here")


@pytest.mark.parametrize("there", ["fifo", "folder", "device", "huge"])
def test_a_baseline_that_is_no_file_or_has_no_bounds_is_refused_at_once(base: Path, there: str) -> None:
    path = base / "odd.json"
    if there == "fifo":
        os.mkfifo(path)
    elif there == "folder":
        path.mkdir()
    elif there == "device":
        path = Path("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(MOST_BYTES + 1)
    code, said = outcome(["check", "DIR", "--baseline", str(path)])
    assert code == 2
    assert said.startswith(f"Error: {path}: ") or f"{path}: " in said
    with pytest.raises(StoreError):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"[" + b"[]," * (RESULT.within - 1) + b"[]]", "mappings and lists"),
        (b"[" + b"{}," * (RESULT.within - 1) + b"{}]", "mappings and lists"),
        (b"[" + b"1," * (RESULT.values + 1) + b"1]", "values"),
        (b'"' + b"x" * RESULT.bytes + b'"', "bytes"),
    ],
    ids=["lists", "mappings", "values", "bytes"],
)
def test_json_of_too_many_parts_is_refused_before_anything_is_made_of_it(text: bytes, what: str) -> None:
    began = time.process_time()
    tracemalloc.start()
    for read in (parsed, Record.from_bytes):
        with pytest.raises(StoreError, match=rf"here: has [\d,]+ {what}; at most [\d,]+ are read"):
            read(text, "here")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert time.process_time() - began < 3


def test_a_record_of_very_many_targets_and_the_plan_of_the_largest_matrix_are_within_what_is_read(
    tmp_path: Path,
) -> None:
    many = 1000
    record = replace(
        RECORDS[0],
        targets=many,
        scores={name: [[1.0]] * many for name in RECORDS[0].scores},
        controls={name: dict.fromkeys(RECORDS[0].scores, [[0.5]] * many) for name in ("grey", "mean", "noise")},
        evaluations=(),
        objectives=(),
        facts=(),
    )
    text = text_of(record)
    assert 70 * text.count("[") < RESULT.within
    assert 70 * text.count(",") < RESULT.values
    plan = json.dumps({"schema": 1, "cells": [f"{k:016x}" for k in range(1000)]}, indent=2)
    assert len(plan) * (MOST_CELLS / 1000) < RESULT.bytes


def test_a_baseline_of_many_cells_is_within_what_is_read_and_one_of_more_is_not_written(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = [update_record([30.0 + k / 7 for k in range(16)], seed=seed) for seed in range(50)]
    frozen = gate.freeze(made_results(base / "wide", wide))
    text = gate.to_text(frozen)
    counts = len(text), text.count("{") + text.count("["), text.count(",")
    assert [100_000 / 50 * count < bound for count, bound in zip(counts, BASELINE, strict=True)] == [True] * 3
    monkeypatch.setattr(gate.baseline, "BASELINE", BASELINE._replace(values=10))
    with pytest.raises(StoreError, match=r"the baseline: has [\d,]+ values; at most 10 are read"):
        gate.to_text(frozen)


def test_a_key_that_stands_twice_among_very_many_is_found_at_once() -> None:
    text = "{" + ",".join(f'"k{n}":1' for n in range(100_000)) + ',"k99999":2}'
    began = time.process_time()
    with pytest.raises(StoreError, match="the key 'k99999' is there twice"):
        parsed(text.encode(), "here")
    assert time.process_time() - began < 2


def test_a_note_of_thousands_of_digits_is_a_note(base: Path) -> None:
    """A game's own notes say of how many targets it shared nothing, in digits."""
    path = Results(base / "r").cell(RECORDS[0].id) / "record.json"
    change(path, lambda r: r.update(notes=[f"the update of {'9' * 5000} of 2 targets is zero"]))
    assert outcome(["report", "DIR"])[0] == 0


BASELINE_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no cells": (lambda b: b["cells"].clear(), "has no cells, so nothing can be held against it"),
    "names no names": (lambda b: b["cells"][RECORDS[0].id]["names"].update(attack=[1]), "names: must be"),
    "another axis": (lambda b: b["cells"][RECORDS[0].id]["names"].update(colour="red"), "names: must be"),
    "too deep": (lambda b: b["cells"][RECORDS[0].id].update(settings=nested(600)), "is nested too deep"),
    "a metric no name": (lambda b: b["cells"][RECORDS[0].id]["metrics"].update({"[/]": {}}), "'[/]' is no name"),
    "code no text": (lambda b: b.update(invbench=1), ".invbench: must be a list of texts"),
}


@pytest.mark.parametrize("kind", BASELINE_FAULTS)
def test_a_baseline_that_is_none_is_refused_by_place(base: Path, kind: str) -> None:
    damage, message = BASELINE_FAULTS[kind]
    change(base / "b.json", damage)
    code, said = outcome(["check", "DIR", "--baseline", "b.json"])
    assert (code, message in said) == (2, True), said


def test_a_check_says_where_other_code_computed_the_baseline(base: Path) -> None:
    assert "other code" not in outcome(["check", "DIR", "--baseline", "b.json"])[1]
    change(base / "b.json", lambda b: b.update(invbench=["0.0.1, revision abc"]))
    code, said = outcome(["check", "DIR", "--baseline", "b.json"])
    assert code == 0
    assert "computed by other code: the baseline by invbench 0.0.1, revision abc, the result by " in said


def test_every_refusal_of_the_store_is_one_of_words_or_files() -> None:
    assert issubclass(StoreError, Refusal)
