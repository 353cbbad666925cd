"""Rotation about the middle of a digit's extent."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draw, Geometric, Range
from builder.augment.trigonometry import sine_cosine
from builder.augment.warp import Warp

ALIKE = (1, 7)
"""Digits that turn half as far: a turned 1 reads as a 7, and a 7 as a 1."""


def apply(warp: Warp, draw: Draw, degrees: float) -> None:
    """Rotate by a uniform angle in [-degrees, degrees], clockwise if positive; half for 1 and 7."""
    alike = (draw.labels == ALIKE[0]) | (draw.labels == ALIKE[1])
    most = np.where(alike, degrees / 2, degrees)
    sine, cosine = sine_cosine(most * draw.per_digit())
    warp.compose(cosine, -sine, sine, cosine)


ROTATE = Geometric(
    ranges=(
        Range(
            name="rotate",
            flag="DEG",
            unit="degrees",
            help="rotate by up to DEG degrees to either side, half of it for 1 and 7",
            most=180.0,
            presets={"light": 2.5, "standard": 5.0, "strong": 15.0},
        ),
    ),
    apply=apply,
)
