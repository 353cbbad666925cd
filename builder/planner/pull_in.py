"""Fitting: warps changed so that the ink of their digits lies inside an image."""

from __future__ import annotations

import math
from typing import Any

from builder.common.constants import FRAME, HALF
from builder.common.jit import jit
from builder.planner.layout_kernels import ONE

SQRT_2 = math.sqrt(2.0)


@jit
def lay_octagon(ink: Any, diagonals: Any, spread: Any, corners: Any) -> None:
    """Set corners, x (8,) and y (8,), of the octagon around ink that spreads by so many px.

    `ink` and `diagonals` are those of one glyph in a `DigitBank`.
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
def project(warp: Any, centre: Any, corners: Any, points: Any) -> None:
    """Set points, x and y, to where corners, x and y, each (8,), go by a warp about its centre.

    The count comes from an array: a loop of 8 would be written out, and not done by vectors.
    """
    a, b, c, e, g, h, tx, ty = (
        warp[0], warp[1], warp[2], warp[3], warp[4], warp[5], warp[6], warp[7],
    )  # fmt: skip
    u, v, x, y = corners[0], corners[1], points[0], points[1]
    for k in range(len(u)):
        p, q = u[k] - centre, v[k] - HALF
        depth = 1.0 + g * p + h * q
        x[k] = tx + (a * p + b * q) / depth
        y[k] = ty + (c * p + e * q) / depth


@jit
def bounds(values: Any) -> Any:
    """Return the least and the largest of some values."""
    low, high = values[0], values[0]
    for k in range(1, len(values)):
        low, high = min(low, values[k]), max(high, values[k])
    return low, high


@jit
def fit(low: Any, high: Any, middle: Any, least: Any, most: Any) -> Any:
    """Return by what factor about `middle`, and then what shift, [low, high] is in [least, most].

    The factor is below 1 only where it is wider than that, and the shift the smallest that does.
    """
    factor = min((most - least) / max(high - low, 1.0), 1.0)
    low, high = middle + factor * (low - middle), middle + factor * (high - middle)
    if high - low > most - least:
        return factor, (least + most) / 2 - (low + high) / 2
    return factor, max(least - low, 0.0) + min(most - high, 0.0)


@jit
def place(numbers: Any, begins: Any, extents: Any, nominal: Any) -> None:
    """Bring warps `numbers` (8, B, L) from the origin to the middles of extents, squeezed as these.

    `begins`, `extents` (B, L) int64, 1/65536 px; `nominal` (B, L), px, what was squeezed.
    """
    for b in range(begins.shape[0]):
        for d in range(begins.shape[1]):
            w, begin, extent = numbers[:, b, d], begins[b, d], extents[b, d]
            factor = extent / ONE / nominal[b, d]
            w[0], w[1] = w[0] * factor, w[1] * factor
            w[6], w[7] = w[6] + (begin + extent / 2) / ONE, w[7] + HALF


@jit
def pull_in(
    numbers: Any, glyphs: Any, bank: Any, spread: Any, centres: Any, edges: Any, scratch: Any
) -> None:
    """Bring the ink of each warp of `numbers` (8, B, L) between the rows and the strip's edges.

    It is shifted, and made smaller where it has no room. `bank` is (ink, diagonals) of all
    glyphs, `glyphs` and `centres` (B, L). `spread` is (growth (B, L), 1/256 px, what else the
    ink spreads by, px); `edges` the strip's (left, right), each (B,) int64, 1/65536 px.
    `scratch` (L, 4, 8) is memory for corners and where they go. A projective map keeps the
    octagon around the ink convex, so its corners bound it. Step by step for all digits of a
    strip it takes 0.6 of the time that it takes digit by digit.
    """
    for b in range(glyphs.shape[0]):
        left, right = edges[0][b] / ONE, edges[1][b] / ONE
        for d in range(glyphs.shape[1]):
            row, growth = glyphs[b, d], max(spread[0][b, d], 0)
            wider = (growth + 255 >> 8) + spread[1]
            lay_octagon(bank[0][row], bank[1][row], wider, scratch[d, 0:2])
        for d in range(glyphs.shape[1]):
            project(numbers[:, b, d], centres[b, d], scratch[d, 0:2], scratch[d, 2:4])
        for d in range(glyphs.shape[1]):
            w = numbers[:, b, d]
            low, high = bounds(scratch[d, 2])
            factor, shift = fit(low, high, w[6], left, right)
            w[0], w[1], w[6] = w[0] * factor, w[1] * factor, w[6] + shift
            low, high = bounds(scratch[d, 3])
            factor, shift = fit(low, high, w[7], 0.0, float(FRAME))
            w[2], w[3], w[7] = w[2] * factor, w[3] * factor, w[7] + shift
