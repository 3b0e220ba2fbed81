"""A picture of a cell of classes: class mean, nearest training picture and answer, each with the model's confidence."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from invbench.scoring.pictures import FAINT, GAP, INK, LINE, MARGIN, PAPER, drawn_size, tile_of, wrapped

PER_ROW = 8
MOST = 40
"""Classes that are drawn: all people of AT&T's."""

ROWS = ("class mean", "nearest training picture", "answer")
"""What stands in each row, unless whoever draws says more."""
NARROWEST = 96  # pixels of a column: `confidence 0.99` at 12 pixels


def classes_png(
    columns: Sequence[Sequence[np.ndarray]],
    texts: Sequence[Sequence[str]],
    heads: Sequence[str],
    title: str,
    names: Sequence[str] = ROWS,
) -> bytes:
    """PNG of the first `MOST` classes, `PER_ROW` a row. `columns`: a class's pictures `(C, H, W)` in [0, 1], one for
    each of the `names`, which stand on the left.

    `texts`: the line under each of them; `heads`: the line above each class. ValueError where the three differ in
    length or there is no class.
    """
    if not columns or not len(columns) == len(texts) == len(heads):
        counts = f"{len(columns)}, {len(texts)} and {len(heads)}"
        raise ValueError(f"a picture needs classes, and as many texts and heads, not {counts}")
    shown, size = min(len(columns), MOST), drawn_size(*columns[0][0].shape[1:])
    text, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    across, down = max(size[1], NARROWEST) + GAP, LINE + len(names) * (size[0] + LINE) + GAP
    left = MARGIN + GAP + round(max(map(small.getlength, names)))
    width = left + MARGIN + min(shown, PER_ROW) * across
    heading = wrapped(title, text, max(width, 420) - 2 * MARGIN)
    hidden = f"{len(columns) - shown} more classes are not shown" if len(columns) > shown else ""
    width = max([width, *(round(text.getlength(line)) + 2 * MARGIN for line in [*heading, hidden])])
    top, rows = MARGIN + LINE * len(heading) + GAP, -(-shown // PER_ROW)
    sheet = Image.new("RGB", (width, top + rows * down + (LINE if hidden else 0) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill=INK, font=text)
    for k in range(shown):
        x, y = left + k % PER_ROW * across, top + k // PER_ROW * down + LINE
        draw.text((x + size[1] // 2, y - LINE // 2), heads[k], fill=INK, font=text, anchor="mm")
        for row, (name, picture, words) in enumerate(zip(names, columns[k], texts[k], strict=True)):
            corner = y + row * (size[0] + LINE)
            if k % PER_ROW == 0:
                draw.text((MARGIN, corner + size[0] // 2), name, fill=FAINT, font=small, anchor="lm")
            drawn = tile_of(picture, size)
            if drawn is not None:
                sheet.paste(drawn, (x, corner))
            draw.text((x + size[1] // 2, corner + size[0] + LINE // 2), words, fill=INK, font=small, anchor="mm")
    if hidden:
        draw.text((MARGIN, top + rows * down), hidden, fill=FAINT, font=text)
    buffer = io.BytesIO()
    sheet.save(buffer, "png")
    return buffer.getvalue()
