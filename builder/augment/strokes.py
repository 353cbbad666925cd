"""Occluding strokes: short lines of any grey over the digits, as if crossed out or rubbed away."""

from __future__ import annotations

import math

import numpy as np

from builder.augment.augmentation import Draws, rescale, round_half_up
from builder.augment.warp import sine_cosine
from builder.common.constants import FRAME, Int32s, Ints, UInt8s, i32, u8
from builder.common.jit import jit

LENGTHS = 10.0, 40.0
"""Shortest and longest stroke, px."""

NUMBERS_PER_STROKE = 7

DRAWS_PER_STROKE = 6


def draw(draws: Draws, most: float, width: float) -> Ints:
    """Return (B, 7 n), n the most strokes there can be; those past a sample's count have width 0.

    The count is uniform in [0, most + 1), rounded down: with 1.5 a fifth of the samples have 2
    strokes. The numbers of a stroke are its x in 1/65536 of the image's width, its y in 1/256 px,
    cosine and sine of its direction in 1/16384, half its length and half its width in 1/256 px,
    and its grey value.
    """
    count = np.floor(rescale(draws.per_strip(0), most + 1.0))
    columns = []
    for stroke in range(math.ceil(most)):
        x, y, turn, length, broad, grey = (
            draws.per_strip(1 + DRAWS_PER_STROKE * stroke + n) for n in range(DRAWS_PER_STROKE)
        )
        sine, cosine = sine_cosine(180.0 * turn)
        columns.append(
            round_half_up(
                rescale(x, 65536.0),
                rescale(y, FRAME * 256.0),
                16384.0 * cosine,
                16384.0 * sine,
                128.0 * (LENGTHS[0] + rescale(length, LENGTHS[1] - LENGTHS[0])),
                128.0 * (1.0 + rescale(broad, width - 1.0)) * (stroke < count),
                rescale(grey, 255.0),
            )
        )
    return np.concatenate(columns, axis=1)


@jit
def lay(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Lay every stroke over the image, its edges smooth over a pixel."""
    height, width = images.shape[1], images.shape[2]
    for b in range(len(images)):
        for first in range(0, numbers.shape[1], NUMBERS_PER_STROKE):
            stroke = numbers[b, first : first + NUMBERS_PER_STROKE]
            middle_x, middle_y = (stroke[0] * width + 128) >> 8, stroke[1]
            cosine, sine, long, broad, grey = stroke[2], stroke[3], stroke[4], stroke[5], stroke[6]
            if broad == 0:
                continue
            reach = (long + broad >> 8) + 2
            left = min(max((middle_x >> 8) - reach, 0), width)
            right = min(max((middle_x >> 8) + reach, 0), width)
            for y in range(height):
                row = images[b, y]
                dy = i32(256 * y + 128 - middle_y)
                for x in range(left, right):
                    dx = i32(256 * x + 128 - middle_x)
                    along = i32(abs(i32(dx * i32(cosine) + dy * i32(sine))) + 8192) >> 14
                    across = i32(abs(i32(dy * i32(cosine) - dx * i32(sine))) + 8192) >> 14
                    inside = min(i32(long) - along, i32(broad) - across)
                    cover = min(max(i32(inside + 128), i32(0)), i32(256))
                    v = i32(row[x])
                    row[x] = u8(v + (i32((i32(grey) - v) * cover + 128) >> 8))
