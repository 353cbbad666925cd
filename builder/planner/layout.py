"""Sequence layout: where each digit of a sample stands, and how wide it is."""

from __future__ import annotations

import numpy as np

from builder.common import rng
from builder.common.constants import Ints, Words
from builder.common.jit import jit
from builder.common.rng import Stream
from builder.common.rng_kernels import word_below
from builder.planner.specs import POSITION_SCALE, Layout
from builder.recipe.fit import SQUEEZE_LIMIT, Align, Fit

FARTHEST = 1 << 62
"""A position, 1/65536 px, beyond any in an image."""


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
