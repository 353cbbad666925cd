"""Perspective: one side of a digit nearer than the other."""

from __future__ import annotations

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.warp import Warp
from builder.common.constants import HALF

MOST = 0.2
"""The largest share. Up to it every point of a frame, however far elastic deformation displaces it,
is at least 0.14 as far away as the middle; beyond it the horizon comes near the frame."""


def apply(warp: Warp, draws: Draws, share: float) -> None:
    """Tilt the frame about both axes: an edge's distance is uniform in [1 - share, 1 + share]."""
    warp.perspective[0] += share / HALF * draws.per_digit(0)
    warp.perspective[1] += share / HALF * draws.per_digit(1)


PERSPECTIVE = Geometric(
    Range(
        name="perspective",
        flag="S",
        unit="share",
        help="bring an edge of the frame up to a share S nearer, its opposite farther",
        most=MOST,
        presets={"light": 0.01, "standard": 0.02, "strong": 0.08},
    ),
    apply=apply,
)
