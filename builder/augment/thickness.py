"""Stroke thickness: thinner or thicker, as written with another pen."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draw, Geometric, Range, up_to
from builder.augment.warp import Warp
from builder.streams import Floats, Ints

MORE_INK = 1.07
"""Ink grows by this much more than twice the growth of an edge by the width: strokes have ends."""

THIN = (3.1188, -6.2381, 7.2507)
"""Coefficients, by powers of a share s, of how far edges move inward, in half widths, so that a
glyph has the share s less ink. Least squares over 600 glyphs of the train split, s to 0.5."""

FADE = 0.68
"""What a stroke's brightest line loses as its edges move inward by half the width."""


def growth_of(thickness: Floats, widths: Floats) -> tuple[Ints, Ints]:
    """Return how far edges move outward, 1/256 px, and what brings back the contrast, 1/64.

    `thickness` is the share by which strokes of `widths` px get wider. Calibrated so that the
    ink of a glyph, its strokes' width times their length, changes by that share on average.
    """
    s = np.maximum(-thickness, 0.0)
    inward = ((THIN[2] * s + THIN[1]) * s + THIN[0]) * s
    outward = np.maximum(thickness, 0.0) / MORE_INK
    growth = np.floor((outward - inward) * widths * 128.0 + 0.5)
    gain = np.floor(64.0 / (1.0 - FADE * inward) + 0.5)
    return growth.astype(np.int64), gain.astype(np.int64)


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
            presets={"light": 0.1, "standard": 0.2, "strong": 0.4},
        ),
        Range(
            name="thick",
            flag="S",
            unit="share",
            help="make strokes thicker by up to a share S of their width",
            most=1.0,
            presets={"light": 0.15, "standard": 0.3, "strong": 0.6},
        ),
    ),
    apply=apply,
)
