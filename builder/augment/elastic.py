"""Elastic deformation: every point of the frame displaced by smooth noise."""

from __future__ import annotations

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.warp import Warp


def apply(warp: Warp, draws: Draws, rms: float, correlation: float) -> None:
    """Set the strength and correlation length, px, and the key of each digit's noise."""
    warp.elastic = rms, correlation
    warp.keys[:] = draws.digit_words()


ELASTIC = Geometric(
    Range(
        name="elastic",
        flag="PX",
        unit="px",
        help="displace points smoothly, by PX pixels (root mean square)",
        most=1.5,
        presets={"light": 0.2, "standard": 0.4, "strong": 1.0},
    ),
    Range(
        name="elastic_correlation",
        flag="PX",
        unit="px",
        help="correlation length of that: the sigma of the Gaussian that smooths it",
        least=3.0,
        most=10.0,
        default=5.0,
    ),
    apply=apply,
)
