"""Labels without a search: from the command line, its pictures those that labels are worth."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml
from command_line import invbench
from made_updates import digits, normalised, observe, public, victim

from invbench.attacks.label_recovery import LabelRecovery
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.observation import Labelled

MATRIX = {
    "name": "labels",
    "dataset": "digits",
    "targets": 2,
    "grid": {
        "attack": [{"name": "label-recovery", "labels": way} for way in ("ilrg", "column-min")],
        "model": [{"name": "mlp", "width": 32, "depth": 1}],
        "batch_size": [16],
        "protocol": [{"name": "fedsgd", "labels": "hidden"}],
    },
}


def test_pictures_are_the_means_of_the_attackers_own_of_each_label() -> None:
    images, labels = digits(104)
    network = victim(images, model=MLP(width=64, depth=2))
    seen = observe(network, images[:4], labels[:4], hidden=True)
    own = Labelled(normalised(images[4:]), labels[4:])
    told = dataclasses.replace(seen, public=dataclasses.replace(seen.public, reference=own))
    (guess,) = LabelRecovery(labels="rlu").attack_all([told])
    assert sorted(guess.labels.tolist()) == sorted(labels[:4].tolist())
    for image, label in zip(guess.images, guess.labels, strict=True):
        torch.testing.assert_close(image, images[4:][labels[4:] == label].mean(dim=0), atol=1e-5, rtol=0)
    (blind,) = LabelRecovery().attack_all([seen])
    assert bool((blind.images == 0.5).all())


def test_what_cannot_be_read_is_said_before_anything_is_computed() -> None:
    images, _ = digits(1)
    network = victim(images, model=LeNet(activation="tanh"))
    known = public(network, (1, 8, 8), batch=16, labels="hidden")
    assert "features of either sign; `labels: ilrg`" in str(LabelRecovery(labels="llg").unsupported(known))
    assert LabelRecovery().unsupported(known) is None


def test_a_report_shows_the_share_of_labels_and_that_they_were_read(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump(MATRIX))
    done = invbench("run", "labels.yaml", "-o", "out", "--device", "cpu", folder=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "16 pictures of 10 classes some repeat" in done.stdout + done.stderr
    report = (tmp_path / "out" / "report.md").read_text()
    columns = [
        [name.strip() for name in line.split("|")] for line in report.splitlines() if "label overlap ↑ |" in line
    ]
    assert [names[names.index("label overlap ↑") + 1] for names in columns] == ["control"]


def test_an_unknown_strategy_is_refused_with_the_nearest(tmp_path: Path) -> None:
    matrix = {**MATRIX, "grid": {**MATRIX["grid"], "attack": [{"name": "label-recovery", "labels": "irlg"}]}}  # type: ignore[dict-item]
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump(matrix))
    done = invbench("run", "labels.yaml", "-o", "out", folder=tmp_path)
    assert done.exit_code == 2
    assert "ilrg" in done.stderr


@pytest.mark.parametrize("labels", ["ilrg", "llg-dummy"])
def test_an_answer_does_not_depend_on_the_other_targets(labels: str) -> None:
    images, _ = digits(48)
    network = victim(images, model=MLP(width=32, depth=1))
    drawn = torch.randint(10, (48,), generator=torch.Generator().manual_seed(0))
    both = [observe(network, images[s], drawn[s], hidden=True) for s in (slice(0, 24), slice(24, 48))]
    attack = LabelRecovery(labels=labels)  # type: ignore[arg-type]
    together = attack.attack_all(both)
    alone = [attack.attack_all([one])[0] for one in both]
    assert [one.labels.tolist() for one in together] == [one.labels.tolist() for one in alone]
