"""A fast sample of `benchmarks/certificates.py`: a certificate promises no more than the misfit that is left allows."""

from __future__ import annotations

import certificates  # type: ignore[import-not-found]
import pytest

VICTIMS = ["linear", "mlp(activation=tanh)", "lenet(activation=leaky-relu)", "lenet"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_no_answer_is_worse_than_its_certificate_promises_and_without_an_error_none_is_lost(victim: str) -> None:
    [digit, _] = certificates.rounds(victim, 0, 1)
    found = certificates.answers(victim, digit, sizes=(1e-5, 3e-4, 1e-3))
    assert not [one for one in found if certificates.is_broken(one)]
    promised = [one.promised for one in found if one.promised is not None]
    assert len(promised) > 8
    assert found[0].certified_without
    assert max(promised) > min(promised) + 20  # an error that is seen costs accuracy


def test_the_table_counts_what_is_certified_broken_and_lost() -> None:
    of = lambda psnr, promised: certificates.Answer("linear", "noise", 1e-4, psnr, promised, True)  # noqa: E731
    samples = certificates.Samples([of(95.0, 60.0), of(40.0, 60.0), of(90.0, None), of(30.0, None)])
    table = certificates.answer(certificates.Settings(1, 1), samples)
    assert table.rows == [["`linear`", "4", "2", "1", "60.0", "2", "1"]]
    assert table.text == [
        "2 of 4 are certified, 1 of them worse than promised; of those below 100 dB the closest is -20.0 dB above its "
        "promise."
    ]
