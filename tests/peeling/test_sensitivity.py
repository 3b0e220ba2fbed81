"""The gradient and its Fisher information by structure, against the Jacobian written out by autograd."""

from __future__ import annotations

import pytest
import torch
from small_chains import LABEL, Known, flat, known, networks
from torch import Tensor

from invbench.peeling.sensitivity import gradient_of, information, weighted_residual

NAMES = sorted(networks())


def jacobian(one: Known) -> Tensor:
    rows: Tensor = torch.func.jacfwd(lambda picture: flat(one.gradient(picture)))(one.picture)
    return rows.reshape(len(rows), -1)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_client_s(name: str) -> None:
    one = known(name)
    expected = one.gradient(one.picture)
    found = gradient_of(one.chain, one.picture, LABEL)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[key], expected[key], atol=1e-12) for key in expected)


@pytest.mark.parametrize("hidden", [False, True], ids=["all shared", "some left out"])
@pytest.mark.parametrize("name", NAMES)
def test_information_is_that_of_the_jacobian(name: str, hidden: bool) -> None:
    """Each tensor has its own variance; where entries are left out, variances differ within a tensor too."""
    one = known(name)
    stream = torch.Generator().manual_seed(1)
    expected = one.gradient(one.picture)
    seen, variances = {}, {}
    for index, (key, tensor) in enumerate(expected.items()):
        seen[key] = tensor + torch.randn(tensor.shape, generator=stream, dtype=tensor.dtype)
        variances[key] = torch.full_like(tensor, 0.5 + 0.3 * index)
        if hidden:
            variances[key] *= 1 + torch.rand(tensor.shape, generator=stream, dtype=tensor.dtype)
            variances[key][torch.rand(tensor.shape, generator=stream) < 0.3] = torch.inf
            seen[key][variances[key].isinf()] = 0.0
    found = information(one.chain, one.picture, LABEL, seen, variances)
    precision = 1 / flat(variances)
    residual = torch.where(precision > 0, flat(seen) - flat(expected), 0.0)
    rows = jacobian(one)
    matrix, pull = rows.T @ (precision[:, None] * rows), rows.T @ (precision * residual)
    assert torch.allclose(found.matrix, matrix, atol=1e-10 * float(matrix.abs().max()))
    assert torch.allclose(found.pull, pull, atol=1e-10 * float(pull.abs().max()))
    assert found.residual == pytest.approx(float((precision * residual.square()).sum()))
    assert found.residual == pytest.approx(weighted_residual(one.chain, one.picture, LABEL, seen, variances))


def test_an_update_of_which_nothing_was_shared_tells_nothing() -> None:
    one = known("mixed")
    seen = {key: torch.zeros_like(tensor) for key, tensor in one.gradient(one.picture).items()}
    found = information(
        one.chain, one.picture, LABEL, seen, {k: torch.full_like(t, torch.inf) for k, t in seen.items()}
    )
    assert not found.matrix.any()
    assert not found.pull.any()
    assert found.residual == 0.0
