"""Effects on grey values: contrast curve, blur, inversion to black on white, noise, dropout."""

from __future__ import annotations

import math

import numpy as np

from builder.augment.augmentation import Draws, rescale, round_half_up
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8, u32
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

WEIGHT_SUM = 4096
"""The sum of the five weights of a line of a blur."""

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


def draw_blur(draws: Draws, sigma: float) -> Ints:
    """Return (B, 3): weights at distance 0, 1 and 2, for a sigma uniform in [0, sigma].

    They are (s, 1 - 2 s, s) convolved with itself, whose variance is 4 s, so s is a quarter of
    sigma squared. For a sigma of 1 they are the binomial 1 4 6 4 1.
    """
    s = rescale(draws.per_strip(), sigma) ** 2 / 4
    near, far = 2 * s * (1 - 2 * s), s * s
    weights = round_half_up(s, WEIGHT_SUM * near, WEIGHT_SUM * far)
    weights[:, 0] = WEIGHT_SUM - 2 * weights[:, 1] - 2 * weights[:, 2]
    return weights


@jit
def smooth(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Smooth rows, then columns, with black beyond the edges, and round once at the end.

    `scratch` holds two lines of black, the smoothed rows, two lines of black, and one row between
    two pixels of black at either side.
    """
    height, width = images.shape[1], images.shape[2]
    a, line = scratch[height + 4], scratch[height + 4, 2:]
    b, d, e = a[1:], a[3:], a[4:]
    for n in range(len(images)):
        here, near, far = i32(numbers[n, 0]), i32(numbers[n, 1]), i32(numbers[n, 2])
        for y in range(height):
            row, out = images[n, y], scratch[y + 2]
            for x in range(width):
                line[x] = i32(row[x])
            for x in range(width):
                total = i32(i32(a[x] + e[x]) * far + i32(b[x] + d[x]) * near + line[x] * here)
                out[x] = i32(total) >> 4
        for y in range(height):
            row = images[n, y]
            p, q, r = scratch[y], scratch[y + 1], scratch[y + 2]
            s, t = scratch[y + 3], scratch[y + 4]
            for x in range(width):
                total = i32(i32(p[x] + t[x]) * far + i32(q[x] + s[x]) * near + r[x] * here)
                row[x] = u8(i32(total + (1 << 19)) >> 20)
