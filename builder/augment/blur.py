"""Blur: as if out of focus."""

from __future__ import annotations

from builder.augment.augmentation import Draws, rescale, round_half_up
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8
from builder.common.jit import jit

WEIGHT_SUM = 4096
"""The sum of the five weights of a line."""


def draw(draws: Draws, sigma: float) -> Ints:
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
