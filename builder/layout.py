"""Sequence layout: where each digit of a sample stands, and how wide it is.

Positions are integers in 1/65536 px, so that no rounding differs between machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from builder import streams
from builder.streams import Ints, Stream, Words

Fit = Literal["squeeze", "fill", "error"]
Align = Literal["random", "left", "center", "right"]
Between = Literal["frame", "ink"]

ONE = 1 << 16
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
    *, width: int, lengths: tuple[int, int], spacing: tuple[int, int], extent: int, fit: Fit
) -> None:
    """Raise `ValueError` if some strip could be wider than the image, or squeezed too far.

    `lengths` are the shortest and longest label, `extent` is the widest nominal extent, px.
    The width needed is linear in the length, so the two ends decide.
    """
    least, frame = (1, 1) if fit == "error" else SQUEEZE_LIMIT
    gap = spacing[1]

    def needed(digits: int) -> int:
        return -(-digits * extent * least // frame) + (digits - 1) * gap

    digits = max(lengths, key=needed)
    if width >= needed(digits):
        return
    ways = [f"expected at least {needed(digits)}"]
    fitting = [n for n in range(lengths[0], lengths[1]) if needed(n) <= width]
    if fitting:
        ways.append(f"length at most {fitting[-1]}")
    room = (width - needed(digits) + (digits - 1) * gap) // max(1, digits - 1)
    if digits > 1 and room >= LOWEST_GAP:
        ways.append(f"spacing at most {room}")
    if fit == "error":
        ways.append("fit 'squeeze'")
    raise ValueError(
        f"width is {width}, too small for {digits} digit{'s'[: digits > 1]}"
        f"{f' with gaps of up to {gap} px' if digits > 1 else ''}: {', or '.join(ways)}"
    )


def draw_gaps(seeds: Words, lengths: Ints, digits: int, spacing: tuple[int, int]) -> Ints:
    """Return the gap before each digit, (B, digits) int64 px, uniform in `spacing`."""
    low, high = spacing
    gaps = low + streams.below(streams.digit_words(seeds, digits, Stream.GAP), high - low + 1)
    gaps[:, 0] = 0
    gaps[np.arange(digits) >= lengths[:, None]] = 0
    return gaps


def arrange(seeds: Words, nominal: Ints, gaps: Ints, width: int, fit: Fit, align: Align) -> Layout:
    """Lay the digits of a block side by side.

    `nominal` (B, L) int64: nominal extents, px, 0 from a sample's length on; `gaps` as from
    `draw_gaps`. A strip is f * (sum of nominal) + (sum of gaps) wide: gaps are never scaled.
    """
    total, room = nominal.sum(axis=1), width - gaps.sum(axis=1)
    tight = np.ones_like(total, dtype=bool) if fit == "fill" else total > room
    factor = np.where(tight, room, total)
    extents = nominal * factor[:, None] * ONE // total[:, None]
    ends = np.cumsum(extents + gaps * ONE, axis=1)
    begins = ends - extents
    shown = nominal > 0
    first = np.where(shown, begins, width * ONE).min(axis=1)
    last = np.where(shown, ends, 0).max(axis=1)
    slack = np.maximum(width * ONE - (last - first), 0)
    offset = _left_slack(seeds, slack, align) - first
    return Layout(begins + offset[:, None], extents, first + offset, last + offset, gaps)


def _left_slack(seeds: Words, slack: Ints, align: Align) -> Ints:
    """Return the part of the slack that goes to the left: whole pixels unless `right`."""
    if align == "random":
        return streams.below(streams.words(seeds, Stream.PLACING), slack // ONE + 1) * ONE
    shares = {"left": slack * 0, "center": slack // (2 * ONE) * ONE, "right": slack}
    return shares[align]
