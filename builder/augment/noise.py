"""Noise, as of a sensor, which changes every pixel; dropout, which loses single pixels."""

from __future__ import annotations

import math

from builder.augment.augmentation import Draws, Effect, Range, rescale
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8, u32
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

MEAN = 30
"""Mean of the sum of four numbers from 0 to 15, whose distribution is close to a Gaussian."""

DEVIATION = math.sqrt(4 * (16**2 - 1) / 12)
"""Standard deviation of that sum."""


def draw_noise(draws: Draws, deviation: float) -> Ints:
    """Return (B, 3): a deviation uniform in [0, deviation], in 1/256/DEVIATION, and a key."""
    return draws.add_key(rescale(draws.per_strip(), deviation) * (256 / DEVIATION))


@jit
def add_noise(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
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
    Range(
        name="noise",
        flag="SD",
        unit="levels",
        help="add Gaussian-like noise of a deviation up to SD grey levels",
        most=128.0,
        presets={"strong": 12.0},
    ),
    draw=draw_noise,
    change=add_noise,
)


def draw_dropout(draws: Draws, share: float) -> Ints:
    """Return (B, 3): a share uniform in [0, share], in 1/65536, and a key."""
    return draws.add_key(rescale(draws.per_strip(), share) * 65536)


@jit
def drop_pixels(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
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
    Range(
        name="dropout",
        flag="S",
        unit="share",
        help="set up to a share S of the pixels to 0",
        most=0.5,
        presets={"strong": 0.02},
    ),
    draw=draw_dropout,
    change=drop_pixels,
)
