"""Shear: upright strokes slanted, and level ones tilted."""

from __future__ import annotations

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.warp import Warp


def apply_x(warp: Warp, draws: Draws, shear: float) -> None:
    """Slant: shift what lies 1 px above the middle by up to `shear` px to either side."""
    warp.compose(1.0, shear * draws.per_digit_in_style(), 0.0, 1.0)


def apply_y(warp: Warp, draws: Draws, shear: float) -> None:
    """Tilt: shift what lies 1 px to the right of the middle by up to `shear` px up or down."""
    warp.compose(1.0, 0.0, shear * draws.per_digit(), 1.0)


SHEAR = Geometric(
    Range(
        name="shear",
        flag="K",
        unit="px per px",
        help="slant by up to K px to either side for each px of height",
        most=1.0,
        presets={"light": 0.05, "standard": 0.1, "strong": 0.27},
    ),
    apply=apply_x,
)

SHEAR_Y = Geometric(
    Range(
        name="shear_y",
        flag="K",
        unit="px per px",
        help="tilt by up to K px up or down for each px of width",
        most=1.0,
        presets={"light": 0.015, "standard": 0.03, "strong": 0.1},
    ),
    apply=apply_y,
)
