"""A user's own folder of pictures."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invbench import registry
from invbench.data import BadData, folder
from invbench.data.folder import Folder

RANDOM = np.random.default_rng(0)


def picture(file: Path, width: int = 6, height: int = 4, mode: str = "RGB") -> np.ndarray:
    """Write a picture of noise; gives its pixels."""
    file.parent.mkdir(exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = RANDOM.integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(file)
    return pixels


def test_sub_folders_are_the_classes_and_order_is_by_name(tmp_path: Path) -> None:
    last = picture(tmp_path / "dog" / "a.png")
    second = picture(tmp_path / "cat" / "b.png")
    first = picture(tmp_path / "cat" / "a.png")
    pool = Folder(path=tmp_path).load()
    assert np.array_equal(pool.images.transpose(0, 2, 3, 1), np.stack([first, second, last]))
    assert pool.labels.tolist() == [0, 0, 1]
    assert pool.classes == 2
    assert pool.targets.tolist() == [0, 1, 2]
    assert pool.train.tolist() == [0]
    assert pool.trained_targets.tolist() == [1, 2]


def test_grey_pictures_have_one_channel_unless_one_is_coloured(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "cat" / "a.png", mode="L")
    grey = Folder(path=tmp_path).load()
    assert np.array_equal(grey.images, pixels[None, None])
    picture(tmp_path / "cat" / "b.png")
    mixed = Folder(path=tmp_path).load()
    assert mixed.images.shape == (2, 3, 4, 6)
    assert np.array_equal(mixed.images[0], np.stack([pixels] * 3))
    # The order in memory, on which the last bits of results may depend: rows of grey, colours beside each other.
    assert (grey.images.strides, mixed.images.strides) == ((24, 24, 6, 1), (72, 1, 18, 3))


def test_transparency_is_dropped_and_other_files_are_left_alone(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "cat" / "a.png", mode="RGBA")
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "cat" / ".hidden.png").write_text("not a picture")
    (tmp_path / ".cache").mkdir()
    pool = Folder(path=tmp_path).load()
    assert np.array_equal(pool.images[0].transpose(1, 2, 0), pixels[..., :3])


def test_a_picture_turned_by_its_exif_tag_is_turned_upright(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "cat" / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "cat" / "a.png", exif=exif)
    pool = Folder(path=tmp_path).load()
    assert np.array_equal(pool.images[0].transpose(1, 2, 0), pixels[::-1, ::-1])


def test_mixed_sizes_are_refused_with_both_sizes(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png", 6, 4)
    picture(tmp_path / "dog" / "b.png", 7, 4)
    with pytest.raises(BadData, match=r"b\.png: is 7 x 4, but .*a\.png is 6 x 4; `size` brings"):
        Folder(path=tmp_path).load()


def test_size_resizes_the_shorter_side_and_keeps_the_middle(tmp_path: Path) -> None:
    stripes = np.zeros((10, 30, 3), np.uint8)
    stripes[:, 5:25] = 200
    (tmp_path / "cat").mkdir()
    Image.fromarray(stripes).save(tmp_path / "cat" / "a.png")
    picture(tmp_path / "cat" / "b.png", 8, 40)
    pool = Folder(path=tmp_path, size=5).load()
    assert pool.images.shape == (2, 3, 5, 5)
    assert (pool.images[0] == 200).all()


def test_constants_may_be_given(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    pool = Folder(path=tmp_path, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)).load()
    assert (pool.mean, pool.std) == ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    with pytest.raises(BadData, match="std has 1 values; the images have 3 channels"):
        Folder(path=tmp_path, std=(0.2,)).load()


def test_an_edited_or_added_picture_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "cat" / "a.png"
    picture(file)
    first = Folder(path=tmp_path).load()
    assert Folder(path=tmp_path).load() is first
    pixels = picture(file)
    os.utime(file, ns=(1, 1))  # whatever the clock's resolution
    assert np.array_equal(Folder(path=tmp_path).load().images[0].transpose(1, 2, 0), pixels)
    picture(tmp_path / "cat" / "b.png")
    assert len(Folder(path=tmp_path).load().images) == 2


def test_damaged_pictures_are_refused_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png", 60, 40)
    whole = (tmp_path / "cat" / "a.png").read_bytes()
    for content in (b"", b"not a picture", whole[: len(whole) // 2]):
        (tmp_path / "cat" / "b.png").write_bytes(content)
        with pytest.raises(BadData, match=r"b\.png: is not a readable picture"):
            Folder(path=tmp_path).load()


def test_sixteen_bits_per_channel_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "cat" / "a.png")
    with pytest.raises(BadData, match=r"a\.png: pictures of mode I;16 are not read"):
        Folder(path=tmp_path).load()


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="nowhere: no such folder"):
        Folder(path=tmp_path / "nowhere").load()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadData, match="file: is not a folder"):
        Folder(path=tmp_path / "file").load()
    Image.new("RGB", (4, 4)).save(tmp_path / "loose.png")
    with pytest.raises(BadData, match="holds no sub-folders"):
        Folder(path=tmp_path).load()
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(BadData, match="dog: holds no picture"):
        Folder(path=tmp_path).load()


def test_a_file_is_opened_as_a_picture_of_the_listed_formats_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow hands PostScript to Ghostscript; and whatever the suffix, a JPEG is a picture."""
    started = tmp_path / "started"
    (tmp_path / "bin").mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "photos").mkdir()
    picture(tmp_path / "photos" / "cat" / "a.jpg")
    (tmp_path / "photos" / "cat" / "a.jpg").rename(tmp_path / "photos" / "cat" / "a.png")
    assert Folder(path=tmp_path / "photos").load().images.shape == (1, 3, 4, 6)
    Image.new("RGB", (6, 4)).save(tmp_path / "photos" / "cat" / "b.png", format="EPS")
    with pytest.raises(BadData, match=r"b\.png: is not a readable picture"):
        Folder(path=tmp_path / "photos").load()
    assert not started.exists()


@pytest.mark.parametrize("size", [1_000_000, 3_000_000_000])
def test_pictures_that_would_not_fit_in_memory_are_refused_before_they_are_made(tmp_path: Path, size: int) -> None:
    picture(tmp_path / "cat" / "a.png")
    with pytest.raises(
        BadData, match=rf"1 pictures of {size} x {size} take .* GiB of memory; at most 4 GiB: give a sm"
    ):
        Folder(path=tmp_path, size=size).load()


def test_a_picture_of_more_pixels_than_a_photograph_is_refused_by_its_head(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.pgm").write_bytes(b"P5 10000 10000 255\n" + bytes(10))
    with pytest.raises(BadData, match=r"a\.pgm: is not a readable picture \(Image size \(100000000 pixels\) exceeds"):
        Folder(path=tmp_path).load()


@pytest.mark.parametrize(
    ("mode", "side", "size"), [("RGBA", 9400, 8), ("P", 9440, 8), ("RGB", 8000, 8), ("RGB", 6000, None)]
)
def test_a_picture_that_would_take_much_memory_to_decode_is_refused_by_its_head(
    tmp_path: Path, mode: str, side: int, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Image.new(mode, (1, 1))
    (tmp_path / "cat").mkdir()
    head.save(tmp_path / "cat" / "a.png")
    content = bytearray((tmp_path / "cat" / "a.png").read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "cat" / "a.png").write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    message = rf"a\.png: {side} x {side} pixels of mode {mode} take \d+ MiB to read; at most 480 MiB: save it smaller"
    if mode == "P":
        monkeypatch.setattr(folder, "MOST_OPEN_BYTES", 400 << 20)
        message = message.replace("480", "400")
    with pytest.raises(BadData, match=message):
        Folder(path=tmp_path, size=size).load()


def test_a_photograph_of_sixty_million_pixels_is_within_what_is_decoded() -> None:
    photograph = Image.Image()
    photograph._mode, photograph._size = "RGB", (9504, 6336)
    folder._refuse_pixels(Path("a.jpg"), photograph, whole=False)


def test_a_picture_s_file_is_bounded_before_it_is_opened(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    with (tmp_path / "cat" / "a.png").open("ab") as file:
        file.truncate(folder.MOST_OPEN_BYTES + 1)
    with pytest.raises(BadData, match=r"a\.png: has 480 MiB; at most 480 MiB"):
        Folder(path=tmp_path).load()


def test_a_long_table_is_refused_at_its_first_wrong_line(tmp_path: Path) -> None:
    """Read whole, its 2 million lines took 34 s and 500 MB before the first was looked at."""
    (tmp_path / "labels.csv").write_bytes(b"x.png,1\n" * 2_000_000)
    began = time.process_time()
    with pytest.raises(BadData, match=r"labels\.csv:1: .*x\.png: No such file"):
        Folder(path=tmp_path, labels=tmp_path / "labels.csv").load()
    assert time.process_time() - began < 1


def test_a_table_names_the_pictures_in_its_order_and_their_labels(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "b.png"), picture(tmp_path / "a.png")
    third = picture(tmp_path / "more" / "c.png")
    table = tmp_path / "labels.csv"
    table.write_text("\ufefffile,label\nb.png,10\n\na.png, 9\nmore/c.png,10\n", encoding="utf-8")
    pool = Folder(path=tmp_path, labels=table).load()
    assert np.array_equal(pool.images.transpose(0, 2, 3, 1), np.stack([first, second, third]))
    assert (pool.labels.tolist(), pool.classes, pool.notes) == ([1, 0, 1], 2, ())
    table.write_text("b.png,dog\n")
    assert Folder(path=tmp_path, labels=table).load().labels.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"labels\.csv: names no picture"),
        (b"file,label\n", r"labels\.csv: names no picture"),
        (b"a.png,1\na.png,2\n", r"labels\.csv:2: 'a.png' is named twice"),
        (b"a.png,1\nb.png,2\n", r"labels\.csv:2: .*b\.png: No such file"),
        (b"a.png,1\n../x.png,2\n", r"labels\.csv:2: '../x.png' must be a picture in"),
        (b"a.png,1\n/etc/x.png,2\n", r"labels\.csv:2: '/etc/x.png' must be a picture in"),
        (b"a.png,1\nnotes.txt,2\n", r"labels\.csv:2: 'notes.txt' must be a picture in"),
        (b"a.png,1\na.png\n", r"labels\.csv:2: must be `FILE,LABEL`, not 1 columns"),
        (b"a.png,1\nb.png,x" + b"9" * 200_000, r"labels\.csv:2: field larger than"),
        (b"file,label\na.png," + b"9" * 5000, r"labels\.csv:2: a label may have 256 characters, not 5,000"),
        (b'a.png,"1\n', r"labels\.csv:1: unexpected end of data"),
        (b"a.png,\xff\n", r"labels\.csv: cannot be read \(it is no UTF-8 text\)"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, text: bytes, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(BadData, match=message):
        Folder(path=tmp_path, labels=tmp_path / "labels.csv").load()


def test_a_table_that_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(BadData, match=r"labels\.csv: is not a file"):
        Folder(path=tmp_path, labels=tmp_path / "labels.csv").load()


def test_drawn_labels_are_called_drawn_and_stay_with_their_picture(tmp_path: Path) -> None:
    for name in "abcdefghijkl":
        picture(tmp_path / f"{name}.png")
    pool = Folder(path=tmp_path, drawn_classes=3).load()
    assert (len(pool.images), pool.classes, set(pool.labels.tolist())) == (12, 3, {0, 1, 2})
    assert pool.notes == ("labels are drawn among 3 classes: they say nothing of the pictures",)
    (tmp_path / "a.png").unlink()
    assert Folder(path=tmp_path, drawn_classes=3).load().labels.tolist() == pool.labels.tolist()[1:]
    assert (
        registry.load("dataset", "folder").short({"path": tmp_path, "drawn_classes": 3}).endswith(",drawn_classes=3)")
    )
    with pytest.raises(ValueError, match="not both"):
        Folder(path=tmp_path, drawn_classes=3, labels=tmp_path / "labels.csv")


def test_a_path_longer_than_names_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="File name too long"):
        Folder(path=tmp_path / ("x" * 300)).load()
