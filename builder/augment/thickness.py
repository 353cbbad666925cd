"""Stroke thickness: thinner or thicker, as written with another pen."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Geometric, Range, up_to
from builder.augment.warp import Warp
from builder.common.constants import Floats, Ints
from builder.common.jit import jit

i64 = np.int64

MORE_INK = 1.07
"""Ink grows by this much more than twice the growth of an edge by the width: strokes have ends."""

THIN = (3.1188, -6.2381, 7.2507)
"""Coefficients, by powers of a share s, of how far edges move inward, in half widths, so that a
glyph has the share s less ink. Least squares over 600 glyphs of the train split, s to 0.5."""

FADE = 0.68
"""What a stroke's brightest line loses as its edges move inward by half the width."""


def growth_of(thickness: Floats, widths: Floats) -> tuple[Ints, Ints]:
    """Return how far edges move outward, 1/256 px, and what brings back the contrast, 1/64.

    `thickness` is the share by which strokes of `widths` px get wider, both of one shape.
    Calibrated so that the ink of a glyph, its strokes' width times their length, changes by that
    share on average.
    """
    growth, gain = np.empty((2, *thickness.shape), dtype=np.int64)
    grow_all(*(part.reshape(-1) for part in (thickness, widths, growth, gain)))
    return growth, gain


@jit
def grow_all(thickness: Any, widths: Any, growth: Any, gain: Any) -> None:
    """Set growth and gain (N,) int64 from thickness and widths (N,), as `growth_of` says."""
    for n in range(len(thickness)):
        s = max(-thickness[n], 0.0)
        inward = ((THIN[2] * s + THIN[1]) * s + THIN[0]) * s
        outward = max(thickness[n], 0.0) / MORE_INK
        growth[n] = i64(np.floor((outward - inward) * widths[n] * 128.0 + 0.5))
        gain[n] = i64(np.floor(64.0 / (1.0 - FADE * inward) + 0.5))


def apply(warp: Warp, draw: Draw, thin: float, thick: float) -> None:
    """Change the width of strokes by a uniform share in [-thin, thick]."""
    warp.thickness += up_to(thin + thick, draw.styled()) - thin


THICKNESS = Geometric(
    ranges=(
        Range(
            name="thin",
            flag="S",
            unit="share",
            help="make strokes thinner by up to a share S of their width",
            most=0.5,
            presets={"strong": 0.4},
        ),
        Range(
            name="thick",
            flag="S",
            unit="share",
            help="make strokes thicker by up to a share S of their width",
            most=1.0,
            presets={"strong": 0.6},
        ),
    ),
    apply=apply,
)
