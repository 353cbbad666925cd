"""Inversion: black digits on white."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Effect, Range, up_to
from builder.common.constants import Ints
from builder.common.jit import jit


def numbers(draw: Draw, share: float) -> Ints:
    """Return (B, 1): 255 for a share of the samples, else 0."""
    turned = up_to(1.0, draw.per_strip()) < share
    return np.where(turned, 255, 0)[:, None]


@jit
def change(images: Any, numbers: Any, scratch: Any) -> None:
    """Turn the images whose number is 255 into their negative."""
    for b in range(len(images)):
        pixels, turn = images[b].reshape(-1), np.uint8(numbers[b, 0])
        for i in range(len(pixels)):
            pixels[i] ^= turn


INVERT = Effect(
    ranges=(
        Range(
            name="invert",
            flag="P",
            unit="share",
            help="turn a share P of the images into black on white",
            most=1.0,
        ),
    ),
    numbers=numbers,
    change=change,
)
