"""Attacks that read nothing, however many answers they draw and rank, are never said to have read something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import invbench, records
from their_attacks import install

from invbench import registry
from invbench.data import Dataset
from invbench.scoring.centres import centres

BLIND = '''
"""Draws smooth pictures, ranks them by an objective of its own and gives the best: it reads nothing."""

from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from invbench.attacks import UpdateAttack
from invbench.observation import Guess
from invbench.registry import attack, parameter


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Blind(UpdateAttack):
    """Draws smooth pictures."""

    draws: int = parameter(1, at_least=1, help="candidates beyond those given")
    contrast: float = parameter(0.1, above=0, help="standard deviation of a candidate's 4 x 4 values")

    def __call__(self, seen):
        channels, *size = seen.public.image_shape
        count = seen.public.pictures + self.draws - 1
        coarse = torch.randn(count, channels, 4, 4, generator=seen.generator) * self.contrast
        best = coarse.flatten(1).var(dim=1).argsort()[: seen.public.pictures]
        pictures = (0.5 + interpolate(coarse[best], size=size, mode="bilinear")).clamp(0, 1)
        return Guess(images=pictures, evaluations=count)
'''
IMPUTING = '''
"""Draws values from what is published, ranks them by how usual they are, gives the most usual: it reads no output."""

from dataclasses import dataclass

import torch

from invbench.attacks import Attack
from invbench.observation import AttributeGuess
from invbench.registry import attack, parameter


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class Imputing(Attack):
    """Draws values."""

    draws: int = parameter(1, at_least=1, help="candidates")

    def __call__(self, seen):
        public = seen.public
        shares = public.prior.table[public.sensitive][seen.attributes[public.prior.group]]
        weights = torch.tensor([shares.get(value, 0.0) for value in public.values])
        drawn = torch.multinomial(weights, self.draws, replacement=True, generator=seen.generator)
        best = max(drawn.tolist(), key=weights.__getitem__)
        return AttributeGuess(
            probabilities=tuple(float(k == best) for k in range(len(public.values))), evaluations=self.draws
        )
'''

PUBLISHED = '''
"""Gives pictures made beforehand of public ones, by label or always the same: it looks at no update."""

from dataclasses import dataclass

import numpy as np
import torch

from invbench.attacks import UpdateAttack
from invbench.observation import Guess
from invbench.registry import attack, parameter


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Published(UpdateAttack):
    """Gives pictures made beforehand."""

    path: str = parameter("pictures.npy", help="pictures (N, C, H, W)")
    by_label: bool = parameter(True, help="the N-th picture for label N, not the first pictures")

    def __call__(self, seen):
        made = torch.from_numpy(np.load(self.path)).float()
        return Guess(images=made[seen.labels] if self.by_label else made[: seen.public.pictures])
'''


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = {"attacks.blind": BLIND, "attacks.imputing": IMPUTING, "attacks.published": PUBLISHED}
    return install(tmp_path_factory.mktemp("blind") / "site", parts)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("dataset", ["natural", pytest.param("lfw", marks=SLOW), pytest.param("digits", marks=SLOW)])
def test_a_blind_attack_that_ranks_thousands_of_candidates_reads_nothing(
    dataset: str, blind: Path, tmp_path: Path
) -> None:
    attacks = [{"name": "blind", "draws": draws, "contrast": c} for draws in (1, 64, 8000) for c in (0.02, 0.2)]
    grid = {"attack": attacks, "model": ["mlp"], "batch_size": [1, 4], "defense": ["none"]}
    said = {"dataset": dataset, "targets": 8, "controls": ["grey", "mean", "noise"], "grid": grid}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(said))
    done = invbench("run", "m.yaml", "-o", "r", folder=tmp_path, PYTHONPATH=f"{blind}:{Path(__file__).parents[2]}")
    assert done.exit_code == 0, done.stderr
    assert {one["status"] for one in records(tmp_path / "r").values()} == {"ok"}
    page = (tmp_path / "r/report.md").read_text()
    assert "in which the attack read something: 0 of 12" in " ".join(page.split()), page[:3000]


@pytest.mark.parametrize(
    ("dataset", "batch", "labels", "made", "targets"),
    [
        ("digits", 1, "known", "means", 8),
        ("digits", 4, "known", "means", 8),
        ("digits", 8, "hidden", "centres", 8),
        ("lfw", 1, "known", "means", 8),
        ("lfw", 8, "known", "centres of the first label", 8),
        ("lfw", 8, "hidden", "centres", 8),
        pytest.param("natural", 8, "hidden", "centres", 30, marks=SLOW),
        pytest.param("natural", 1, "known", "means", 8, marks=SLOW),
    ],
)
def test_what_the_other_pictures_of_a_label_tell_is_not_read_from_the_update(
    dataset: str, batch: int, labels: str, made: str, targets: int, blind: Path, tmp_path: Path
) -> None:
    """Said to read most on digits (+2.8 dB) and faces (+1.4 dB) when the control was one mean of everything.

    Of eight batches of photographs two pictures more are identified by chance, which is "unsure": 30 have no such luck.
    """
    pool = registry.load("dataset", dataset).build({}, Dataset).load()
    others = np.setdiff1d(np.arange(len(pool.images)), pool.targets[: targets * batch])
    if made == "means":
        pictures = [pool.unit(others[pool.labels[others] == label]).mean(axis=0) for label in range(pool.classes)]
    else:
        of_first = pool.labels[others] == pool.labels[pool.targets[0]]
        pictures = [*centres(pool.unit(others[of_first] if made != "centres" else others), batch)]
    np.save(tmp_path / "pictures.npy", np.stack(pictures))
    attack = {"name": "published", "path": str(tmp_path / "pictures.npy"), "by_label": made == "means"}
    grid = {"attack": [attack], "model": ["mlp"], "batch_size": [batch], "defense": ["none"]}
    grid["protocol"] = [{"name": "fedsgd", "labels": labels}]
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({"dataset": dataset, "targets": targets, "grid": grid}))
    done = invbench("run", "m.yaml", "-o", "r", folder=tmp_path, PYTHONPATH=f"{blind}:{Path(__file__).parents[2]}")
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "r/report.md").read_text()
    assert "in which the attack read something: 0 of 1; 1 read nothing" in " ".join(page.split()), page[:3000]


@pytest.mark.parametrize("sensitive", ["vkorc1", pytest.param("cyp2c9", marks=SLOW)])
def test_a_blind_attack_on_attributes_reads_nothing(sensitive: str, blind: Path, tmp_path: Path) -> None:
    attacks = [{"name": "imputing", "draws": draws} for draws in (1, 64, 8000)]
    said = {"dataset": {"name": "warfarin", "sensitive": sensitive}, "targets": 300}
    said |= {"grid": {"attack": attacks, "model": ["iwpc"]}}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(said))
    done = invbench("run", "m.yaml", "-o", "r", folder=tmp_path, PYTHONPATH=f"{blind}:{Path(__file__).parents[2]}")
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "r/report.md").read_text()
    assert "in which the attack read something: 0 of 3" in " ".join(page.split()), page[:3000]
