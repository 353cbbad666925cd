"""Backgrounds: paper that is not black: evenly grey, shaded from one side, or grained."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws, rescale, round_half_up
from builder.augment.warp import sine_cosine
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8, u32
from builder.common.jit import jit
from builder.common.rng_kernels import hash_pixel

GRAIN = 8
"""Distance between the random points of a texture, px."""


def draw_flat(draws: Draws, level: float) -> Ints:
    """Return (B, 3): a grey level uniform in [0, level], in 1/256, and a slope of 0."""
    grey = rescale(draws.per_strip(), level) * 256
    return round_half_up(grey, 0.0 * grey, 0.0 * grey)


def draw_gradient(draws: Draws, level: float) -> Ints:
    """Return (B, 3): the level in the middle, its rise to the right and lower edge, in 1/256.

    The level runs from 0 at one end to uniform in [0, level] at the other, in a uniform direction.
    """
    half = rescale(draws.per_strip(0), level) * 128
    sine, cosine = sine_cosine(180.0 * draws.per_strip(1))
    reach = np.abs(sine) + np.abs(cosine)
    return round_half_up(half, half * cosine / reach, half * sine / reach)


@jit
def shade(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Lay ink on paper whose grey is a plane: value + (white - value) * grey."""
    height, width = images.shape[1], images.shape[2]
    for b in range(len(images)):
        middle, across, down = numbers[b, 0], numbers[b, 1], numbers[b, 2]
        for y in range(height):
            row = images[b, y]
            start = middle + down * (2 * y + 1 - height) // height
            begin = i32((start - across) * 256 + across * 256 // width)
            step = i32(across * 512 // width)
            for x in range(width):
                v, grey = i32(row[x]), min(max(i32(begin + step * i32(x)) >> 8, i32(0)), i32(65280))
                row[x] = u8(v + (i32(i32((255 - v) * (grey >> 4)) * 257 + (1 << 19)) >> 20))


def draw_texture(draws: Draws, level: float) -> Ints:
    """Return (B, 3): the largest grey level, uniform in [0, level], and a key of pixels."""
    return draws.add_key(rescale(draws.per_strip(), level))


@jit
def grain(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Lay ink on paper whose grey is bilinear between random points every 8 px.

    `scratch` holds the greys of a row of points and of the next, stretched to every pixel.
    """
    height, width = images.shape[1], images.shape[2]
    points = width // GRAIN + 2
    above, below = scratch[0], scratch[1]
    for b in range(len(images)):
        level, key, other = i32(numbers[b, 0]), u32(numbers[b, 1]), u32(numbers[b, 2])
        for y in range(height):
            if y % GRAIN == 0:
                for line, out in ((y // GRAIN, above), (y // GRAIN + 1, below)):
                    for x in range(width):
                        place = u32(line * points + x // GRAIN)
                        a = i32(hash_pixel(place, key, other) >> u32(24))
                        c = i32(hash_pixel(u32(place + u32(1)), key, other) >> u32(24))
                        out[x] = i32(a * (GRAIN - x % GRAIN) + c * (x % GRAIN))
            row, near, far = images[b, y], i32(GRAIN - y % GRAIN), i32(y % GRAIN)
            for x in range(width):
                v, grey = i32(row[x]), i32(above[x] * near + below[x] * far + 32) >> 6
                product = i32(i32((255 - v) * grey) * level)  # 255**3 at most
                row[x] = u8(v + (i32(product * 129 + (1 << 22)) >> 23))
