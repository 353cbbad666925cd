"""Noise: every pixel lighter or darker by a random amount of its own, as of a sensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Effect, Range, up_to
from builder.common.constants import Ints
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

i32, u32, u8 = np.int32, np.uint32, np.uint8

MEAN = 30
"""Of the sum of four numbers from 0 to 15, whose distribution is close to a Gaussian."""

DEVIATION = math.sqrt(4 * (16**2 - 1) / 12)


def numbers(draw: Draw, deviation: float) -> Ints:
    """Return (B, 3): a deviation uniform in [0, deviation], 1/256/DEVIATION; a key's words."""
    return draw.keyed(up_to(deviation, draw.per_strip()) * (256 / DEVIATION))


@jit
def change(images: Any, numbers: Any, scratch: Any) -> None:
    """Add noise to all pixels; a hash serves two of them, half an image apart."""
    for b in range(len(images)):
        pixels = images[b].reshape(-1)
        half = len(pixels) // 2
        first, second = pixels[:half], pixels[half:]
        strength, key, other = i32(numbers[b, 0]), u32(numbers[b, 1]), u32(numbers[b, 2])
        for i in range(half):
            bits = hash_pixel(u32(i), key, other)
            pairs = u32((bits & u32(0x0F0F0F0F)) + ((bits >> u32(4)) & u32(0x0F0F0F0F)))
            fours = u32((pairs & u32(0x00FF00FF)) + ((pairs >> u32(8)) & u32(0x00FF00FF)))
            a = i32(i32(fours & u32(255)) - MEAN) * strength + 128
            c = i32(i32(fours >> u32(16)) - MEAN) * strength + 128
            first[i] = u8(min(max(i32(i32(first[i]) + (i32(a) >> 8)), i32(0)), i32(255)))
            second[i] = u8(min(max(i32(i32(second[i]) + (i32(c) >> 8)), i32(0)), i32(255)))


NOISE = Effect(
    ranges=(
        Range(
            name="noise",
            flag="SD",
            unit="levels",
            help="add Gaussian-like noise of a deviation up to SD grey levels",
            most=128.0,
            presets={"strong": 12.0},
        ),
    ),
    numbers=numbers,
    change=change,
)
