"""Stroke thickness: thinner or thicker, as written with another pen."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws, rescale
from builder.augment.warp import Warp
from builder.common.constants import Floats, Ints, i64
from builder.common.jit import jit

MORE_INK = 1.07
"""Ink grows this much faster than the width of strokes does: their ends grow, too."""

THIN = (3.1188, -6.2381, 7.2507)
"""Coefficients, by powers of a share s, of how far edges move inward, in half widths, so that a
glyph has the share s less ink. Fitted by least squares over 600 glyphs of the train split, s to
0.5."""

FADE = 0.68
"""The share of its brightness that the middle of a stroke loses as its edges move inward by half
the width."""


def compute_growth(thickness: Floats, widths: Floats) -> tuple[Ints, Ints]:
    """Return what the kernel does to glyphs to change the width of their strokes.

    It is calibrated so that the ink of a glyph, its strokes' width times their length, changes
    by the share `thickness` on average.

    Args:
        thickness: The share by which strokes get wider, negative for thinner, of any shape.
        widths: The width of the strokes, px, of the same shape.

    Returns:
        How far edges move outward, in 1/256 px, and the factor that restores contrast, in 1/64.
    """
    growth, gain = np.empty((2, *thickness.shape), dtype=np.int64)
    fill_growth(thickness.reshape(-1), widths.reshape(-1), growth.reshape(-1), gain.reshape(-1))
    return growth, gain


@jit
def fill_growth(thickness: Floats, widths: Floats, growth: Ints, gain: Ints) -> None:
    """Set growth and gain (N,) int64 from thickness and widths (N,), as `compute_growth` says."""
    for n in range(len(thickness)):
        s = max(-thickness[n], 0.0)
        inward = ((THIN[2] * s + THIN[1]) * s + THIN[0]) * s
        outward = max(thickness[n], 0.0) / MORE_INK
        growth[n] = i64(np.floor((outward - inward) * widths[n] * 128.0 + 0.5))
        gain[n] = i64(np.floor(64.0 / (1.0 - FADE * inward) + 0.5))


def change(warp: Warp, draws: Draws, thin: float, thick: float) -> None:
    """Change the width of strokes by a uniform share in [-thin, thick]."""
    warp.thickness += rescale(draws.per_digit_in_style(), thin + thick) - thin
