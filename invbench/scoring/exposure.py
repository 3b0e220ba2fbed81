"""A picture of a membership cell: ROC on log axes, histogram of scores, the most exposed candidates."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from invbench.scoring.controls import Array
from invbench.scoring.pictures import FAINT, GAP, HATCH, INK, LINE, MARGIN, PAPER, tile_of, wrapped

SIDE = 300  # pixels, of each of the two plots
LABELS = 44  # pixels, for the numbers left of a plot
DECADES = 3  # of both axes of the ROC: from 0.001 to 1
BINS = 40
SHOWN, TILE = 8, 76  # exposed candidates, and the side at which each is drawn
MEMBER, OTHER = (192, 57, 43), (52, 110, 160)

Scores = Mapping[str, Sequence[Sequence[float | None]]]


def roc(score: Array, member: Array) -> tuple[Array, Array]:
    """False and true positive rates at every threshold `score >= t`, from (0, 0) to (1, 1). Both sides are there."""
    order = np.argsort(-score, kind="stable")
    ranked, right = score[order], member[order] != 0
    last_of_equals = np.r_[np.diff(ranked) != 0, True]
    false, true = (np.r_[0.0, np.cumsum(side)[last_of_equals] / side.sum()] for side in (~right, right))
    return false, true


def exposure_png(scores: Scores, unseen: Scores | None, candidates: Array, title: str) -> bytes:
    """PNG of one cell. `scores`: its `score` and `member`, by target and candidate; `unseen`: of the same attack on
    victims that saw no candidate, None where that was not asked for; `candidates`: pictures `(N, C, H, W)` in [0, 1].
    """
    score, member = _flat(scores)
    font, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    width = 2 * (MARGIN + LABELS + SIDE) + MARGIN
    heading = wrapped(title, font, width - 2 * MARGIN)
    top = MARGIN + LINE * len(heading) + LINE
    below = top + SIDE + 2 * LINE + GAP
    sheet = Image.new("RGB", (width, below + LINE + TILE + 2 * LINE + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill=INK, font=font)
    left = MARGIN + LABELS
    _roc_plot(draw, (left, top), score, member, unseen, small)
    _histogram(draw, (left + SIDE + MARGIN + LABELS, top), score, member, small)
    draw.text((MARGIN, below), "the highest scores (red: a member)", fill=FAINT, font=small)
    number_of = len(scores["score"][0])
    for place, item in enumerate(np.argsort(-score, kind="stable")[:SHOWN]):
        x, y = MARGIN + place * (TILE + GAP), below + LINE
        tile = tile_of(candidates[item % number_of], (TILE, TILE))
        if tile is not None:
            sheet.paste(tile, (x, y))
        colour = MEMBER if member[item] else OTHER
        draw.rectangle((x - 2, y - 2, x + TILE + 1, y + TILE + 1), outline=colour, width=2)
        draw.text((x + TILE // 2, y + TILE + LINE // 2 + 2), f"{score[item]:.3g}", fill=INK, font=small, anchor="mm")
    buffer = io.BytesIO()
    sheet.save(buffer, "png")
    return buffer.getvalue()


def _flat(scores: Scores) -> tuple[Array, Array]:
    """`score` and `member` of all candidates of all targets that have a score, `(N,)` each."""
    score, member = (np.array([v for own in scores[name] for v in own], dtype=float) for name in ("score", "member"))
    return score, member


def _roc_plot(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    score: Array,
    member: Array,
    unseen: Scores | None,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    x, y = corner
    for decade in range(DECADES + 1):
        at = SIDE * decade // DECADES
        draw.line((x + at, y, x + at, y + SIDE), fill=HATCH)
        draw.line((x, y + at, x + SIDE, y + at), fill=HATCH)
        draw.text((x + at, y + SIDE + LINE // 2), f"{10.0 ** (decade - DECADES):g}", fill=FAINT, font=font, anchor="mm")
        draw.text((x - 4, y + at), f"{10.0**-decade:g}", fill=FAINT, font=font, anchor="rm")
    draw.text((x + SIDE // 2, y + SIDE + LINE + LINE // 2), "false positive rate", fill=FAINT, font=font, anchor="mm")
    draw.text((x, y - LINE // 2), "true positive rate", fill=FAINT, font=font, anchor="lm")
    draw.line((x, y + SIDE, x + SIDE, y), fill=FAINT)  # chance
    if unseen is not None:
        draw.line(_points(corner, *roc(*_flat(unseen))), fill=FAINT, width=2)
        draw.text((x + SIDE, y - LINE // 2), "grey: victim that saw none", fill=FAINT, font=font, anchor="rm")
    draw.line(_points(corner, *roc(score, member)), fill=MEMBER, width=2)


def _points(corner: tuple[int, int], false: Array, true: Array) -> list[tuple[float, float]]:
    """The steps of a ROC as pixels; rates below the axes' beginning lie on it."""
    steps = np.stack([np.repeat(false, 2)[1:], np.repeat(true, 2)[:-1]])  # to the right, then up
    across, up = 1 + np.log10(np.maximum(steps, 10.0**-DECADES)) / DECADES
    return [(corner[0] + SIDE * float(a), corner[1] + SIDE * (1 - float(u))) for a, u in zip(across, up, strict=True)]


def _histogram(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    score: Array,
    member: Array,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Members and others by score, between the 1st and the 99th percentile; what lies beyond is in the last bins."""
    x, y = corner
    low, high = (float(edge) for edge in np.percentile(score, [1, 99]))
    high = high if high > low else low + 1.0
    counts = [np.histogram(score[member == side].clip(low, high), BINS, (low, high))[0] for side in (0, 1)]
    highest, step = max(1, *(int(count.max()) for count in counts)), SIDE / BINS
    for count, colour in zip(counts, (OTHER, MEMBER), strict=True):
        outline = []
        for k, height in enumerate(count):
            level = y + SIDE * (1 - float(height) / highest)
            outline += [(x + k * step, level), (x + (k + 1) * step, level)]
        draw.line(outline, fill=colour, width=2)
    draw.line((x, y + SIDE, x + SIDE, y + SIDE), fill=FAINT)
    for place, edge, anchor in ((x, low, "lm"), (x + SIDE, high, "rm")):
        draw.text((place, y + SIDE + LINE // 2), f"{edge:.3g}", fill=FAINT, font=font, anchor=anchor)
    draw.text((x + SIDE // 2, y + SIDE + LINE + LINE // 2), "score", fill=FAINT, font=font, anchor="mm")
    draw.text((x, y - LINE // 2), "members", fill=MEMBER, font=font, anchor="lm")
    draw.text((x + SIDE, y - LINE // 2), "others", fill=OTHER, font=font, anchor="rm")
    draw.text((x - 4, y), str(highest), fill=FAINT, font=font, anchor="rm")
