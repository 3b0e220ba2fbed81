"""What does a sum of n clients' updates tell, what does a malicious server read of it, and what does hiding it cost?

python benchmarks/aggregation.py [--clients 1 2 4 8 16 32 64] [--targets 2] [--values 4096]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _cells import decibels
from _measure import interleaved, ratio, record
from _raw import Kept, Name
from _table import Table

from invbench.core import execution
from invbench.defenses import _ciphers
from invbench.defenses.secure_aggregation import SecureAggregation
from invbench.matrix import load
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt
from invbench.secure import Plan
from invbench.secure.ring import ring_bits
from invbench.secure.session import aggregate
from invbench.secure.traffic import traffic

CPU = torch.device("cpu")
ATTACKS = ("{name: inverting-gradients, iterations: 100, restarts: 1}", "{name: suppress, inner: analytic}")
MODEL = "{name: mlp, width: 32}"
MATRIX = """\
dataset: natural
targets: {targets}
grid:
  attack: [{attack}]
  model: [{model}]
  defense: [secure-aggregation]
  protocol: [{{name: fedsgd, clients: {clients}}}]
"""
REPEATS = 5


class Settings(Kept, frozen=True):
    clients: list[int]
    targets: int
    values: int


class Sum(Kept, frozen=True):
    """PSNR of every picture of every target, of one attack on the sum of so many clients' updates, and that of the
    control with the highest mean, which reads nothing."""

    attack: Name
    clients: int
    psnr: list[float]
    control: list[float]


class Cost(Kept, frozen=True):
    """CPU seconds, and bytes over those of float32; of a client where `step` says so (`round`: of all of them)."""

    scheme: Name
    step: Name
    seconds: list[float]
    values: int
    expansion: float | None = None


class Samples(Kept, frozen=True):
    sums: list[Sum]
    costs: list[Cost]
    ckks_error: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clients", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    arguments.add_argument("--targets", type=int, default=2)
    arguments.add_argument("--values", type=int, default=4096)
    asked = arguments.parse_args()
    settings = Settings(asked.clients, asked.targets, asked.values)
    torch.set_num_threads(1)
    record("aggregation", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    sums = [_sum(attack, n, settings.targets) for attack in ATTACKS for n in settings.clients]
    values = np.random.default_rng(0).normal(size=settings.values)
    costs = [*_ckks(values), *_paillier(), *(_secure(n, settings.values) for n in (8, 64) if n in settings.clients)]
    total = _ciphers.encrypted(values[: _ciphers.SLOTS])
    error = float(np.abs(np.asarray(total.decrypt()) - values[: _ciphers.SLOTS]).max())
    return Samples(sums, costs, error)


def _sum(attack: str, clients: int, targets: int) -> Sum:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cell.yaml"
        path.write_text(MATRIX.format(targets=targets, attack=attack, model=MODEL, clients=clients))
        (cell,) = load(path).cells
        deal = dealt(cell, CPU)
        answers = answered(attack_of(cell), deal.observations, execution.Settings()).answers
    psnr = [value for k, one in enumerate(answers) for value in decibels(deal, k, one.images)]
    controls = [[v for target in of["psnr"] for v in target if v is not None] for of in deal.controls().values()]
    found = Sum(cell.attack.short, clients, psnr, max(filter(None, controls), key=statistics.mean))
    print(found.attack, clients, statistics.mean(found.psnr), statistics.mean(found.control), flush=True)
    return found


def _ckks(values: Any) -> Iterator[Cost]:
    made = _ciphers.encrypted(values)
    sides: dict[str, Callable[[], object]] = {
        "encrypt": lambda: _ciphers.encrypted(values),
        "add": lambda: made + made,
        "decrypt": made.decrypt,
    }
    size = _ciphers.Ckks().ciphertext_bytes(len(values)) / (4 * len(values))
    for step, seconds in interleaved(sides, REPEATS).items():
        yield Cost("ckks", step, seconds, len(values), size if step == "encrypt" else None)


def _paillier() -> Iterator[Cost]:
    public, private = _ciphers._paillier_keys(3072)
    made = public.raw_encrypt(12345)
    sides: dict[str, Callable[[], object]] = {
        "encrypt": lambda: public.raw_encrypt(12345),
        "add": lambda: made * made % public.nsquare,
        "decrypt": lambda: private.raw_decrypt(made),
    }
    size = _ciphers.Paillier().ciphertext_bytes(1) / 4
    for step, seconds in interleaved(sides, REPEATS).items():
        yield Cost("paillier", step, seconds, 1, size if step == "encrypt" else None)


def _secure(clients: int, values: int) -> Cost:
    threshold = SecureAggregation()._threshold(clients)
    plan = Plan(bytes(16), clients, threshold, values, ring_bits(clients, 16))
    drawn = np.random.default_rng(0)
    vectors = [drawn.integers(0, 2**16, values, dtype=np.uint64) for _ in range(clients)]
    seconds = interleaved({"": partial(aggregate, plan, vectors, drawn.bytes)}, 2)[""]
    return Cost(f"secure,clients={clients}", "round", seconds, values, traffic(plan).sent / (4 * values))


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What does the sum of n clients' updates tell?",
        question="Secure aggregation on an untrained `mlp(width=32)` with ReLU, one picture of `natural` a client: "
        f"mean PSNR in dB of every picture of {settings.targets} rounds, and the best. `suppress` is a malicious "
        "server's and aims at the first client: its pictures alone count. The control, which reads nothing, is the "
        "better of the best grey and the mean of other pictures: only what is above it was read.",
        command="python benchmarks/aggregation.py",
        columns=["attack", *(f"n = {n}" for n in settings.clients)],
        rows=[
            line for name in dict.fromkeys(one.attack for one in samples.sums) for line in _lines(name, samples.sums)
        ],
        text=[*_said(samples.costs), f"Largest error of CKKS beside the truth: {samples.ckks_error:.1e}."],
    )


def _lines(attack: str, sums: Sequence[Sum]) -> list[list[str]]:
    """What the attack reads of each number of clients, and below it what its control has of the same pictures."""
    mine = [one for one in sums if one.attack == attack]
    sides = {f"`{attack}`": [one.psnr for one in mine], "its control": [one.control for one in mine]}
    return [[name, *(f"{statistics.mean(v):.1f} (best {max(v):.1f})" for v in of)] for name, of in sides.items()]


def _said(costs: Sequence[Cost]) -> list[str]:
    """Medians of CPU milliseconds, in words; of Paillier a scalar."""
    lines = []
    for scheme in dict.fromkeys(one.scheme for one in costs):
        of = [one for one in costs if one.scheme == scheme]
        steps = ", ".join(f"{one.step} {_milliseconds(1000 * ratio(one.seconds, [1.0]))}" for one in of)
        wide = [f"{one.expansion:.4g} times the bytes of float32" for one in of if one.expansion is not None]
        values = "a value" if of[0].values == 1 else f"{of[0].values:,} values"
        lines.append(f"`{scheme}`, {values}: {steps}; {', '.join(wide)}.")
    return lines


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


if __name__ == "__main__":
    main()
