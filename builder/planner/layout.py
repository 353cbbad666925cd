"""Sequence layout: where each digit of a sample stands, and how wide it is.

`arrange` lays the extents of digits side by side. `move_to_extents` brings warps there, and
`pull_in` moves ink that would be cut into the image.
"""

from __future__ import annotations

import math

import numpy as np

from builder.common import rng
from builder.common.constants import FRAME, HALF, Floats, Int16s, Ints, Words
from builder.common.jit import jit
from builder.common.rng import Stream
from builder.common.rng_kernels import word_below
from builder.planner.specs import POSITION_SCALE, DigitSpecs, GlyphArrays, Layout
from builder.recipe.fit import SQUEEZE_LIMIT, Align, Fit

FARTHEST = 1 << 62
"""A position, 1/65536 px, beyond any in an image."""

SQRT_2 = math.sqrt(2.0)

ELASTIC_SPREAD = 1.5
"""The assumed spread of ink, as a multiple of the rms of its displacement. With 1.5, 0.6 of 1,000
digits of preset `strong` lose 2 % of their ink or more. With 1, 2.4 of 1,000 do."""


def draw_gaps(seeds: Words, lengths: Ints, digits: int, spacing: tuple[int, int]) -> Ints:
    """Draw the gap before each digit, uniform in `spacing`, both ends included.

    Args:
        seeds: Sample seeds, (B,) uint64.
        lengths: Digits of each sample, (B,) int64.
        digits: L, the most digits of a sample.
        spacing: Least and largest gap, px, -9 or more.

    Returns:
        The gaps, (B, L) int64, px; 0 for the first digit and from a sample's length on.
    """
    words = rng.draw_digit_words(seeds, digits, Stream.GAP)
    gaps = np.empty(words.shape, dtype=np.int64)
    map_to_gaps(words, lengths, *spacing, gaps)
    return gaps


def arrange(  # noqa: PLR0913  # the choices of a recipe are keyword-only
    seeds: Words, nominal: Ints, gaps: Ints, width: int, *, fit: Fit, align: Align
) -> Layout:
    """Lay the digits of a block side by side.

    A strip is f * (sum of nominal extents) + (sum of gaps) wide. Gaps are never scaled. `fit`
    decides f, so that the strip, and every run of neighbours in it, fits into the width.

    Args:
        seeds: Sample seeds, (B,) uint64.
        nominal: Nominal extents, (B, L) int64, px; 0 from a sample's length on.
        gaps: Gaps, (B, L) int64, px, as from `draw_gaps`.
        width: Width of the image, px.
        fit: 'squeeze' for an f of at most 1, 'fill' for any f, 'error' for f = 1.
        align: Where the strip stands in a wider image.

    Returns:
        The layout, with `gaps` as they are.
    """
    room, total, left, right = np.empty((4, len(nominal)), dtype=np.int64)
    measure_runs(nominal, gaps, width, room, total)
    numerators = {"squeeze": np.minimum(room, total), "fill": room, "error": total}[fit]
    begins, extents = np.empty((2, *nominal.shape), dtype=np.int64)
    layout = Layout(begins, extents, left, right, gaps)
    lay_digits(nominal, numerators, total, layout)
    slack = np.maximum(width * POSITION_SCALE - (right - left), 0)
    offset = draw_offsets(seeds, slack, align) - left
    begins += offset[:, None]
    left += offset
    right += offset
    return layout


def draw_offsets(seeds: Words, slack: Ints, align: Align) -> Ints:
    """Return the left edge of each strip, (B,) int64, given its slack (B,), both in 1/65536 px.

    It is a whole pixel unless `align` is 'right'.
    """
    if align == "random":
        pixels = slack // POSITION_SCALE + 1
        return rng.uniform_below(rng.draw_words(seeds, Stream.PLACING), pixels) * POSITION_SCALE
    middle = slack // (2 * POSITION_SCALE) * POSITION_SCALE
    return {"left": slack * 0, "center": middle, "right": slack}[align]


@jit
def map_to_gaps(words: Words, lengths: Ints, low: int, high: int, gaps: Ints) -> None:
    """Fill gaps (B, L) by words (B, L), uniform in [low, high], 0 where no gap is."""
    for b in range(len(gaps)):
        for d in range(gaps.shape[1]):
            inner = 0 < d < lengths[b]
            gaps[b, d] = low + word_below(words[b, d], high - low + 1) if inner else 0


@jit
def measure_runs(nominal: Ints, gaps: Ints, width: int, room: Ints, total: Ints) -> None:
    """Set room and total (B,), px, of the run of neighbours with the least room for its extents.

    `room` is what the gaps leave of the width, `total` the sum of the run's nominal extents.
    The run is the whole strip, unless a gap is so negative that a digit narrower than it stands
    before the end of its left neighbour. Then a part of the strip may be wider than the whole,
    and decides how far all digits must be squeezed.
    """
    digits = nominal.shape[1]
    for b in range(len(nominal)):
        least, most, overtaken = width, 0, False
        for d in range(digits):
            least, most = least - gaps[b, d], most + nominal[b, d]
            narrower = min(nominal[b, max(d - 1, 0)], nominal[b, d])
            overtaken |= narrower * SQUEEZE_LIMIT[0] < -gaps[b, d] * SQUEEZE_LIMIT[1]
        for first in range(digits if overtaken else 0):  # with whole frames: never
            rest, extent = width + gaps[b, first], 0
            for last in range(first, digits):
                rest, extent = rest - gaps[b, last], extent + nominal[b, last]
                if rest * most < least * extent:
                    least, most = rest, extent
        room[b], total[b] = least, most


@jit
def lay_digits(nominal: Ints, numerators: Ints, denominators: Ints, layout: Layout) -> None:
    """Set all of a layout but its gaps, with the first digit of each strip at 0.

    Extents are the nominal ones (B, L), px, times numerators / denominators (B,).
    """
    for b in range(len(nominal)):
        end, first, last = 0, FARTHEST, -FARTHEST
        for d in range(nominal.shape[1]):
            begin = end + layout.gaps[b, d] * POSITION_SCALE
            extent = nominal[b, d] * numerators[b] * POSITION_SCALE // denominators[b]
            end = begin + extent
            layout.begins[b, d], layout.extents[b, d] = begin, extent
            first, last = min(first, begin), max(last, end)
        layout.left[b], layout.right[b] = first, last


@jit
def move_to_extents(warps: Floats, nominal: Ints, layout: Layout) -> None:
    """Move warps (8, B, L) from the origin to the middles of extents, squeezed like these.

    `nominal` (B, L), px, are the extents before the squeeze.
    """
    for b in range(nominal.shape[0]):
        for d in range(nominal.shape[1]):
            w, begin, extent = warps[:, b, d], layout.begins[b, d], layout.extents[b, d]
            factor = extent / POSITION_SCALE / nominal[b, d]
            w[0], w[1] = w[0] * factor, w[1] * factor
            w[6], w[7] = w[6] + (begin + extent / 2) / POSITION_SCALE, w[7] + HALF


@jit
def pull_in(specs: DigitSpecs, layout: Layout, bank: GlyphArrays, corners: Floats) -> None:
    """Bring the ink of each digit between the rows of the image and the edges of its strip.

    Warps are shifted, and made smaller where the ink has no room. `corners` (L, 4, 8) is memory:
    x and y of the octagon around each digit's ink, and where the warp takes them. A projective
    map keeps the octagon convex, so its corners bound the ink. Step by step for all digits of a
    strip this takes 0.6 of the time that it takes digit by digit.
    """
    digits = range(specs.glyphs.shape[1])
    for b in range(specs.glyphs.shape[0]):
        left, right = layout.left[b] / POSITION_SCALE, layout.right[b] / POSITION_SCALE
        for d in digits:
            row, growth = specs.glyphs[b, d], max(specs.growth[b, d], 0)
            spread = (growth + 255 >> 8) + ELASTIC_SPREAD * specs.rms
            surround(bank.ink[row], bank.diagonals[row], spread, corners[d, 0:2])
        for d in digits:
            project(specs.warps[:, b, d], specs.centres[b, d], corners[d, 0:2], corners[d, 2:4])
        for d in digits:
            w = specs.warps[:, b, d]
            low, high = find_bounds(corners[d, 2])
            factor, shift = fit_into(low, high, w[6], left, right)
            w[0], w[1], w[6] = w[0] * factor, w[1] * factor, w[6] + shift
            low, high = find_bounds(corners[d, 3])
            factor, shift = fit_into(low, high, w[7], 0.0, float(FRAME))
            w[2], w[3], w[7] = w[2] * factor, w[3] * factor, w[7] + shift


@jit
def surround(ink: Int16s, diagonals: Int16s, spread: float, corners: Floats) -> None:
    """Set corners, x (8,) and y (8,), of the octagon around ink that spreads by so many px.

    `ink` (4,) and `diagonals` (4,) are those of one glyph in a `DigitBank`.
    """
    x, y = corners[0], corners[1]
    left, top, right, bottom = ink[0] - spread, ink[1] - spread, ink[2] + spread, ink[3] + spread
    slanted = spread * SQRT_2
    least_sum, least_difference = diagonals[0] - slanted, diagonals[1] - slanted
    most_sum, most_difference = diagonals[2] + slanted, diagonals[3] + slanted
    x[0], y[0] = max(left, least_sum - top), top
    x[1], y[1] = min(right, most_difference + top), top
    x[2], y[2] = right, max(top, right - most_difference)
    x[3], y[3] = right, min(bottom, most_sum - right)
    x[4], y[4] = min(right, most_sum - bottom), bottom
    x[5], y[5] = max(left, least_difference + bottom), bottom
    x[6], y[6] = left, min(bottom, left - least_difference)
    x[7], y[7] = left, max(top, least_sum - left)


@jit
def project(warp: Floats, centre: float, corners: Floats, points: Floats) -> None:
    """Set points, x and y, to where a warp about its centre takes corners, x and y, each (8,).

    The count comes from an array: numba would write out a loop of 8, and not vectorise it.
    """
    a, b, c, e = warp[0], warp[1], warp[2], warp[3]
    g, h, tx, ty = warp[4], warp[5], warp[6], warp[7]
    u, v, x, y = corners[0], corners[1], points[0], points[1]
    for k in range(len(u)):
        p, q = u[k] - centre, v[k] - HALF
        depth = 1.0 + g * p + h * q
        x[k] = tx + (a * p + b * q) / depth
        y[k] = ty + (c * p + e * q) / depth


@jit
def find_bounds(values: Floats) -> tuple[float, float]:
    """Return the least and the largest of some values."""
    low, high = values[0], values[0]
    for k in range(1, len(values)):
        low, high = min(low, values[k]), max(high, values[k])
    return low, high


@jit
def fit_into(
    low: float, high: float, middle: float, least: float, most: float
) -> tuple[float, float]:
    """Return the factor about `middle`, and the shift after it, that bring a span into another.

    The span [low, high] comes into [least, most]. The factor is 1 unless it is the wider one.
    The shift is the smallest that will do.
    """
    factor = min((most - least) / max(high - low, 1.0), 1.0)
    low, high = middle + factor * (low - middle), middle + factor * (high - middle)
    if high - low > most - least:
        return factor, (least + most) / 2 - (low + high) / 2
    return factor, max(least - low, 0.0) + min(most - high, 0.0)
