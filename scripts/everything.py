"""Write a folder with a matrix of every attack, model, defence and data set, and small files in the true formats.

    python scripts/everything.py /tmp/everything
    invbench run /tmp/everything/everything.yaml -o /tmp/everything/before     # at one revision
    invbench run /tmp/everything/everything.yaml -o /tmp/everything/after      # at another
    python scripts/same_results.py /tmp/everything/before /tmp/everything/after

The matrix names what stood when it was written, and its files are the same bytes each time.
"""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

MATRIX = """\
name: everything
dataset: {name: npz, path: images.npz}
targets: 2
timeout: 900
controls: [grey, mean]
grid:
  attack:
    - {name: auto, evaluations: 60}
    - peel
    - analytic
    - {name: dlg, iterations: 40, restarts: 2}
    - {name: idlg, iterations: 40, restarts: 2}
    - {name: inverting-gradients, iterations: 30, restarts: 2}
  model: [lenet, {name: lenet, activation: relu}, {name: lenet, pool: average}, {name: mlp, width: 16}, linear]
  batch_size: [1, 2]
  defense:
    - none
    - {name: gaussian, std: 0.001}
    - {name: laplace, std: 0.001}
    - {name: clip, norm: 1.0}
    - {name: per-example-clip, norm: 1.0}
    - {name: top-k, fraction: 0.2}
    - {name: random-k, fraction: 0.5}
    - {name: quantize, bits: 8}
    - sign
    - [{name: per-example-clip, norm: 1.0}, {name: gaussian, std: 0.001}]
exclude:
  - {model: {name: lenet, pool: average}, attack: auto}
  - {model: {name: lenet, pool: average}, attack: peel}
include:
"""
BRIEF = "{name: inverting-gradients, iterations: 4}"
MODELS = (
    "{name: convnet, width: 4}",
    "{name: lenet, trained: true, training_steps: 20}",
    "{name: mlp, trained: true, training_steps: 20}",
    "resnet18",
    "resnet20",
    "{name: vgg11}",
    "torchvision/resnet18",
    "{name: lenet, pool: average}",
)
SETS = (
    "natural",
    "lfw",
    "digits",
    "{name: folder, path: photos}",
    "{name: cifar10, root: cifar}",
    "{name: cifar100, root: cifar}",
    "{name: mnist, root: idx}",
    "{name: fashion-mnist, root: idx}",
)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(0)
    write_pictures(folder, drawn)
    write_cifar(folder / "cifar", drawn)
    for name in ("MNIST", "FashionMNIST"):
        write_idx(folder / "idx" / name / "raw", drawn)
    cells = [cell(BRIEF, model, batch) for model in MODELS for batch in (1, 2)]
    cells += [cell("{name: auto, evaluations: 40}", "{name: convnet, width: 4}", 1)]
    cells += [cell(BRIEF, "lenet", 1, f"dataset: {name}, targets: 1") for name in SETS]
    hidden = "protocol: {name: fedsgd, labels: hidden}"
    for attack in ("peel", "{name: auto, evaluations: 60}", "{name: dlg, iterations: 20, restarts: 1}", BRIEF):
        cells.append(cell(attack, "lenet", 1, hidden))
    cells.append(cell("{name: auto, evaluations: 60}", "lenet", 2, hidden))
    for sensitive in ("vkorc1", "cyp2c9"):
        data = f"dataset: {{name: warfarin, sensitive: {sensitive}}}, targets: 60"
        cells.append(f"  - {{attack: map-inversion, model: iwpc, {data}}}\n")
    (folder / "everything.yaml").write_text(MATRIX + "".join(cells))
    noise = MATRIX.replace("name: everything", "name: noise").replace("[grey, mean]", "[grey, mean, noise]")
    few = noise.partition("grid:")[0] + "include:\n"
    trained = "{name: lenet, trained: true, training_steps: 20}"
    (folder / "noise.yaml").write_text(few + cell(BRIEF, "lenet", 2) + cell(BRIEF, trained, 1))


def cell(attack: str, model: str, batch: int, more: str = "") -> str:
    return f"  - {{attack: {attack}, model: {model}, batch_size: {batch}, defense: none{', ' * bool(more)}{more}}}\n"


def write_pictures(folder: Path, drawn: np.random.Generator) -> None:
    """An npz and a folder of pictures: smooth random fields of 16 x 16, in three classes that take turns."""
    coarse = drawn.random((12, 3, 4, 4))
    fields = np.kron(coarse, np.ones((1, 1, 4, 4)))
    images = (255 * fields).round().astype(np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(12) % 3)
    for number, image in enumerate(images):
        place = folder / "photos" / f"class{number % 3}" / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(place)


def write_cifar(root: Path, drawn: np.random.Generator) -> None:
    ten, hundred = root / "cifar-10-batches-py", root / "cifar-100-python"
    for folder, names, key in (
        (ten, [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"], "labels"),
        (hundred, ["train", "test"], "fine_labels"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            held = {"data": drawn.integers(0, 256, (4, 3072)).astype(np.uint8), key: [0, 1, 2, 3]}
            (folder / name).write_bytes(pickle.dumps(held, protocol=4))


def write_idx(folder: Path, drawn: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 6), ("t10k", 3)):
        images = drawn.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count, dtype=np.uint8))):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            packed = gzip.compress(header + array.tobytes(), mtime=0)
            (folder / f"{split}-{kind}-ubyte.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
