"""How many training pictures are in a network's weights?

python benchmarks/kkt.py [--networks 5]

Attack `kkt` on networks with one hidden layer, each trained on digits of its own (odd or even), from the weights alone:
at the default setting, and with one thing changed at a time: width, training set, start, weight decay.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.core.attack import Attack
from invbench.games import game_of
from invbench.matrix import load

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "width=100": {"model": {"width": 100}},
    "width=200": {"model": {"width": 200}},
    "width=1000": {"model": {"width": 1000}},
    "pictures=10": {"protocol": {"pictures": 10}},
    "pictures=40": {"protocol": {"pictures": 40}},
    "start=0.0001": {"protocol": {"start": 1e-4}},
    "start=0.001": {"protocol": {"start": 1e-3}},
    "start=0.01": {"protocol": {"start": 0.01}},
    "start=null": {"protocol": {"start": None}},
    "decay=0.0001": {"protocol": {"decay": 1e-4}},
    "decay=0.001": {"protocol": {"decay": 1e-3}},
    "decay=0.01": {"protocol": {"decay": 1e-2}},
}
"""By name, what differs from width 500, 20 pictures, start 0.003, no decay."""


class Settings(Kept, frozen=True):
    """`networks`: of each variant."""

    networks: int
    variants: list[Name]


class Network(Kept, frozen=True):
    """One network attacked: counts of pictures; CPU seconds of the attack; the loss at which its training ended."""

    training: int
    unseen: int
    seconds: float
    loss: float


class Samples(Kept, frozen=True):
    variants: dict[Name, list[Network]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--networks", type=int, default=5)
    settings = Settings(arguments.parse_args().networks, list(VARIANTS))
    torch.set_num_threads(1)
    record("kkt", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    return Samples({name: attacked(VARIANTS[name], settings.networks) for name in settings.variants})


def attacked(changed: dict[str, dict[str, Any]], networks: int) -> list[Network]:
    """Every network of one variant, attacked."""
    model = {"name": "mlp", "width": 500, "depth": 1, **changed.get("model", {})}
    protocol = {"name": "weights", **changed.get("protocol", {})}
    grid = {"attack": ["kkt"], "model": [model], "protocol": [protocol]}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "cell.yaml"
        file.write_text(f"dataset: {{name: digits, labels: parity}}\ntargets: {networks}\ngrid: {_flow(grid)}\n")
        (cell,) = load(file).cells
    deal, attack = game_of(cell).deal(cell, torch.device("cpu")), cell.attack.build(Attack)
    answers, seconds = [], []
    for seen in deal.observations:
        started = time.process_time()
        answers.append(attack(seen))
        seconds.append(time.process_time() - started)
    scores = deal.score(answers)
    counts = zip(scores["training_found"], scores["unseen_found"], seconds, deal.losses, strict=True)
    found = [Network(int(seen[0]), int(unseen[0]), took, loss) for seen, unseen, took, loss in counts]
    print(cell.model.short, protocol, found, flush=True)
    return found


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="How many training pictures are in a network's weights?",
        question="`kkt` on networks with one hidden layer, trained on digits of their own, odd or even. Default: width "
        "500, 20 pictures, first layer started at 0.003, no weight decay, trained to a loss of 5e-11. Counted are the "
        "training pictures that are, of all 1,797 digits, the nearest to an answer (by correlation), and the same of "
        f"as many pictures never trained on; means over {settings.networks} networks, each on others. An answer "
        "holds twice as many pictures as there were.",
        command="python benchmarks/kkt.py",
        columns=["changed", "of", "training found", "least", "most", "unseen found", "CPU, s", "loss, at most"],
        rows=[row(name, samples.variants[name]) for name in settings.variants],
        text=[_ends(samples)],
    )


def _ends(samples: Samples) -> str:
    """Where least is found, and where pictures are found that no network was trained on."""
    shares = {name: statistics.mean(one.training for one in f) / _of(name) for name, f in samples.variants.items()}
    unseen = {name: statistics.mean(one.unseen for one in found) for name, found in samples.variants.items()}
    least, noisy = min(shares, key=shares.__getitem__), max(unseen, key=unseen.__getitem__)
    return (
        f"Least is found with `{least}`, {shares[least]:.0%} of the training pictures (`start=null` is PyTorch's own "
        f"start); no setting of these stops the attack. It is least to be believed with `{noisy}`, where "
        f"{unseen[noisy]:.1f} pictures are found that the network never saw."
    )


def _of(name: str) -> int:
    """Training pictures of a variant."""
    count: int = VARIANTS[name].get("protocol", {}).get("pictures", 20)
    return count


def row(name: str, found: list[Network]) -> list[str]:
    training = [one.training for one in found]
    of = _of(name)
    mean = statistics.mean(training)
    unseen = statistics.mean(one.unseen for one in found)
    seconds = statistics.mean(one.seconds for one in found)
    worst = max(one.loss for one in found)
    counts = [f"**{mean:.1f}**", str(min(training)), str(max(training)), f"{unseen:.1f}"]
    return [f"`{name}`", str(of), *counts, f"{seconds:.0f}", f"{worst:.1g}"]


def _flow(value: Any) -> str:
    """As YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return "null" if value is None else f"{value:.10f}".rstrip("0") if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
