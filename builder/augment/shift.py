"""Shift: each digit a little to the side, up or down, by parts of a pixel."""

from __future__ import annotations

from builder.augment.augmentation import Draw, Geometric, Range
from builder.augment.warp import Warp


def apply(warp: Warp, draw: Draw, pixels: float) -> None:
    """Shift x and y by independent uniform amounts in [-pixels, pixels] px."""
    warp.shift[0] += pixels * draw.per_digit(0)
    warp.shift[1] += pixels * draw.per_digit(1)


SHIFT = Geometric(
    ranges=(
        Range(
            name="shift",
            flag="PX",
            unit="px",
            help="shift right or left, down or up, by up to PX pixels",
            most=8.0,
            presets={"light": 0.25, "standard": 0.5, "strong": 2.0},
        ),
    ),
    apply=apply,
)
