"""Strips: which glyphs stand in them and where, as `builder.planner.layout` and the planner say.

Each function is one pass over a block, where numpy would take many over small arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.common.jit import jit
from builder.common.rng_kernels import word_below

i64 = np.int64

ONE = 1 << 16
"""One pixel in units of position."""


@jit
def pick_glyphs(words: Any, labels: Any, starts: Any, members: Any, glyphs: Any) -> None:
    """Fill glyphs (B, L) with a uniform member of each digit's class, by words (B, L) uint64.

    `labels` (B, L) are the digits; padding, below 0, counts as 0. `starts` (11,) and `members`
    (M,) are those of a `DigitBank`.
    """
    for b in range(len(labels)):
        for d in range(labels.shape[1]):
            digit = i64(max(labels[b, d], 0))
            start, end = starts[digit], starts[digit + 1]
            glyphs[b, d] = members[start + word_below(words[b, d], end - start)]


@jit
def draw_gaps(words: Any, lengths: Any, low: Any, high: Any, gaps: Any) -> None:
    """Fill gaps (B, L) int64 by words (B, L), uniform in [low, high], 0 where there is none."""
    for b in range(len(gaps)):
        for d in range(gaps.shape[1]):
            inner = 0 < d < lengths[b]
            gaps[b, d] = low + word_below(words[b, d], high - low + 1) if inner else 0


@jit
def measure_runs(nominal: Any, gaps: Any, width: Any, limit: Any, room: Any, total: Any) -> None:
    """Set room and total (B,), px, of the run of neighbours with the least room for its extents.

    That is the whole strip, unless a gap is so negative that a digit narrower than it stands
    before the end of its left neighbour. Then what is left of it may be wider than the
    strip, and decides how far all must be squeezed to stay inside the image. `limit` is the
    narrowest squeeze, as a fraction; `nominal` and `gaps` (B, L) are as for `arrange`.
    """
    digits = nominal.shape[1]
    for b in range(len(nominal)):
        least, most, overtaken = width, 0, False
        for d in range(digits):
            least, most = least - gaps[b, d], most + nominal[b, d]
            narrower = min(nominal[b, max(d - 1, 0)], nominal[b, d])
            overtaken |= narrower * limit[0] < -gaps[b, d] * limit[1]  # frames never are
        for first in range(digits if overtaken else 0):
            here, extent = width + gaps[b, first], 0
            for last in range(first, digits):
                here, extent = here - gaps[b, last], extent + nominal[b, last]
                if here * most < least * extent:
                    least, most = here, extent
        room[b], total[b] = least, most


@jit
def lay_digits(nominal: Any, gaps: Any, factor: Any, digits: Any, edges: Any) -> None:
    """Lay digits side by side from 0 on, in 1/65536 px.

    `digits` (begins, extents), each (B, L), and `edges` (leftmost, rightmost), each (B,), are set.
    `factor` (numerators, denominators), each (B,): what nominal extents are multiplied by.
    """
    begins, extents = digits
    for b in range(len(nominal)):
        end, first, last = 0, i64(1 << 62), -i64(1 << 62)
        for d in range(nominal.shape[1]):
            begin = end + gaps[b, d] * ONE
            extent = nominal[b, d] * factor[0][b] * ONE // factor[1][b]
            end = begin + extent
            begins[b, d], extents[b, d] = begin, extent
            first, last = min(first, begin), max(last, end)
        edges[0][b], edges[1][b] = first, last
