"""Contrast curve: half-tones lighter or darker, black and white as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Effect, Range, rounded
from builder.common.constants import Ints
from builder.common.jit import jit

i32, u8 = np.int32, np.uint8


def numbers(draw: Draw, strength: float) -> Ints:
    """Return (B, 1): the bend of the curve, uniform in [-strength, strength], in 1/65536/255."""
    return rounded(draw.per_strip() * (strength * 65536 / 255))


@jit
def change(images: Any, numbers: Any, scratch: Any) -> None:
    """Move grey value v, as a share t of white, to t + bend * t * (1 - t)."""
    for b in range(len(images)):
        pixels, bend = images[b].reshape(-1), i32(numbers[b, 0])
        for i in range(len(pixels)):
            v = i32(pixels[i])
            pixels[i] = u8(v + (i32(v * (255 - v) * bend + 32768) >> 16))


CONTRAST = Effect(
    ranges=(
        Range(
            name="contrast",
            flag="S",
            unit="share",
            help="bend the curve of grey values, half-tones up to S / 4 of white lighter or darker",
            most=1.0,
            presets={"strong": 0.6},
        ),
    ),
    numbers=numbers,
    change=change,
)
