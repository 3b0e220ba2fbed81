"""What does each defence buy and cost on a large network? Twelve settings on `convnet` with group normalisation.

python benchmarks/frontier.py [--width 64] [--targets 4] [--evaluations 2000] [--rounds 100] [--device cpu]
    [--only 0 1 ...] [--anew]

Hours on a CPU core, even at a width of 8. Settings that are done are kept in unfinished/, and the table needs them all.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _measure import record
from _parts import UNFINISHED, finish, read
from _raw import Kept, Name
from _revision import clean_revision
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.federation import Federation
from invbench.matrix import load
from invbench.numbers.statistics import summarise
from invbench.play.federating import record_of
from invbench.play.playing import play
from invbench.store import Scores

BATCH = 8
DEFENSES = (
    "none",
    "{name: gaussian, std: 0.001}",
    "{name: gaussian, std: 0.01}",
    "[{name: clip, norm: 1.0}, {name: gaussian, std: 0.01}]",
    "[{name: clip, norm: 1.0}, {name: gaussian, std: 1.0}]",
    "{name: dp-sgd, epsilon: 8, rounds: 100}",
    "{name: dp-sgd, epsilon: 1, rounds: 100}",
    "{name: quantize, bits: 4}",
    "sign",
    "{name: top-k, fraction: 0.1}",
    "{name: top-k, fraction: 0.01}",
    "{name: prune, share: 0.9}",
)
MATRIX = """\
dataset: natural
targets: {targets}
timeout: 86400
utility: {{clients: 5, rounds: {rounds}, batch_size: 8, participation: 0.4, lr: 0.001}}
grid:
  attack: [{{name: inverting-gradients, iterations: {evaluations}}}]
  model: [{model}]
  batch_size: [{batch}]
  defense: [{defense}]
"""

NOTHING_READ = (
    "At this budget the attack reads nothing even without a defence, so leaks tell no defences apart here: what the "
    "table says is what each costs, and how far its limit is."
)


class Settings(Kept, frozen=True):
    """`evaluations`: of the attack on one target. `rounds`: of the training that says what a defence costs."""

    model: Name
    targets: int
    evaluations: int
    rounds: int


class Row(Kept, frozen=True):
    """One setting. `psnr` in dB with its 95 % interval over targets, `control` that of the strongest one. `limit`: how
    far any attacker with a Gaussian prior gets, `dfil` any unbiased one, in dB of the mean squared error; None where
    nothing is noised, and the first where the derivative of what is sent takes more than 4 GiB.

    `accuracy`: a share of `held_out` pictures. `attack`, `training`: CPU seconds of this process (on a GPU wall).
    """

    defense: Name
    psnr: float
    low: float
    high: float
    control: float
    limit: float | None
    dfil: float | None
    accuracy: float
    held_out: int
    message: float
    round: float
    attack: float
    training: float


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--width", type=int, default=64, help="channels of the first convolution")
    arguments.add_argument("--targets", type=int, default=4)
    arguments.add_argument("--evaluations", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument(
        "--only", type=int, nargs="+", choices=range(len(DEFENSES)), help="measure these settings alone"
    )
    arguments.add_argument("--anew", action="store_true", help="throw away what is done of another revision")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    model = f"{{name: convnet, norm: group, width: {asked.width}}}"
    named = f"convnet(norm=group,width={asked.width})"
    settings = Settings(named, asked.targets, asked.evaluations, asked.rounds)
    sizes = (asked.width, asked.targets, asked.evaluations, asked.rounds)
    folder = UNFINISHED / "-".join(["frontier", *map(str, sizes), asked.device])
    names = [f"{number:02}" for number in range(len(DEFENSES))]
    these = names if asked.only is None else [names[number] for number in asked.only]

    def make(name: str) -> Row:
        return measure(model, settings, [DEFENSES[int(name)]], asked.device).rows[0]

    finish(folder, these, make, clean_revision(), asked.anew)
    if len(these) < len(names):
        return
    gpu = torch.cuda.get_device_name() if asked.device != "cpu" else None
    record("frontier", settings, lambda: Samples(read(folder, names, Row)), gpu=gpu)


def measure(model: str, settings: Settings, defenses: Sequence[str], device: str = "cpu") -> Samples:
    """A row a defence."""
    rows = []
    for defense in defenses:
        words = {"model": model, "batch": BATCH, "defense": defense}
        words |= {"targets": settings.targets, "evaluations": settings.evaluations, "rounds": settings.rounds}
        with TemporaryDirectory() as folder:
            (Path(folder) / "cell.yaml").write_text(MATRIX.format(**words))
            matrix = load(Path(folder) / "cell.yaml")
        (cell,) = matrix.cells
        rows.append(_row(cell, matrix.federations[cell.id], device))
    return Samples(rows)


def _row(cell: Cell, federation: Federation, device: str) -> Row:
    clock: Callable[[], float] = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    played = play(cell, device).record
    attacked = clock()
    trained = record_of(federation, device)
    if played.status != "ok" or trained.accuracy is None or trained.message_bytes is None:
        raise SystemExit(f"{cell.names['defense']}: {played.status}: {played.reason}; training: {trained.reason}")
    found = summarise(played.scores["psnr"])
    controls = [summarise(control["psnr"]) for control in played.controls.values() if "psnr" in control]
    assert found is not None
    return Row(
        defense=str(cell.names["defense"]),
        psnr=found.mean,
        low=found.mean if found.ci_low is None else found.ci_low,
        high=found.mean if found.ci_high is None else found.ci_high,
        control=max(one.mean for one in controls if one is not None),
        limit=_limit(played.scores, "limit_psnr_prior"),
        dfil=_limit(played.scores, "limit_psnr_dfil"),
        accuracy=trained.accuracy,
        held_out=trained.held_out or 0,
        message=trained.message_bytes,
        round=trained.seconds["round"],
        attack=attacked - started,
        training=clock() - attacked,
    )


def _limit(scores: Scores, name: str) -> float | None:
    """Limits bound squared errors, so it is their mean, over targets, in dB; None where a target has none."""
    errors = [None if value is None else 10 ** (-value / 10) for [value] in scores.get(name, [])]
    if not errors or None in errors:
        return None
    return -10 * math.log10(statistics.mean(errors))


def answer(settings: Settings, samples: Samples) -> Table:
    bare = samples.rows[0]
    nothing = bare.high <= bare.control
    width = settings.model.partition("width=")[2].rstrip(")")
    return Table(
        title="What does each defence buy and cost on a convolutional network?",
        question=f"`{settings.model}`, untrained, attacked by `inverting-gradients` ({settings.evaluations:,} "
        f"evaluations, told of the defence) on {settings.targets} batches of {BATCH} crops of `natural`; and trained "
        f"under the same defence by {settings.rounds} rounds of 2 of 5 clients with 8 pictures each. PSNR in dB with "
        "its 95 % interval over targets; accuracy on held-out crops of the photographs that it trained on, one seed. "
        "Limit: of any attacker with a Gaussian prior of the pictures, in dB of the mean squared error, empty where it "
        "takes more than 4 GiB; dFIL limit: of any unbiased attacker. "
        "Seconds are CPU seconds, but those of a round, which are wall; those of an attack hold its limits, "
        "where no row above has made them. A star, where anything is read without a defence: no other row leaks less "
        "at no less accuracy, or as much at more.",
        command=f"python benchmarks/frontier.py --width {width} --targets {settings.targets} "
        f"--evaluations {settings.evaluations} --rounds {settings.rounds}",
        columns=[
            *("", "defence", "PSNR", "limit", "dFIL limit", "control", "accuracy"),
            *("bytes a message", "s a round", "attack, s", "training, s"),
        ],
        rows=[
            [
                *("*" if not nothing and _unbeaten(row, samples) else "", f"`{row.defense}`"),
                *(f"{row.psnr:.2f} [{row.low:.2f}, {row.high:.2f}]", _shown(row.limit), _shown(row.dfil)),
                *(f"{row.control:.2f}", f"{row.accuracy:.3f}"),
                *(f"{row.message:,.0f} ({row.message / bare.message:.3g}x)", f"{row.round:.3g}"),
                *(f"{row.attack:.0f}", f"{row.training:.0f}"),
            ]
            for row in samples.rows
        ],
        text=[
            "The whole interval lies below the undefended one: "
            + (", ".join(f"`{row.defense}`" for row in samples.rows if row.high < bare.low) or "nowhere")
            + ".",
            *([NOTHING_READ] if nothing else []),
            "Rows are compared after the fact: an attack that finds little is no proof of safety.",
        ],
    )


def _shown(limit: float | None) -> str:
    return "" if limit is None else f"{limit:.2f}"


def _unbeaten(row: Row, samples: Samples) -> bool:
    def beats(other: Row) -> bool:
        no_worse = other.psnr <= row.psnr and other.accuracy >= row.accuracy
        return no_worse and (other.psnr < row.psnr or other.accuracy > row.accuracy)

    return not any(map(beats, samples.rows))


if __name__ == "__main__":
    main()
