"""Attack `generator-inversion`: digits 0 to 4 in the code of a generator that has seen 5 to 9."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import torch
from made_models import class_means, confidence, public, reference, released, trained

from invbench.attacks.generator_inversion import GeneratorInversion
from invbench.metrics import class_found
from invbench.observation import Inversion, ModelObservation, Tensors

ATTACK = GeneratorInversion(latent=8, hidden=40, training_steps=300, iterations=60)


@cache
def generator() -> Tensors:
    known = public(trained(known=5), reference=reference(), known_classes=5)
    return ATTACK.preparations(known)["generator"].make({})


def observed(target: int, shuffled: bool = False) -> ModelObservation:
    seen = released(trained(known=5, shuffled=shuffled), target, reference=reference(), known_classes=5)
    return dataclasses.replace(seen, prepared={"generator": generator()})


def found(answers: list[Inversion]) -> int:
    pictures = np.stack([one.image.double().numpy() for one in answers if one.image is not None])
    return int(class_found(pictures, np.arange(5), class_means().double().numpy()[:5]).sum())


def test_digits_that_the_generator_never_saw_are_found_in_its_code_and_not_by_shuffled_labels() -> None:
    answers = ATTACK.attack_all([observed(k) for k in range(5)])
    assert found(answers) >= 4
    assert found(ATTACK.attack_all([observed(k, shuffled=True) for k in range(5)])) <= 3
    for k, answer in enumerate(answers):
        said = float(answer.facts["confidence"])  # type: ignore[arg-type]
        assert abs(said - confidence(trained(known=5), answer.image, k)) < 1e-4


def test_the_generator_draws_digits_and_its_training_repeats_bit_for_bit() -> None:
    known = public(trained(known=5), reference=reference(), known_classes=5)
    again = ATTACK.preparations(known)["generator"].make({})
    assert all(torch.equal(again[name], generator()[name]) for name in generator())
    decoder = [again[name] for name in ("0.weight", "0.bias", "2.weight", "2.bias")]
    codes = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    drawn = ((codes @ decoder[0].T + decoder[1]).relu() @ decoder[2].T + decoder[3]).sigmoid()
    own = reference().flatten(1)
    apart = torch.cdist(drawn, own).min(dim=1).values.mean()
    noise = torch.cdist(torch.rand(200, 64, generator=torch.Generator().manual_seed(1)), own).min(dim=1).values.mean()
    assert apart < 0.6 * noise


def test_a_restart_costs_evaluations_and_the_one_of_least_cost_is_answered() -> None:
    one, many = (dataclasses.replace(ATTACK, restarts=k).attack_all([observed(3)])[0] for k in (1, 4))
    assert (one.evaluations, many.evaluations) == (61, 4 * 61)
    assert one.objective is not None
    assert many.objective is not None
    assert many.objective <= one.objective + 1e-5


def test_the_prior_keeps_codes_where_pictures_are() -> None:
    loose, tight = (dataclasses.replace(ATTACK, prior=prior).attack_all([observed(3)])[0] for prior in (0.0, 3.0))
    assert float(loose.facts["confidence"]) > float(tight.facts["confidence"])  # type: ignore[arg-type]


def test_without_pictures_or_weights_it_is_unsupported() -> None:
    known = public(trained())
    assert "public: other-classes" in str(ATTACK.unsupported(known))
    assert ATTACK.preparations(known) == {}
    closed = dataclasses.replace(known, protocol="black-box", queries=9, reference=reference())
    assert "brep-mi" in str(ATTACK.unsupported(closed))
    assert ATTACK.unsupported(dataclasses.replace(known, reference=reference())) is None
