"""Attacks that ask no model anything are never said to have read something, whatever the victim knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_cells import plugged

from invbench import matrix, registry
from invbench.data import Dataset, ImagePool
from invbench.play.playing import play
from invbench.report.crossing import _place
from invbench.report.figures import figures_of_all
from invbench.report.headlines import headlines
from invbench.report.wording import finding
from invbench.store import Record

HEAD = '''
"""An answer of chance and of public pictures alone: no model is asked."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from invbench.attacks import Attack
from invbench.observation import ExtractionGuess, Inversion, MembershipGuess, TrainingSetGuess
from invbench.registry import attack, parameter


def chance(seen, *names):
    """Another stream for every model, so that a control on another model is not answered with the same draws."""
    told = float(sum(weight.detach().double().abs().sum() for weight in seen.model.parameters()))
    return torch.Generator().manual_seed(zlib.crc32(repr((told, *names)).encode()))


def most_decided(rows):
    """Of several draws, rows (K, N), the one that looks best by an objective of its own."""
    return rows[rows.var(dim=1).argmax()]

'''
PARTS = {
    "random-scores": '''
@attack(game="membership")
@dataclass(frozen=True, kw_only=True)
class RandomScores(Attack):
    """Scores drawn for the candidates."""

    draws: int = parameter(1, at_least=1, help="of which one is kept")

    def __call__(self, seen):
        scores = most_decided(torch.randn(self.draws, len(seen.public.candidates), generator=chance(seen)))
        return MembershipGuess(scores=scores, threshold=0.0, evaluations=self.draws)
''',
    "any-picture": '''
@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class AnyPicture(Attack):
    """Pictures drawn, or made beforehand of public ones: `first` for every class, or the class's own."""

    draws: int = parameter(1, at_least=1, help="of which one is kept")
    path: str = parameter("", help="pictures (N, C, H, W); drawn without them")
    by_class: bool = parameter(False, help="the N-th picture for class N")

    def __call__(self, seen):
        if self.path:
            made = torch.from_numpy(np.load(self.path)).float()
            return Inversion(image=made[seen.target if self.by_class else 0])
        size = seen.public.image_shape
        drawn = torch.rand(self.draws, int(np.prod(size)), generator=chance(seen, seen.target))
        return Inversion(image=most_decided(drawn).reshape(size), evaluations=self.draws)
''',
    "any-pictures": '''
@attack(game="training-set")
@dataclass(frozen=True, kw_only=True)
class AnyPictures(Attack):
    """As many pictures as count: noise, or drawn from public ones."""

    path: str = parameter("", help="pictures (N, C, H, W); noise without them")

    def __call__(self, seen):
        own, count = chance(seen), seen.public.answers
        if not self.path:
            return TrainingSetGuess(images=torch.rand(count, *seen.public.image_shape, generator=own))
        known = torch.from_numpy(np.load(self.path)).float()
        return TrainingSetGuess(images=known[torch.randperm(len(known), generator=own)[:count]])
''',
    "guessing": '''
@attack(game="extraction")
@dataclass(frozen=True, kw_only=True)
class Guessing(Attack):
    """Scores drawn for the secrets, or secrets alone."""

    draws: int = parameter(1, at_least=1, help="of which one is kept")
    ranks: bool = parameter(True, help="scores of every secret beside the strings")

    def __call__(self, seen):
        public = seen.public
        scores = most_decided(torch.randn(self.draws, public.space, generator=chance(seen, seen.prefix)))
        secrets = scores.argsort(descending=True)[: public.answers].tolist()
        strings = [f"{seen.prefix}{secret:0{public.digits}d}" for secret in secrets]
        return ExtractionGuess(strings, scores if self.ranks else None, evaluations=self.draws)
''',
}
MLP = {"name": "mlp", "width": 16, "depth": 1}
TRAINED = {"training_steps": 60}
GPT = {"name": "gpt", "layers": 1, "width": 32, "heads": 2, "context": 24, "pairs": 100, "training_steps": 100}
CELLS: dict[str, dict[str, Any]] = {
    "membership": {
        "attack": [{"name": "random-scores", "draws": draws} for draws in (1, 64)],
        "model": [MLP],
        "protocol": [{"name": "released", "epochs": 5, "pictures": 200}],
        "defense": ["none"],
    },
    "model": {
        "attack": [
            *({"name": "any-picture", "draws": draws} for draws in (1, 64)),
            {"name": "any-picture", "path": "PUBLIC"},
            {"name": "any-picture", "path": "MEAN"},
            {"name": "any-picture", "path": "MEANS", "by_class": True},
        ],
        "model": [MLP | TRAINED],
        "defense": ["none"],
    },
    "training-set": {
        "attack": ["any-pictures", {"name": "any-pictures", "path": "PUBLIC"}],
        "model": [MLP],
        "protocol": [{"name": "weights", "pictures": 6, "steps": 30, "answers": answers} for answers in (12, 400)],
    },
    "extraction": {
        "attack": [
            *({"name": "guessing", "draws": draws} for draws in (1, 64)),
            {"name": "guessing", "ranks": False},
        ],
        "model": [GPT],
        "protocol": [{"name": "prompting", "repeats": 18, "canaries": 4, "digits": 1, "answers": 1}],
        "defense": ["none"],
    },
}
DATA: dict[str, dict[str, Any]] = {
    "membership": {"dataset": "digits", "targets": 2},
    "model": {"dataset": "digits", "targets": 10},
    "training-set": {"dataset": {"name": "digits", "labels": "parity"}, "targets": 5},
    "extraction": {"dataset": {"name": "pydoc", "characters": 3000}, "targets": 4},
}
COUNTED = {"membership": 2, "model": 5, "training-set": 4, "extraction": 3}


@pytest.fixture(scope="module", autouse=True)
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("blind")
    sources = {f"attacks.{name}": HEAD + source for name, source in PARTS.items()}
    with plugged(folder, sources), pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(folder / "cache"))
        yield


def public_pictures(folder: Path) -> dict[str, str]:
    """What whoever has the data set can make of it: its pictures, their mean, and the mean of each class."""
    pool = registry.load("dataset", "digits").build({}, Dataset).load()
    assert isinstance(pool, ImagePool)
    every = pool.unit(np.arange(len(pool.images)))
    means = np.stack([every[pool.labels == label].mean(axis=0) for label in range(pool.classes)])
    made = {"PUBLIC": every, "MEAN": every.mean(axis=0, keepdims=True), "MEANS": means}
    for name, pictures in made.items():
        np.save(folder / f"{name}.npy", pictures)
    return {name: str(folder / f"{name}.npy") for name in made}


def played(game: str, folder: Path, seed: int) -> list[Record]:
    """The records of every cell of the game's matrix."""
    paths = public_pictures(folder)
    grid = {axis: [_with(paths, part) for part in parts] for axis, parts in CELLS[game].items()}
    (folder / "m.yaml").write_text(yaml.safe_dump(DATA[game] | {"seed": seed, "grid": grid}))
    found = [play(cell, "cpu").record for cell in matrix.load(folder / "m.yaml", []).cells]
    assert [one.status for one in found] == ["ok"] * len(found), [one.reason for one in found]
    return found


@pytest.mark.parametrize("game", CELLS)
def test_who_asks_no_model_is_said_to_have_read_nothing(game: str, tmp_path: Path) -> None:
    """An interval of 95 % errs to this side once in forty cells: another seed may be such a one."""
    figures = figures_of_all(played(game, tmp_path, seed=1))
    (said,) = headlines(figures)
    nothing = sum(one.nothing_to_read is not None for one in figures)
    assert f"in which the attack read something: 0 of {COUNTED[game] - nothing};" in said, said
    assert nothing == (game == "model"), "the class means are as near to a model of shuffled labels"


def test_what_the_victim_knows_is_not_what_an_attack_that_asks_nothing_has_read(tmp_path: Path) -> None:
    """Canaries that a model says with certainty are `probability` 1, whoever asks or does not ask it."""
    for record in played("extraction", tmp_path, seed=1):
        sure = dict(record.scores) | {"probability": [[1.0] for _ in range(record.targets)]}
        (one,) = figures_of_all([replace(record, scores=sure)])
        assert one.strongest["probability"].mean < 0.5
        assert one.shown is None


def test_an_attack_that_ranks_no_secrets_is_judged_by_what_it_extracted(tmp_path: Path) -> None:
    """It has no exposure: its cells were called `no value`, and no sentence counted them."""
    *_, record = played("extraction", tmp_path, seed=1)
    found = dict(record.scores) | {"extracted": [[1.0] for _ in range(record.targets)]}
    never = {"never": dict(record.controls["never"]) | {"extracted": [[0.0] for _ in range(record.targets)]}}
    (one,) = figures_of_all([replace(record, scores=found, controls=never)])
    assert "exposure" not in one.scores
    assert finding(one) == "+1.000 by extracted"
    assert "in which the attack read something: 1 of 1;" in headlines([one])[0]
    assert _place([one], one.sheet.first) == "extracted 1.000"


def _with(paths: dict[str, str], part: Any) -> Any:
    if not isinstance(part, dict) or "path" not in part:
        return part
    return part | {"path": paths[part["path"]]}
