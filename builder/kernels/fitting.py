"""Fitting: warps changed so that the ink of their digits lies inside an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from builder.frame import FRAME, HALF
from builder.kernels.compiled import compiled

SQRT_2 = math.sqrt(2.0)


@compiled
def lay_octagon(ink: Any, diagonals: Any, spread: Any, corners: Any) -> None:
    """Set corners (8, 2), x and y, of the octagon around ink that spreads by so many px.

    `ink` and `diagonals` are those of one glyph in a `DigitBank`.
    """
    left, top, right, bottom = ink[0] - spread, ink[1] - spread, ink[2] + spread, ink[3] + spread
    slanted = spread * SQRT_2
    least_sum, least_difference = diagonals[0] - slanted, diagonals[1] - slanted
    most_sum, most_difference = diagonals[2] + slanted, diagonals[3] + slanted
    corners[0, 0], corners[0, 1] = max(left, least_sum - top), top
    corners[1, 0], corners[1, 1] = min(right, most_difference + top), top
    corners[2, 0], corners[2, 1] = right, max(top, right - most_difference)
    corners[3, 0], corners[3, 1] = right, min(bottom, most_sum - right)
    corners[4, 0], corners[4, 1] = min(right, most_sum - bottom), bottom
    corners[5, 0], corners[5, 1] = max(left, least_difference + bottom), bottom
    corners[6, 0], corners[6, 1] = left, min(bottom, left - least_difference)
    corners[7, 0], corners[7, 1] = left, max(top, least_sum - left)


@compiled
def fit(low: Any, high: Any, middle: Any, least: Any, most: Any) -> Any:
    """Return by what factor about `middle`, and then what shift, [low, high] is in [least, most].

    The factor is below 1 only where it is wider than that, and the shift the smallest that does.
    """
    factor = min((most - least) / max(high - low, 1.0), 1.0)
    low, high = middle + factor * (low - middle), middle + factor * (high - middle)
    if high - low > most - least:
        return factor, (least + most) / 2 - (low + high) / 2
    return factor, max(least - low, 0.0) + min(most - high, 0.0)


@compiled
def pull_in(
    numbers: Any, glyphs: Any, bank: Any, spread: Any, centres: Any, edges: Any, corners: Any
) -> None:
    """Bring the ink of each warp of `numbers` (8, B, L) between the rows and the strip's edges.

    It is shifted, and made smaller where it has no room. `bank` is (ink, diagonals) of all
    glyphs, `glyphs`, `spread` and `centres` (B, L), `edges` (2, B), the x of the strip's edges, px.
    `corners` (8, 2) is scratch memory. A projective map keeps the octagon around the ink
    convex, so its corners bound it.
    """
    for b in range(glyphs.shape[0]):
        for d in range(glyphs.shape[1]):
            row, w = glyphs[b, d], numbers[:, b, d]
            lay_octagon(bank[0][row], bank[1][row], spread[b, d], corners)
            x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
            for k in range(8):
                p, q = corners[k, 0] - centres[b, d], corners[k, 1] - HALF
                depth = 1.0 + w[4] * p + w[5] * q
                x = w[6] + (w[0] * p + w[1] * q) / depth
                y = w[7] + (w[2] * p + w[3] * q) / depth
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
            factor, shift = fit(x0, x1, w[6], edges[0, b], edges[1, b])
            w[0], w[1], w[6] = w[0] * factor, w[1] * factor, w[6] + shift
            factor, shift = fit(y0, y1, w[7], 0.0, float(FRAME))
            w[2], w[3], w[7] = w[2] * factor, w[3] * factor, w[7] + shift
