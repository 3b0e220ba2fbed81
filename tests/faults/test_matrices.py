"""Matrices, arrays and pictures that are damaged or hostile: a matrix, or refused by place with exit code 2."""

from __future__ import annotations

import io
import random
import resource
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from invbench import cli, matrix
from invbench.data import folder as folder_part
from invbench.data import npz as npz_part
from invbench.data._labelled import FORMATS
from invbench.guide.template import TEMPLATE
from invbench.matrix import MatrixErrors
from invbench.play.asking import unplayable

SLOWEST = 5.0  # seconds for one input
MOST_MB = 500  # that a whole round of inputs may add to the process
ASKED = 2  # cells of a matrix of which it is asked whether they can be played

OWN = """\
dataset: {name: npz, path: a.npz}
seed: [0, 1]
grid:
  attack: [dlg, {name: inverting-gradients, tv: 0.001}, auto]
  model: [mlp, {name: convnet, width: 4}, {name: lenet, trained: true}]
  batch_size: [1, 2]
  defense: [none, {name: gaussian, std: 0.01}, [{name: clip, norm: 1.0}, sign]]
  protocol: [fedsgd, {name: fedavg, steps: 2, lr: 0.1}, {name: fedsgd, labels: hidden, clients: 2}]
exclude: [{attack: dlg, model: convnet}]
include:
  - {attack: map-inversion, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}, targets: 5}
  - {attack: analytic, model: mlp, batch_size: 1, defense: none, dataset: {name: folder, path: photos, size: 8}}
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart.yaml"
ODD = (
    *(
        "0",
        "-1",
        "1e1",
        "1.5",
        "1e9",
        "1e18",
        "1e300",
        "999999999999999999",
        "3000000000",
        ".nan",
        "-.inf",
        "0x1f",
        "1_0",
    ),
    *("", "~", "true", "on", "none", "''", "[]", "{}", "[[]]", "{name: }", "{name: npz}", "{name: folder, path: .}"),
    *("*a", "&a [*a]", "!!python/object:os.system x", "<<", "'\x00'", "\u202e", "\ud800", "a" * 300, "../" * 200),
    *(
        "mlp",
        "dlg",
        "torchvision/vit_b_16",
        "torchvision/x",
        "[" * 60,
        "{a: " * 60,
        "? ",
        "- ",
        "\t",
        "|",
        ">",
        "%YAML 3",
    ),
    *("{name: mlp, depth: 1e9}", "{name: mlp, width: 999999999}", "{name: convnet, width: 1000000000}"),
    *("{name: folder, path: photos, size: 3000000000}", "{name: npz, path: a.npz, mean: [127.5], std: [127.5]}"),
    *(
        "{name: folder, path: flat, drawn_classes: 1e17}",
        "{name: fedsgd, clients: 1e17}",
        "/dev/zero",
        "photos/0/0.png",
    ),
    *("{name: folder, path: flat, labels: labels.csv}", "{name: folder, path: photos, labels: /dev/zero}"),
)
"""What a value of a matrix may become."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small array, folders of pictures of every format, and a table of labels."""
    folder = tmp_path_factory.mktemp("whole")
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    np.savez(folder / "a.npz", images=images, labels=np.arange(12) % 3)
    np.savez_compressed(folder / "b.npz", images=(images / 255).astype(np.float32), labels=np.arange(12) % 3)
    (folder / "flat").mkdir()
    for number, suffix in enumerate(sorted(FORMATS)):
        inner = folder / "photos" / str(number % 3)
        inner.mkdir(parents=True, exist_ok=True)
        mode = "L" if suffix == ".pgm" else "RGB"
        pixels = drawn.integers(0, 256, (9, 12) if mode == "L" else (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(inner / f"{number}{suffix}")
        shutil.copy(inner / f"{number}{suffix}", folder / "flat")
    rows = [f"{file.name},{number % 2}" for number, file in enumerate(sorted((folder / "flat").iterdir()))]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    return folder


@pytest.fixture
def base(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to damage, as the working directory."""
    folder = tmp_path / "work"
    shutil.copytree(whole, folder)
    monkeypatch.chdir(folder)
    return folder


def judge(text: bytes, what: str) -> str:
    """How a matrix ended: `read`, or `refused` by place with exit code 2. Anything else fails, naming the input."""
    Path("m.yaml").write_bytes(text)
    for part in (npz_part, folder_part):
        part._load.cache_clear()
    started = time.process_time()
    try:
        ended = _read_or_refused()
        assert time.process_time() - started < SLOWEST
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}\n{text[:3000]!r}") from error
    return ended


def _read_or_refused() -> str:
    """The cells of the matrix asked whether they can be played, or what the command line says of its mistakes."""
    try:
        cells = matrix.load("m.yaml").cells
    except MatrixErrors:
        done = CliRunner().invoke(cli.invbench, ["run", "m.yaml", "--dry-run"])
        assert (done.exit_code, type(done.exception)) == (2, SystemExit)
        assert done.output.startswith("m.yaml:")
        assert "Traceback" not in done.output
        assert len(done.output.splitlines()) <= 51
        return "refused"
    for cell in cells[:ASKED]:
        unplayable(cell)
    return "read"


def damaged_text(text: str, chance: random.Random) -> bytes:
    """A matrix with a few of its values, keys or lines changed, as YAML or, now and then, byte by byte."""
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(lines))
        line, kind = lines[place], chance.randrange(6)
        words = [word for word in line.replace(",", " ").replace("}", " ").replace("]", " ").split() if word[0] != "#"]
        if kind <= 2 and words:
            lines[place] = line.replace(chance.choice(words), chance.choice(ODD), 1)
        elif kind == 3:
            key, colon, _ = line.partition(":")
            lines[place] = f"{key}{colon} {chance.choice(ODD)}"
        elif kind == 4:
            lines[place] = chance.choice([line + line, line[: len(line) // 2], " " + line, line.lstrip(), ""])
        else:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], line
    return "\n".join([*lines, ""]).encode(errors="surrogatepass")


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """The content with bytes flipped, cut out, repeated, blown up to the largest number, or cut short."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(max(1, len(data))), chance.choice([1, 1, 2, 4, 8, 64])
        kind = chance.randrange(5)
        if kind == 0:
            data[place : place + length] = chance.randbytes(length)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + length]
        elif kind == 3:
            data[place : place + length] = b"\xff" * length
        elif chance.random() < 0.3:
            del data[place:]
    return bytes(data)


def damaged_array(content: bytes, chance: random.Random) -> bytes:
    """An npz whose members are damaged inside a sound archive (heads that lie, types, sizes), or the archive itself."""
    if chance.random() < 0.4:
        return damaged_bytes(content, chance)
    heads = ("(12, 1, 8, 8)", "(12,)")
    lies = ("(1099511627776, 1, 8, 8)", "(12, 8, 8, 1)", "(0,)", "(-1, 1, 8, 8)", "()", "(12, 1, 8, 9)", "(2, 6, 8, 8)")
    kinds = (b"|u1", b"<i8", b"<f4", b"|O ", b"<c8", b"|b1", b"<M8", b"|S9", b"<f2", b">f8", b"|V4")
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as read, zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as write:
        for name in read.namelist():
            member = read.read(name)
            if chance.random() < 0.5:
                member = member.replace(chance.choice(heads).encode(), chance.choice(lies).encode())
            if chance.random() < 0.3:
                member = member.replace(chance.choice(kinds), chance.choice(kinds))
            if chance.random() < 0.3:
                member = damaged_bytes(member, chance)
            write.writestr(name if chance.random() < 0.8 else chance.choice([f"../{name}", name[:-4]]), member)
    return found.getvalue()


def fuzz(base: Path, seed: int, turns: int) -> dict[str, int]:
    """How many of so many inputs were read and refused; the seed and the turn lead back to one that fails."""
    texts = [OWN, TEMPLATE, EXAMPLE.read_text()]
    whole = {path: path.read_bytes() for path in base.rglob("*") if path.is_file() and path.suffix != ".yaml"}
    ended = {"read": 0, "refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(turns):
        chance = random.Random(f"{seed} {turn}")
        kind = turn % 3
        if kind == 0:
            ended[judge(damaged_text(chance.choice(texts), chance), f"seed {seed}, turn {turn}")] += 1
            continue
        arrays = [path for path in whole if path.suffix == ".npz"]
        path = chance.choice(arrays if kind == 1 else [path for path in whole if path not in arrays])
        damage: Callable[[bytes, random.Random], bytes] = damaged_array if kind == 1 else damaged_bytes
        path.write_bytes(damage(whole[path], chance))
        text = f"dataset: {source(path)}\ntargets: 2\ngrid: {{attack: dlg, model: mlp}}\n"
        ended[judge(text.encode(), f"seed {seed}, turn {turn}, {path}: {path.read_bytes()[:2000]!r}")] += 1
        path.write_bytes(whole[path])
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert added < MOST_MB, f"seed {seed}: {added:.0f} MB"
    return ended


def source(path: Path) -> str:
    """The data set, as a matrix says it, that reads this file."""
    if path.suffix == ".npz":
        return f"{{name: npz, path: {path.name}}}"
    if path.suffix == ".csv":
        return "{name: folder, path: flat, size: 8, labels: labels.csv}"
    flat = path.parent.name == "flat"
    return f"{{name: folder, path: {'flat, drawn_classes: 3' if flat else 'photos'}, size: 8}}"


def test_hundreds_of_damaged_matrices_arrays_and_pictures_are_read_or_refused(base: Path) -> None:
    ended = fuzz(base, 0, 300)
    assert min(ended.values()) > 30  # else the damage is too mild, or too hard, to show anything


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_thousands_of_damaged_matrices_arrays_and_pictures_are_read_or_refused(base: Path, seed: int) -> None:
    fuzz(base, seed, 1000)
