"""Perspective: one side of a digit nearer than the other."""

from __future__ import annotations

from builder.augment.augmentation import Draw, Geometric, Range
from builder.augment.warp import Warp
from builder.common.constants import HALF

MOST = 0.2
"""Beyond this the horizon would come near a displaced frame: up to here its points are at least
0.14 of the distance of the middle, however far elastic deformation takes them."""


def apply(warp: Warp, draw: Draw, share: float) -> None:
    """Tilt the frame about both axes: an edge's distance is uniform in [1 - share, 1 + share]."""
    warp.perspective[0] += share / HALF * draw.per_digit(0)
    warp.perspective[1] += share / HALF * draw.per_digit(1)


PERSPECTIVE = Geometric(
    ranges=(
        Range(
            name="perspective",
            flag="S",
            unit="share",
            help="bring an edge of the frame up to a share S nearer, its opposite farther",
            most=MOST,
            presets={"light": 0.01, "standard": 0.02, "strong": 0.08},
        ),
    ),
    apply=apply,
)
