"""Scale: each digit wider or narrower, higher or lower, about the middle of its extent."""

from __future__ import annotations

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.warp import Warp


def apply(warp: Warp, draws: Draws, scale: float) -> None:
    """Scale x and y by independent uniform factors in [1 - scale, 1 + scale]."""
    warp.linear[0:2] *= 1.0 + scale * draws.per_digit_in_style(0)
    warp.linear[2:4] *= 1.0 + scale * draws.per_digit_in_style(1)


SCALE = Geometric(
    Range(
        name="scale",
        flag="S",
        unit="share",
        help="scale x and y by independent factors in [1 - S, 1 + S]",
        most=0.5,
        presets={"light": 0.04, "standard": 0.08, "strong": 0.2},
    ),
    apply=apply,
)
