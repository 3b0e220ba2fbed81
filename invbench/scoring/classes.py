"""A picture of a cell of classes: several pictures of each below each other, such as its mean and the answer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from invbench.scoring.pictures import FAINT, GAP, INK, LINE, MARGIN, PAPER, drawn_size, tile_of, wrapped

PER_ROW = 8
MOST = 40
"""Classes that are drawn: all people of AT&T's."""

NARROWEST = 96  # pixels of a column: `confidence 0.99` at 12 pixels


@dataclass(frozen=True, eq=False)
class Row:
    """One picture of each class, `(classes, C, H, W)` in [0, 1]: what they are, and the line under each."""

    name: str
    pictures: npt.NDArray[np.float64]
    words: Sequence[str]


def classes_png(rows: Sequence[Row], heads: Sequence[str], title: str) -> bytes:
    """PNG of the first `MOST` classes, `PER_ROW` beside each other: the rows below each other, their names on the left.

    `heads`: the line above each class. ValueError where there is nothing, or a row is not of as many classes.
    """
    counts = {len(heads), *(len(row.pictures) for row in rows), *(len(row.words) for row in rows)}
    if not rows or counts == {0} or len(counts) > 1:
        raise ValueError(f"a picture needs rows of as many pictures and words as classes, not {sorted(counts)}")
    shown, size = min(len(heads), MOST), drawn_size(*rows[0].pictures.shape[2:])
    text, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    across, down = max(size[1], NARROWEST) + GAP, LINE + len(rows) * (size[0] + LINE) + GAP
    left = MARGIN + GAP + round(max(small.getlength(row.name) for row in rows))
    width = left + MARGIN + min(shown, PER_ROW) * across
    heading = wrapped(title, text, max(width, 420) - 2 * MARGIN)
    hidden = f"{len(heads) - shown} more classes are not shown" if len(heads) > shown else ""
    width = max([width, *(round(text.getlength(line)) + 2 * MARGIN for line in [*heading, hidden])])
    top, blocks = MARGIN + LINE * len(heading) + GAP, -(-shown // PER_ROW)
    sheet = Image.new("RGB", (width, top + blocks * down + (LINE if hidden else 0) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill=INK, font=text)
    for k in range(shown):
        x, y = left + k % PER_ROW * across, top + k // PER_ROW * down + LINE
        draw.text((x + size[1] // 2, y - LINE // 2), heads[k], fill=INK, font=text, anchor="mm")
        for number, row in enumerate(rows):
            corner = y + number * (size[0] + LINE)
            if k % PER_ROW == 0:
                draw.text((MARGIN, corner + size[0] // 2), row.name, fill=FAINT, font=small, anchor="lm")
            drawn = tile_of(row.pictures[k], size)
            if drawn is not None:
                sheet.paste(drawn, (x, corner))
            draw.text((x + size[1] // 2, corner + size[0] + LINE // 2), row.words[k], fill=INK, font=small, anchor="mm")
    if hidden:
        draw.text((MARGIN, top + blocks * down), hidden, fill=FAINT, font=text)
    buffer = io.BytesIO()
    sheet.save(buffer, "png")
    return buffer.getvalue()
