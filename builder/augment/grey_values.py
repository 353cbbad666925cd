"""Effects on single grey values: contrast curve, inversion to black on white, noise, dropout."""

from __future__ import annotations

import math

import numpy as np

from builder.augment.augmentation import Draws, rescale, round_half_up
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8, u32
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

MEAN = 30
"""Mean of the sum of four numbers from 0 to 15, whose distribution is close to a Gaussian."""

DEVIATION = math.sqrt(4 * (16**2 - 1) / 12)
"""Standard deviation of that sum."""


def draw_contrast(draws: Draws, strength: float) -> Ints:
    """Return (B, 1): the bend of the curve, uniform in [-strength, strength], in 1/65536/255."""
    return round_half_up(draws.per_strip() * (strength * 65536 / 255))


@jit
def bend_curve(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Move grey value v, as a share t of white, to t + bend * t * (1 - t)."""
    for b in range(len(images)):
        pixels, bend = images[b].reshape(-1), i32(numbers[b, 0])
        for i in range(len(pixels)):
            v = i32(pixels[i])
            pixels[i] = u8(v + (i32(v * (255 - v) * bend + 32768) >> 16))


def draw_invert(draws: Draws, share: float) -> Ints:
    """Return (B, 1): 255 for a share of the samples, else 0."""
    inverted = rescale(draws.per_strip(), 1.0) < share
    return np.where(inverted, 255, 0)[:, None]


@jit
def invert(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Turn the images whose number is 255 into their negative."""
    for b in range(len(images)):
        pixels, bits = images[b].reshape(-1), u8(numbers[b, 0])
        for i in range(len(pixels)):
            pixels[i] ^= bits


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
