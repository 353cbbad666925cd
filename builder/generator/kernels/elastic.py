"""Elastic deformation: a smooth random displacement of every point of a glyph's frame.

White noise on a lattice of 16 x 16 points is smoothed by the binomial weights 1 4 6 4 1 along
both axes, and read between the 12 x 12 points that are left by bilinear interpolation. The
weights have a variance of one lattice step squared and the interpolation adds a sixth, so
this is noise smoothed by a Gaussian (Simard, Steinkraus and Platt, "Best Practices for
Convolutional Neural Networks", ICDAR 2003) whose sigma is `SIGMA` steps, for all that 28 px
can tell. The noise is drawn here, sixteen small numbers from a word, and never stored.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from builder.common.jit import jit
from builder.common.rng_kernels import GOLDEN, mix

i16, i32, u32, u64 = np.int16, np.int32, np.uint32, np.uint64

NOISE = 16
"""Points of the noise along an axis."""

POINTS = NOISE - 4
"""Points of the smoothed noise along an axis."""

SIGMA = math.sqrt(1 + 1 / 6)
"""Sigma of the smoothing as a whole, in steps of the lattice."""

RMS = math.sqrt((16**2 - 1) / 3) * 70 * (2 / 3 + 0.8 / 3)
"""Root mean square of the smoothed noise, over all places between its points.

An odd number from -15 to 15 has a variance of (16**2 - 1) / 3. The weights of an axis have a
sum of squares of 70; neighbours correlate by 56/70 = 0.8, so that halfway values are smaller.
"""

MOST = 15 * 256
"""The largest value that smoothed noise can have."""

UNIT = 1024
"""A displacement is a multiple of 1/1024 px."""

REACH = i32(32 * UNIT)
"""As far from the frame's centre displacements differ, 1/1024 px: no ink lies further out."""


def scale_of(rms: float) -> int:
    """Return the factor from smoothed noise to 1/1024 px, in 1/65536, for an rms in px."""
    return math.floor(rms * UNIT / RMS * 65536.0 + 0.5)


def steps_of(correlation: float) -> int:
    """Return how many lattice steps a pixel is, in 1/65536, for a correlation length in px."""
    return math.floor(SIGMA / correlation * 65536.0 + 0.5)


@jit
def draw_noise(key: Any, noise: Any) -> None:
    """Fill noise (512,) int16 with odd numbers from -15 to 15: sixteen from each of 32 words.

    The words are those of SplitMix64 started at `key`.
    """
    for i in range(32):
        x = mix(u64(key + u64(i + 1) * u64(GOLDEN)))
        for part in range(16):
            noise[32 * part + i] = i16(i16((x >> u64(4 * part)) & u64(15)) * 2 - 15)


@jit
def smooth(noise: Any, scale: Any, halfway: Any, field: Any) -> Any:
    """Fill field (256,) uint32 from noise (512,); return the largest displacement, 1/1024 px.

    `noise` is 16 x 16 points for x, then for y. `field` holds the 12 x 12 smoothed ones in rows of
    16, x in the low and y in the high half of a word, 1/1024 px. The last four of a row
    have no meaning, and are there for the sake of flat loops.
    """
    a, b, c, d, e = noise, noise[NOISE:], noise[2 * NOISE :], noise[3 * NOISE :], noise[4 * NOISE :]
    for i in range(512 - 4 * NOISE):
        halfway[i] = i16(i16(a[i] + e[i]) + i16(4 * i16(b[i] + d[i])) + i16(6 * c[i]))
    a, b, c, d, e = halfway, halfway[1:], halfway[2:], halfway[3:], halfway[4:]
    for i in range(508 - 4 * NOISE):
        noise[i] = i16(i16(a[i] + e[i]) + i16(4 * i16(b[i] + d[i])) + i16(6 * c[i]))
    largest, down = i32(0), noise[256:]
    for i in range(POINTS * NOISE):
        x = i32(i32(noise[i] * i32(scale)) + 32768) >> 16
        y = i32(i32(down[i] * i32(scale)) + 32768) >> 16
        largest = max(largest, max(i32(abs(x)), i32(abs(y))))
        field[i] = u32(u32(x) & u32(65535)) | u32(u32(y) << u32(16))
    return largest


@jit
def displace(nodes: Any, count: Any, centre: Any, steps: Any, field: Any, scratch: Any) -> None:
    """Add to u and v, the first rows of nodes (4, N) int32, 1/65536 px, their displacement.

    `centre` is (u, v) of the frame's centre; a pixel is `steps` / 65536 steps of the lattice.
    Beyond its last points the displacement goes on as there. `scratch` (5, N) uint32.
    """
    u, v, place = nodes[0], nodes[1], scratch[0]
    most = i32((POINTS - 1) << 16) - i32(1)
    middle = i32((POINTS - 1) << 15)
    for n in range(count):
        x = min(max(i32(u[n] - centre[0]) >> 6, -REACH), REACH)
        y = min(max(i32(v[n] - centre[1]) >> 6, -REACH), REACH)
        x, y = i32(i32(x) * i32(steps)) >> 10, i32(i32(y) * i32(steps)) >> 10
        x = min(max(i32(x + middle), i32(0)), most)
        y = min(max(i32(y + middle), i32(0)), most)
        fractions = u32(((x >> 6) & 1023) << 8) | u32(((y >> 6) & 1023) << 18)
        place[n] = u32(i32((y >> 16) * NOISE) + (x >> 16)) | fractions
    pick(field, place, count, scratch)
    a, b, c, d = scratch[1], scratch[2], scratch[3], scratch[4]
    for n in range(count):
        fx, fy = i32((place[n] >> u32(8)) & u32(1023)), i32(place[n] >> u32(18))
        gx, gy = i32(1024 - fx), i32(1024 - fy)
        upper = i32(low(a[n]) * gx + low(b[n]) * fx) >> 4
        lower = i32(low(c[n]) * gx + low(d[n]) * fx) >> 4
        u[n] += i32(i32(upper) * gy + i32(lower) * fy) >> 10
        upper = i32(high(a[n]) * gx + high(b[n]) * fx) >> 4
        lower = i32(high(c[n]) * gx + high(d[n]) * fx) >> 4
        v[n] += i32(i32(upper) * gy + i32(lower) * fy) >> 10


@jit
def pick(field: Any, place: Any, count: Any, picked: Any) -> None:
    """Look up the four points around each place, in rows 1 to 4 of `picked`."""
    right, below, opposite = field[1:], field[NOISE:], field[NOISE + 1 :]
    a, b, c, d = picked[1], picked[2], picked[3], picked[4]
    for n in range(count):
        at = place[n] & u32(255)
        a[n], b[n], c[n], d[n] = field[at], right[at], below[at], opposite[at]


@jit
def low(word: Any) -> Any:
    """Return the signed low half of a word."""
    return i32(u32(word << u32(16))) >> 16


@jit
def high(word: Any) -> Any:
    """Return the signed high half of a word."""
    return i32(word) >> 16
