"""Sequence layout: where each digit of a sample stands, and how wide it is.

Positions are integers in 1/65536 px, so that no rounding differs between machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from builder import streams
from builder.kernels import strips
from builder.streams import Ints, Stream, Words

Fit = Literal["squeeze", "fill", "error"]
Align = Literal["random", "left", "center", "right"]
Between = Literal["frame", "ink"]

WIDEST = 8192
"""Largest image width, px."""

ONE = strips.ONE
"""One pixel in units of position."""

LOWEST_GAP = -9
"""Gaps below this could make a digit squeezed to 10 px begin before its left neighbour."""

SQUEEZE_LIMIT = (10, 28)
"""Narrowest squeeze, as a fraction: a frame of 28 px on 10; below it strokes run together."""


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


def check_fit(
    *,
    width: int,
    lengths: tuple[int, int],
    spacing: tuple[int, int],
    extent: int,
    fit: Fit,
    between: Between,
) -> None:
    """Raise `ValueError` if some strip could not lie in the image, or is squeezed too far.

    `lengths` are the shortest and longest label, `extent` is the widest nominal extent, px.
    Ink can be a pixel or two wide: a digit narrower than its gap is negative begins before
    its neighbour, and the last of a row so far to the left of the first as gaps can reach.
    """
    shortest, longest = lengths

    def backward(digits: int, gap: int) -> int:
        return (digits - 1) * -min(spacing[0], gap, 0) if between == "ink" else 0

    def needed(digits: int, gap: int, fit: Fit) -> int:
        return max(_width_needed(digits, extent, gap, fit), backward(digits, gap))

    least = needed(longest, spacing[1], fit)
    if width >= least:
        return
    ways = [f"expected at least {least}"] if least <= WIDEST else []
    lengths_that_do = (n for n in range(longest - 1, shortest - 1, -1)
                       if width >= needed(n, spacing[1], fit))  # fmt: skip
    ways += [f"length at most {n}" for n in islice(lengths_that_do, 1)]
    gaps_that_do = (gap for gap in range(spacing[1] - 1, LOWEST_GAP - 1, -1)
                    if width >= needed(longest, gap, fit))  # fmt: skip
    ways += [f"spacing at most {gap}" for gap in islice(gaps_that_do, 1)]
    if fit == "error" and width >= needed(longest, spacing[1], "squeeze"):
        ways.append("fit 'squeeze'")
    low, high = spacing
    gaps = f"{low} px between ink" if backward(longest, high) > width else f"up to {high} px"
    raise ValueError(
        f"width is {width}, too small for {longest} digit{'s'[: longest > 1]}"
        f"{f' with gaps of {gaps}' if longest > 1 else ''}: "
        f"{', or '.join(ways) or f'expected fewer digits, as images are at most {WIDEST} wide'}"
    )


def _width_needed(digits: int, extent: int, gap: int, fit: Fit) -> int:
    """Return the smallest width, px, that takes every run of up to `digits` neighbours.

    It is linear in the length of the run, so the shortest and the longest decide. A run can
    need more than the whole strip, where negative gaps are wider than narrow digits.
    """
    least, frame = (1, 1) if fit == "error" else SQUEEZE_LIMIT
    return max(-(-n * extent * least // frame) + (n - 1) * gap for n in (1, digits))


def draw_gaps(seeds: Words, lengths: Ints, digits: int, spacing: tuple[int, int]) -> Ints:
    """Return the gap before each digit, (B, digits) int64 px, uniform in `spacing`."""
    words = streams.digit_words(seeds, digits, Stream.GAP)
    gaps = np.empty(words.shape, dtype=np.int64)
    strips.draw_gaps(words, lengths, *spacing, gaps)
    return gaps


def arrange(seeds: Words, nominal: Ints, gaps: Ints, width: int, fit: Fit, align: Align) -> Layout:
    """Lay the digits of a block side by side.

    `nominal` (B, L) int64: nominal extents, px, 0 from a sample's length on; `gaps` as from
    `draw_gaps`. A strip is f * (sum of nominal) + (sum of gaps) wide: gaps are never scaled,
    and f is what makes the strip (and every run of neighbours in it) fit into the width.
    """
    room, total, first, last = np.empty((4, len(nominal)), dtype=np.int64)
    strips.measure_runs(nominal, gaps, width, SQUEEZE_LIMIT, room, total)
    factor = {"squeeze": np.minimum(room, total), "fill": room, "error": total}[fit]
    begins, extents = np.empty((2, *nominal.shape), dtype=np.int64)
    strips.lay_digits(nominal, gaps, (factor, total), (begins, extents), (first, last))
    slack = np.maximum(width * ONE - (last - first), 0)
    offset = _left_slack(seeds, slack, align) - first
    begins += offset[:, None]
    return Layout(begins, extents, first + offset, last + offset, gaps)


def _left_slack(seeds: Words, slack: Ints, align: Align) -> Ints:
    """Return the part of the slack that goes to the left: whole pixels unless `right`."""
    if align == "random":
        return streams.below(streams.words(seeds, Stream.PLACING), slack // ONE + 1) * ONE
    shares = {"left": slack * 0, "center": slack // (2 * ONE) * ONE, "right": slack}
    return shares[align]
