"""Whether every strip that a recipe can draw fits into its image."""

from __future__ import annotations

from itertools import islice
from typing import Literal

Fit = Literal["squeeze", "fill", "error"]
Align = Literal["random", "left", "center", "right"]
Between = Literal["frame", "ink"]

WIDEST = 8192
"""Largest image width, px."""

LOWEST_GAP = -9
"""Gaps below this could make a digit squeezed to 10 px begin before its left neighbour."""

SQUEEZE_LIMIT = (10, 28)
"""Narrowest squeeze, as a fraction: a frame of 28 px on 10; below it strokes run together."""


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
