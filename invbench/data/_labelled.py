"""Which pictures of a folder there are, in which order, and of what class each is."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from invbench.data import BadData
from invbench.data._files import Stamp, stamp

FORMATS = {
    ".bmp": "BMP",
    ".gif": "GIF",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""By suffix, the formats that are read; a picture may have another one of them than its suffix says."""
MOST_TABLE_BYTES = 64 << 20
"""Of a CSV of labels: about a million rows."""
MOST_LABEL = 256  # characters; Python reads no number of thousands of digits


@dataclass(frozen=True)
class Labelled:
    """Pictures' files in the order attacked, each with its class."""

    files: tuple[Stamp, ...]
    labels: tuple[int, ...]
    classes: int
    notes: tuple[str, ...] = ()


def by_sub_folder(folder: Path) -> Labelled:
    """The pictures in sub-folders, each a class, by name."""
    classes = sorted(child for child in _children(folder) if child.is_dir() and not child.name.startswith("."))
    if not classes:
        raise BadData(
            f"{folder}: holds no sub-folders; put each class's pictures into a sub-folder of its name, or give their"
            " labels by `labels: FILE.csv`, or have them drawn by `drawn_classes: NUMBER`"
        )
    held = [_pictures(inner) for inner in classes]
    files = tuple(stamp(file) for inner in held for file in inner)
    return Labelled(files, tuple(label for label, inner in enumerate(held) for _ in inner), len(classes))


def by_table(folder: Path, table: Path) -> Labelled:
    """The pictures that a CSV of two columns names, in its order: file, from the folder on, and label.

    Labels may be any words; classes are numbered in their order, whole numbers by value. A first line that names no
    picture is a heading.
    """
    files: dict[str, Stamp] = {}
    given = list[str]()
    for number_of_row, (line, name, label) in enumerate(_rows(table)):
        path = PurePath(name)
        if number_of_row == 0 and not _is_picture(path):
            continue
        if path.is_absolute() or ".." in path.parts or not _is_picture(path):
            raise BadData(f"{table}:{line}: {name!r} must be a picture in {folder} ({_suffixes()})")
        if name in files:
            raise BadData(f"{table}:{line}: {name!r} is named twice")
        try:
            files[name] = stamp(folder / path)
        except BadData as bad:
            raise BadData(f"{table}:{line}: {bad}") from None
        if len(label) > MOST_LABEL:
            raise BadData(f"{table}:{line}: a label may have {MOST_LABEL} characters, not {len(label):,}")
        given.append(label)
    if not files:
        raise BadData(f"{table}: names no picture; it must have a line `FILE,LABEL` for each")
    words = set(given)
    numbers = all(word.isdecimal() for word in words)
    number = {word: place for place, word in enumerate(sorted(words, key=lambda w: (int(w) if numbers else 0, w)))}
    return Labelled(tuple(files.values()), tuple(number[label] for label in given), len(number))


def drawn(folder: Path, classes: int) -> Labelled:
    """The pictures that lie in the folder itself, by name, each with a class drawn by the hash of its name."""
    held = _pictures(folder)
    labels = (hashlib.sha256(f"drawn label {classes} {file.name}".encode(errors="replace")) for file in held)
    drawn_labels = tuple(int.from_bytes(label.digest()[:8], "big") % classes for label in labels)
    note = f"labels are drawn among {classes} classes: they say nothing of the pictures"
    return Labelled(tuple(stamp(file) for file in held), drawn_labels, classes, (note,))


def _rows(table: Path) -> Iterator[tuple[int, str, str]]:
    """Line, file and label of each row that is not empty, read one by one."""
    size = stamp(table)[2]  # refuses what is no ordinary file, such as a pipe that nobody writes to
    if size > MOST_TABLE_BYTES:
        raise BadData(f"{table}: is larger than {MOST_TABLE_BYTES >> 20} MiB")
    try:
        with table.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            try:
                for row in reader:
                    cells = [cell.strip() for cell in row]
                    if any(cells):
                        if len(cells) != 2 or not all(cells):
                            raise BadData(f"{table}:{reader.line_num}: must be `FILE,LABEL`, not {len(cells)} columns")
                        yield reader.line_num, cells[0], cells[1]
            except csv.Error as error:
                raise BadData(f"{table}:{reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(
            f"{table}: cannot be read ({getattr(error, 'strerror', None) or 'it is no UTF-8 text'})"
        ) from None


def _pictures(folder: Path) -> list[Path]:
    """The pictures that lie in a folder, by name; BadData where there is none."""
    held = sorted(file for file in _children(folder) if _is_picture(file))
    if not held:
        raise BadData(f"{folder}: holds no picture ({_suffixes()})")
    return held


def _children(folder: Path) -> Sequence[Path]:
    try:
        return list(folder.iterdir())
    except NotADirectoryError:
        raise BadData(f"{folder}: is not a folder") from None
    except FileNotFoundError:
        raise BadData(f"{folder}: no such folder") from None
    except OSError as error:
        raise BadData(f"{folder}: {error.strerror or error}") from None


def _is_picture(file: PurePath) -> bool:
    return file.suffix.lower() in FORMATS and not file.name.startswith(".")


def _suffixes() -> str:
    return ", ".join(sorted(FORMATS))
