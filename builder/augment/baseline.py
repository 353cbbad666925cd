"""Baseline jitter: the digits of a strip do not stand on one level line."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draw, Geometric, Range
from builder.augment.warp import Warp
from builder.streams import Floats


def apply(warp: Warp, draw: Draw, pixels: float) -> None:
    """Raise or lower each digit by up to `pixels` px.

    Half of that is a line of all digits that climbs or falls, between uniform heights of the
    strip's first and last; half is each digit's own.
    """
    begin, end = draw.per_strip(0)[:, None], draw.per_strip(1)[:, None]
    places = along(draw.labels.shape[1], (draw.labels >= 0).sum(axis=1))
    line = begin + (end - begin) * places
    warp.shift[1] += pixels / 2 * (line + draw.per_digit())


def along(digits: int, lengths: np.ndarray) -> Floats:
    """Return how far along its strip each of a sample's digits stands, 0 to 1, (B, digits)."""
    share: Floats = np.arange(digits) / np.maximum(lengths - 1, 1)[:, None]
    return np.minimum(share, 1.0)


BASELINE = Geometric(
    ranges=(
        Range(
            name="baseline",
            flag="PX",
            unit="px",
            help="raise or lower digits by up to PX pixels, along a slope and each by itself",
            most=8.0,
            presets={"light": 0.5, "standard": 1.0, "strong": 1.5},
        ),
    ),
    apply=apply,
)
