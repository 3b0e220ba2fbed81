"""A picture of a cell: originals above reconstructions, each pair with its PSNR. A leaf: NumPy and Pillow only."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PER_ROW = 8
MOST_PAIRS = 32
SMALLEST_SIDE, LARGEST_SIDE = 96, 256  # pixels of the longer side, as drawn

MARGIN, GAP, SEAM, LINE = 12, 8, 3, 18  # pixels: around, between pairs, within a pair, a line of text
GUTTER = 58  # pixels, for the words left of a row
PAPER, INK, FAINT, HATCH = (255, 255, 255), (34, 34, 34), (110, 110, 110), (196, 196, 196)

Tile = Image.Image | None


def grid_png(
    originals: np.ndarray,
    reconstructions: Sequence[np.ndarray | None],
    psnrs: Sequence[float | None],
    title: str = "",
) -> bytes:
    """PNG of the first `MOST_PAIRS` pairs, `PER_ROW` a row; a last line says how many are not shown.

    `originals`: `(N, C, H, W)`, uint8 or float in [0, 1], grey for C = 1, colour for C = 3, else the mean
    over channels in grey. `reconstructions`: the same, pair by pair; None, or a picture with a value that
    is not finite, is drawn as a hatched box. `psnrs`: dB, None where there is none. ValueError where the
    three differ in length or there is no pair.
    """
    if not len(originals) == len(reconstructions) == len(psnrs):
        counts = f"{len(originals)} originals, {len(reconstructions)} reconstructions, {len(psnrs)} PSNRs"
        raise ValueError(f"a grid needs pairs, not {counts}")
    if len(originals) == 0:
        raise ValueError("a grid needs at least one pair")
    shown = min(len(originals), MOST_PAIRS)
    size = drawn_size(*originals.shape[2:])
    pairs = [(tile_of(originals[k], size), tile_of(reconstructions[k], size)) for k in range(shown)]
    sheet = _sheet(pairs, [_decibels(psnrs[k]) for k in range(shown)], size, title, hidden=len(originals) - shown)
    buffer = io.BytesIO()
    sheet.save(buffer, "png")  # `optimize` takes ten times as long for a hundredth of the size
    return buffer.getvalue()


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is drawn: a whole multiple of a small one, a large one shrunk."""
    longer = max(height, width)
    factor: float = math.ceil(SMALLEST_SIDE / longer)
    if longer > LARGEST_SIDE:
        factor = LARGEST_SIDE / longer
    return max(1, round(height * factor)), max(1, round(width * factor))


def tile_of(picture: np.ndarray | None, size: tuple[int, int]) -> Tile:
    """One picture `(C, H, W)` as drawn, RGB, or None where it is missing."""
    if picture is None or not np.isfinite(picture).all():
        return None
    values = picture if picture.shape[0] in (1, 3) else picture.mean(axis=0, keepdims=True, dtype=np.float64)
    if picture.dtype != np.uint8:
        values = np.clip(values, 0, 1) * 255
    levels = np.rint(values).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.broadcast_to(levels, (*levels.shape[:2], 3)).copy())
    method = Image.Resampling.NEAREST if size[0] >= picture.shape[1] else Image.Resampling.BOX
    return image.resize((size[1], size[0]), method)


def _decibels(psnr: float | None) -> str:
    return "no PSNR" if psnr is None or not math.isfinite(psnr) else f"{psnr:.1f} dB"


def _sheet(
    pairs: list[tuple[Tile, Tile]], labels: list[str], size: tuple[int, int], title: str, hidden: int
) -> Image.Image:
    """The whole picture: title, rows of pairs, and how many pairs are left out."""
    height, width = size
    text, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    columns, rows = min(len(pairs), PER_ROW), math.ceil(len(pairs) / PER_ROW)
    step_x, step_y = max(width, 56) + GAP, 2 * height + SEAM + LINE + GAP
    across = MARGIN + GUTTER + columns * step_x - GAP + MARGIN
    heading = wrapped(title, text, max(across, 420) - 2 * MARGIN)
    note = f"{hidden} more {'pair is' if hidden == 1 else 'pairs are'} not shown" if hidden else ""
    across = max([across, *(round(text.getlength(line)) + 2 * MARGIN for line in [*heading, note])])
    top = MARGIN + LINE * len(heading) + (GAP if heading else 0)
    sheet = Image.new("RGB", (across, top + rows * step_y - GAP + (LINE + GAP if note else 0) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill=INK, font=text)
    for k, (pair, label) in enumerate(zip(pairs, labels, strict=True)):
        x, y = MARGIN + GUTTER + k % PER_ROW * step_x, top + k // PER_ROW * step_y
        if k % PER_ROW == 0:
            for word, middle in (("original", y + height // 2), ("guess", y + height + SEAM + height // 2)):
                draw.text((MARGIN, middle), word, fill=FAINT, font=small, anchor="lm")
        for one, corner in zip(pair, (y, y + height + SEAM), strict=True):
            if one is None:
                _hatched(draw, x, corner, width, height)
            else:
                sheet.paste(one, (x, corner))
        draw.text((x + width // 2, y + 2 * height + SEAM + LINE // 2 + 2), label, fill=INK, font=text, anchor="mm")
    if note:
        draw.text((MARGIN, top + rows * step_y), note, fill=FAINT, font=text)
    return sheet


def _hatched(draw: ImageDraw.ImageDraw, x: int, y: int, width: int, height: int) -> None:
    """A box of diagonal lines: there is no picture here."""
    for start in range(0, width + height, 8):
        upper = (x + min(start, width - 1), y + max(0, start - width + 1))
        lower = (x + max(0, start - height + 1), y + min(start, height - 1))
        draw.line([upper, lower], fill=HATCH)
    draw.rectangle((x, y, x + width - 1, y + height - 1), outline=FAINT)
    centre, word, font = (x + width // 2, y + height // 2), "no guess", ImageFont.load_default(size=12)
    box = draw.textbbox(centre, word, font=font, anchor="mm")
    if box[2] - box[0] + 8 < width:
        draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill=PAPER)
        draw.text(centre, word, fill=FAINT, font=font, anchor="mm")


def wrapped(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The title in lines of at most `width` pixels, broken between words."""
    lines: list[str] = []
    for word in title.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
