"""Blur: as if out of focus."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Effect, Range, rounded, up_to
from builder.common.constants import Ints
from builder.common.jit import jit

i32, u8 = np.int32, np.uint8

ONE = 4096
"""The sum of the five weights."""


def numbers(draw: Draw, sigma: float) -> Ints:
    """Return (B, 3): weights at distance 0, 1 and 2, of ONE, for a sigma uniform in [0, sigma].

    They are those of (s, 1 - 2 s, s) twice over, whose variance is 4 s, so s is a quarter
    of sigma squared. At 1 they are the binomial 1 4 6 4 1.
    """
    s = up_to(sigma, draw.per_strip()) ** 2 / 4
    near, far = 2 * s * (1 - 2 * s), s * s
    weights = rounded(s, ONE * near, ONE * far)
    weights[:, 0] = ONE - 2 * weights[:, 1] - 2 * weights[:, 2]
    return weights


@jit
def change(images: Any, numbers: Any, scratch: Any) -> None:
    """Smooth rows, then columns; black lies beyond the edges, and one rounding is at the end.

    `scratch`: two lines of black, the smoothed rows, two lines of black, and one row between
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
            p, q, r, s, t = (
                scratch[y],
                scratch[y + 1],
                scratch[y + 2],
                scratch[y + 3],
                scratch[y + 4],
            )
            for x in range(width):
                total = i32(i32(p[x] + t[x]) * far + i32(q[x] + s[x]) * near + r[x] * here)
                row[x] = u8(i32(total + (1 << 19)) >> 20)


BLUR = Effect(
    ranges=(
        Range(
            name="blur",
            flag="PX",
            unit="px",
            help="blur by a Gaussian of sigma up to PX pixels",
            most=1.0,
            presets={"strong": 0.8},
        ),
    ),
    numbers=numbers,
    change=change,
    lines=28 + 5,
)
