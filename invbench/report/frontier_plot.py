"""The picture of a frontier: accuracy across, leak up, a numbered mark a row of its table. NumPy and Pillow only."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from invbench.core.printing import one_line
from invbench.report.frontier import Frontier, Point
from invbench.report.frontier_key import key_lines

WIDTH, HEIGHT = 860, 560
LEFT, RIGHT, TOP, BOTTOM = 74, 24, 44, 58  # pixels around the axes
LINE = 18  # pixels of a line of the key below them
FINE = 2  # drawn so many times larger, then shrunk
PAPER, INK, FAINT, GRID, MARK = (255, 255, 255), (34, 34, 34), (120, 120, 120), (226, 226, 226), (28, 90, 150)
RADIUS = 5
MANY = 4
"""Marks that touch, from which on they are named together."""
ROWS = 4
"""How many rows of words may stand above a mark, and below it."""
Box = tuple[float, float, float, float]
Scale = Callable[[float], float]


def frontier_png(frontier: Frontier) -> bytes:
    """PNG. A full mark: nothing beats it on both; a square: no defence. Bars: 95 % intervals, of leak cut at the frame.

    A short line joined by dots: the limit, beyond which no attack of its kind gets. A broken line across: the control,
    which reads nothing. Numbers are those of the table; below stands what marks and numbers mean.
    """
    small = ImageFont.load_default(size=12 * FINE)
    key = key_lines(frontier, lambda words: small.getlength(words) <= (WIDTH - LEFT - RIGHT) * FINE)
    whole = HEIGHT + LINE * len(key) + 8
    image = Image.new("RGB", (WIDTH * FINE, whole * FINE), PAPER)
    draw = ImageDraw.Draw(image)
    accuracies = [point.accuracy for point in frontier.points]
    across = [100 * value for a in accuracies for value in (a.mean, a.ci_low, a.ci_high) if value is not None]
    nothing = None if frontier.control is None else frontier.control.mean
    up = [v for p in frontier.points for v in (p.leak.mean, p.limit, nothing) if v is not None]
    x_ticks, y_ticks = shares(ticks(across)), ticks(up)
    x = _scale(x_ticks, LEFT * FINE, (WIDTH - RIGHT) * FINE)
    y = _scale(y_ticks, (HEIGHT - BOTTOM) * FINE, TOP * FINE)
    _axes(draw, frontier, x_ticks, y_ticks, x, y)
    if nothing is not None:
        for dash in range(LEFT * FINE, (WIDTH - RIGHT) * FINE, 12 * FINE):
            draw.line((dash, y(nothing), dash + 6 * FINE, y(nothing)), fill=FAINT, width=FINE)
    for number, words in enumerate(key):
        draw.text((LEFT * FINE, (HEIGHT + LINE * number) * FINE), words, fill=INK, font=small)
    for point in frontier.points:
        _bars(draw, point, x, y)
    taken = [_mark(draw, point, x(100 * point.accuracy.mean), y(point.leak.mean)) for point in frontier.points]
    for places in heaps(taken, [point.epsilon is not None for point in frontier.points]):
        words = _words([frontier.points[place] for place in places])
        taken.append(_label(draw, words, _around([taken[place] for place in places]), taken))
    buffer = io.BytesIO()
    image.resize((WIDTH, whole), Image.Resampling.LANCZOS).save(buffer, "png")
    return buffer.getvalue()


def ticks(values: Sequence[float], about: int = 6) -> list[float]:
    """Round numbers at even distances, the first below all of the values and the last above."""
    low, high = min(values), max(values)
    spread = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    power = 10.0 ** math.floor(math.log10(spread / about))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * about >= spread)
    first, last = math.floor(low / step - 0.25), math.ceil(high / step + 0.25)
    return [number * step for number in range(first, last + 1)]


def shares(numbers: Sequence[float]) -> list[float]:
    """Those that a per cent can be, where two are left."""
    found = [number for number in numbers if 0 <= number <= 100]
    return found if len(found) > 1 else list(numbers)


def _scale(numbers: Sequence[float], start: float, end: float) -> Scale:
    return lambda value: start + (value - numbers[0]) / (numbers[-1] - numbers[0]) * (end - start)


def _axes(
    draw: ImageDraw.ImageDraw,
    frontier: Frontier,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x: Scale,
    y: Scale,
) -> None:
    words, small = ImageFont.load_default(size=14 * FINE), ImageFont.load_default(size=12 * FINE)
    left, right, top, bottom = x(x_ticks[0]), x(x_ticks[-1]), y(y_ticks[-1]), y(y_ticks[0])
    for tick in x_ticks:
        draw.line((x(tick), top, x(tick), bottom), fill=GRID, width=FINE)
        draw.text((x(tick), bottom + 6 * FINE), f"{tick:g}", fill=FAINT, font=small, anchor="mt")
    for tick in y_ticks:
        draw.line((left, y(tick), right, y(tick)), fill=GRID, width=FINE)
        draw.text((left - 6 * FINE, y(tick)), f"{tick:g}", fill=FAINT, font=small, anchor="rm")
    draw.rectangle((left, top, right, bottom), outline=FAINT, width=FINE)
    names, metric = frontier.names, frontier.metric
    title = one_line(f"{names['model']}, {names['dataset']}, batch size {names['batch_size']}, {names['protocol']}")
    draw.text((left, 14 * FINE), title, fill=INK, font=words)
    draw.text((right, HEIGHT * FINE - 10 * FINE), "accuracy, %", fill=INK, font=words, anchor="rb")
    unit = f", {metric.unit}" if metric.unit else ""
    draw.text((left, HEIGHT * FINE - 10 * FINE), f"up: leak, {metric.written}{unit}", fill=INK, font=words, anchor="lb")


def _bars(draw: ImageDraw.ImageDraw, point: Point, x: Scale, y: Scale) -> None:
    """Both intervals, within the frame, and the limit."""
    here, there = x(100 * point.accuracy.mean), y(point.leak.mean)
    frame = (LEFT * FINE, TOP * FINE, (WIDTH - RIGHT) * FINE, (HEIGHT - BOTTOM) * FINE)
    if point.leak.ci_low is not None and point.leak.ci_high is not None:
        ends = [min(max(y(value), frame[1]), frame[3]) for value in (point.leak.ci_low, point.leak.ci_high)]
        draw.line((here, ends[0], here, ends[1]), fill=FAINT, width=FINE)
    if point.accuracy.ci_low is not None and point.accuracy.ci_high is not None:
        ends = [min(max(x(100 * v), frame[0]), frame[2]) for v in (point.accuracy.ci_low, point.accuracy.ci_high)]
        draw.line((ends[0], there, ends[1], there), fill=FAINT, width=FINE)
    if point.limit is not None:
        limit = y(point.limit)
        draw.line((here - 9 * FINE, limit, here + 9 * FINE, limit), fill=MARK, width=2 * FINE)
        low, high = sorted((limit, there))
        for dot in range(round(low), round(high), 7 * FINE):
            draw.line((here, dot, here, min(dot + 2 * FINE, high)), fill=MARK, width=FINE)


def _mark(draw: ImageDraw.ImageDraw, point: Point, here: float, there: float) -> Box:
    size = RADIUS * FINE
    box = (here - size, there - size, here + size, there + size)
    shape = draw.rectangle if point.defense == "none" else draw.ellipse
    shape(box, fill=MARK if point.unbeaten else PAPER, outline=MARK, width=2 * FINE)
    return box


def heaps(marks: Sequence[Box], alone: Sequence[bool]) -> list[list[int]]:
    """Places of marks that are named together: of those that touch, from one to the next, where they are many.

    `alone`: which have more to say than a number, and stand by themselves.
    """
    left, found = list(range(len(marks))), list[list[int]]()
    while left:
        heap = [left.pop(0)]
        for place in heap:  # grows while it is walked
            near = [other for other in left if _shared(marks[place], marks[other])]
            heap += near
            left = [other for other in left if other not in near]
        together = sorted(place for place in heap if not alone[place])
        found += [together] if len(together) >= MANY else [[place] for place in together]
        found += [[place] for place in heap if alone[place]]
    return sorted(found)


def runs(numbers: Sequence[int]) -> str:
    """Rising whole numbers in few words: `1, 8-13, 31`."""
    ends = list[list[int]]()
    for number in numbers:
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in ends)


def _words(points: Sequence[Point]) -> str:
    """Numbers of a heap, or of one point with its epsilon."""
    first = points[0]
    if len(points) > 1 or first.epsilon is None:
        return runs([point.number for point in points])
    return f"{first.number} (eps {first.epsilon:.3g})"


def _around(boxes: Sequence[Box]) -> Box:
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _label(draw: ImageDraw.ImageDraw, words: str, mark: Box, taken: Sequence[Box]) -> Box:
    """The words beside a mark, or a heap of them, where nothing else stands, else where there is most room."""
    font = ImageFont.load_default(size=12 * FINE)
    wide, high, gap = font.getlength(words), 13 * FINE, 2 * FINE
    rows = [row for far in range(ROWS) for row in (mark[1] - high * (far + 1), mark[3] + high * far)]
    places = [(left, row) for row in rows for left in (mark[2] + gap, mark[0] - gap - wide)]
    inside = [(min(max(left, LEFT * FINE), (WIDTH - RIGHT) * FINE - wide), top) for left, top in places]
    boxes = [(left, top, left + wide, top + high) for left, top in inside]
    best = min(boxes, key=lambda box: sum(_shared(box, other) for other in taken))
    draw.text(best[:2], words, fill=INK, font=font)
    return best


def _shared(one: Box, other: Box) -> float:
    """How many square pixels two boxes share."""
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
