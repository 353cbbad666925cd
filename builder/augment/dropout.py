"""Dropout: single pixels lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Effect, Range, up_to
from builder.common.constants import Ints
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

u32, u8 = np.uint32, np.uint8


def numbers(draw: Draw, share: float) -> Ints:
    """Return (B, 3): a share uniform in [0, share] in 1/65536; a key's two words."""
    return draw.keyed(up_to(share, draw.per_strip()) * 65536)


@jit
def change(images: Any, numbers: Any, scratch: Any) -> None:
    """Set that share of the pixels to 0; a hash serves two of them, half an image apart."""
    for b in range(len(images)):
        pixels = images[b].reshape(-1)
        half = len(pixels) // 2
        first, second = pixels[:half], pixels[half:]
        lost, key, other = u32(numbers[b, 0]), u32(numbers[b, 1]), u32(numbers[b, 2])
        for i in range(half):
            bits = hash_pixel(u32(i), key, other)
            first[i] *= u8((bits & u32(65535)) >= lost)
            second[i] *= u8((bits >> u32(16)) >= lost)


DROPOUT = Effect(
    ranges=(
        Range(
            name="dropout",
            flag="S",
            unit="share",
            help="set up to a share S of the pixels to 0",
            most=0.5,
            presets={"strong": 0.02},
        ),
    ),
    numbers=numbers,
    change=change,
)
