"""Rotation about the middle of a digit's extent."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.trigonometry import sine_cosine
from builder.augment.warp import Warp

CONFUSABLE = (1, 7)
"""Digits that rotate half as far: a rotated 1 reads as a 7, and a 7 as a 1."""


def apply(warp: Warp, draws: Draws, degrees: float) -> None:
    """Rotate by a uniform angle in [-degrees, degrees], clockwise if positive; half for 1 and 7."""
    confusable = (draws.labels == CONFUSABLE[0]) | (draws.labels == CONFUSABLE[1])
    most = np.where(confusable, degrees / 2, degrees)
    sine, cosine = sine_cosine(most * draws.per_digit())
    warp.compose(cosine, -sine, sine, cosine)


ROTATE = Geometric(
    Range(
        name="rotate",
        flag="DEG",
        unit="degrees",
        help="rotate by up to DEG degrees to either side, half of it for 1 and 7",
        most=180.0,
        presets={"light": 2.5, "standard": 5.0, "strong": 15.0},
    ),
    apply=apply,
)
