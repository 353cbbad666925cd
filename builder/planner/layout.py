"""Sequence layout: where each digit of a sample stands, and how wide it is.

Positions are integers in 1/65536 px, so that no rounding differs between machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from builder.common import rng
from builder.common.constants import Ints, Words
from builder.common.rng import Stream
from builder.planner import layout_kernels
from builder.recipe.fit import SQUEEZE_LIMIT, Align, Fit

ONE = layout_kernels.ONE
"""One pixel in units of position."""


@dataclass(frozen=True)
class Layout:
    """The layout of a block, in 1/65536 px.

    `begins`, `extents` (B, L) int64: left edge and width of each digit's extent. `left`,
    `right` (B,) int64: the edges of the strip, which is what the extents cover. `gaps`
    (B, L) int64, px: the gap before each digit, 0 for the first.
    """

    begins: Ints
    extents: Ints
    left: Ints
    right: Ints
    gaps: Ints


def draw_gaps(seeds: Words, lengths: Ints, digits: int, spacing: tuple[int, int]) -> Ints:
    """Return the gap before each digit, (B, digits) int64 px, uniform in `spacing`."""
    words = rng.draw_digit_words(seeds, digits, Stream.GAP)
    gaps = np.empty(words.shape, dtype=np.int64)
    layout_kernels.draw_gaps(words, lengths, *spacing, gaps)
    return gaps


def arrange(seeds: Words, nominal: Ints, gaps: Ints, width: int, fit: Fit, align: Align) -> Layout:
    """Lay the digits of a block side by side.

    `nominal` (B, L) int64: nominal extents, px, 0 from a sample's length on; `gaps` as from
    `draw_gaps`. A strip is f * (sum of nominal) + (sum of gaps) wide: gaps are never scaled,
    and f is what makes the strip (and every run of neighbours in it) fit into the width.
    """
    room, total, first, last = np.empty((4, len(nominal)), dtype=np.int64)
    layout_kernels.measure_runs(nominal, gaps, width, SQUEEZE_LIMIT, room, total)
    factor = {"squeeze": np.minimum(room, total), "fill": room, "error": total}[fit]
    begins, extents = np.empty((2, *nominal.shape), dtype=np.int64)
    layout_kernels.lay_digits(nominal, gaps, (factor, total), (begins, extents), (first, last))
    slack = np.maximum(width * ONE - (last - first), 0)
    offset = _left_slack(seeds, slack, align) - first
    begins += offset[:, None]
    return Layout(begins, extents, first + offset, last + offset, gaps)


def _left_slack(seeds: Words, slack: Ints, align: Align) -> Ints:
    """Return the part of the slack that goes to the left: whole pixels unless `right`."""
    if align == "random":
        return rng.uniform_below(rng.draw_words(seeds, Stream.PLACING), slack // ONE + 1) * ONE
    shares = {"left": slack * 0, "center": slack // (2 * ONE) * ONE, "right": slack}
    return shares[align]
