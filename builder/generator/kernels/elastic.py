"""Elastic deformation: a smooth random displacement of every point of a glyph's frame.

White noise on a lattice of 16 x 16 points is smoothed by the binomial weights 1 4 6 4 1 along
both axes. Between the 12 x 12 points that are left it is interpolated bilinearly. The weights
have a variance of one lattice step squared, and the interpolation adds a sixth. As far as 28 px
can resolve, this is noise smoothed by a Gaussian whose sigma is `SIGMA` steps (Simard, Steinkraus
and Platt, "Best Practices for Convolutional Neural Networks", ICDAR 2003). The noise is drawn
here, sixteen small numbers from each word, and never stored.
"""

from __future__ import annotations

import math

import numpy as np

from builder.common.constants import HALF, MARGIN, Int16s, UInt32s, i16, i32, u32, u64
from builder.common.jit import jit
from builder.common.rng_kernels import GOLDEN, mix
from builder.generator.kernels.buffers import NOISE, Buffers

POINTS = NOISE - 4
"""Points of the smoothed noise along an axis."""

SIGMA = math.sqrt(1 + 1 / 6)
"""Sigma of the smoothing as a whole, in steps of the lattice."""

RMS = math.sqrt((16**2 - 1) / 3) * 70 * (2 / 3 + 0.8 / 3)
"""Root mean square of the smoothed noise, over all places between its points.

An odd number from -15 to 15 has a variance of (16**2 - 1) / 3. The weights of an axis have a
sum of squares of 70. Neighbours correlate by 56/70 = 0.8, so values between them are smaller.
"""

LARGEST = 15 * 256
"""The largest value of smoothed noise."""

DISPLACEMENT_SCALE = 1024
"""Units of displacement in a pixel."""

REACH = i32(32 * DISPLACEMENT_SCALE)
"""Distance from the frame's centre, 1/1024 px, beyond which displacements stay the same. No ink
lies further out."""


@jit
def noise_scale(rms: float) -> int:
    """Return the factor from smoothed noise to 1/1024 px, in 1/65536, for an rms in px."""
    return math.floor(rms * DISPLACEMENT_SCALE / RMS * 65536.0 + 0.5)


@jit
def largest_displacement(rms: float) -> float:
    """Return the largest displacement, px, of any noise for an rms in px."""
    return noise_scale(rms) * LARGEST / 65536.0 / DISPLACEMENT_SCALE


@jit
def draw_noise(key: np.uint64, noise: Int16s) -> None:
    """Fill noise (512,) with odd numbers from -15 to 15: sixteen from each of 32 words.

    The words are those of SplitMix64 started at `key`.
    """
    for i in range(32):
        x = mix(u64(key + u64(i + 1) * u64(GOLDEN)))
        for part in range(16):
            noise[32 * part + i] = i16(i16((x >> u64(4 * part)) & u64(15)) * 2 - 15)


@jit
def smooth_noise(rms: float, buffers: Buffers) -> float:
    """Fill the field of displacements from noise; return the largest in x or y, px.

    The field holds 12 x 12 points in rows of 16. The last four of a row have no meaning: they
    keep the loops flat.
    """
    noise, halfway, field, scale = buffers.noise, buffers.halfway, buffers.field, noise_scale(rms)
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
    return largest / DISPLACEMENT_SCALE


@jit
def displace(centre: float, correlation: float, count: int, buffers: Buffers) -> None:
    """Add their displacement to u and v of the first nodes, `count` of them.

    `centre` is the x of the frame that the field is centred on, px; its y is 14. `correlation` is
    the correlation length, px. Beyond the field's last points displacements stay the same.
    """
    u, v, places = buffers.nodes[0], buffers.nodes[1], buffers.places
    steps = math.floor(SIGMA / correlation * 65536.0 + 0.5)  # of the lattice in a px, 1/65536
    origin = MARGIN - 0.5
    centre_u, centre_v = i32((centre + origin) * 65536.0), i32((HALF + origin) * 65536.0)
    most = i32((POINTS - 1) << 16) - i32(1)
    middle = i32((POINTS - 1) << 15)
    for n in range(count):
        x = min(max(i32(u[n] - centre_u) >> 6, -REACH), REACH)
        y = min(max(i32(v[n] - centre_v) >> 6, -REACH), REACH)
        x, y = i32(i32(x) * i32(steps)) >> 10, i32(i32(y) * i32(steps)) >> 10
        x = min(max(i32(x + middle), i32(0)), most)
        y = min(max(i32(y + middle), i32(0)), most)
        fractions = u32(((x >> 6) & 1023) << 8) | u32(((y >> 6) & 1023) << 18)
        places[n] = u32(i32((y >> 16) * NOISE) + (x >> 16)) | fractions
    fetch_points(buffers.field, places, count, buffers.around)
    around = buffers.around
    a, b, c, d = around[0], around[1], around[2], around[3]
    for n in range(count):
        fx, fy = i32((places[n] >> u32(8)) & u32(1023)), i32(places[n] >> u32(18))
        gx, gy = i32(1024 - fx), i32(1024 - fy)
        upper = i32(low(a[n]) * gx + low(b[n]) * fx) >> 4
        lower = i32(low(c[n]) * gx + low(d[n]) * fx) >> 4
        u[n] += i32(i32(upper) * gy + i32(lower) * fy) >> 10
        upper = i32(high(a[n]) * gx + high(b[n]) * fx) >> 4
        lower = i32(high(c[n]) * gx + high(d[n]) * fx) >> 4
        v[n] += i32(i32(upper) * gy + i32(lower) * fy) >> 10


@jit
def fetch_points(field: UInt32s, places: UInt32s, count: int, around: UInt32s) -> None:
    """Set around (4, N) to the four points of the field around each place, `count` of them.

    Inside of `displace` the same loop took 3 % more of the time of an image.
    """
    right, below, opposite = field[1:], field[NOISE:], field[NOISE + 1 :]
    a, b, c, d = around[0], around[1], around[2], around[3]
    for n in range(count):
        at = places[n] & u32(255)
        a[n], b[n], c[n], d[n] = field[at], right[at], below[at], opposite[at]


@jit
def low(word: np.uint32) -> np.int32:
    """Return the signed low half of a word."""
    return i32(u32(word << u32(16))) >> 16


@jit
def high(word: np.uint32) -> np.int32:
    """Return the signed high half of a word."""
    return i32(word) >> 16
