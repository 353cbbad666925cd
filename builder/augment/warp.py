"""The warp of a digit: the map from its glyph to the image.

Its main part is one projective map. A point (p, q) of the glyph's frame, px from its centre, goes
to

    d = 1 + g p + h q,   X = tx + (a p + b q) / d,   Y = ty + (c p + e q) / d.

Augmentations compose into these eight numbers, so a glyph is resampled once however many
of them are on. They act in a fixed order: stroke thickness, elastic deformation of the frame,
perspective and the linear ones (scale, shear, rotation), squeeze, then shift and placing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from builder.common.constants import Floats, Words
from builder.common.jit import jit

Coefficient = float | Floats

_RADIANS = math.pi / 180
_SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(7))
_COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(8))


@dataclass
class Warp:
    """The warps of a block.

    Attributes:
        numbers: a, b, c, e, g, h, tx, ty of each digit, (8, B, L), in C order.
        thickness: The share by which strokes get wider, negative for thinner, (B, L).
        keys: The key of each digit's elastic noise, (B, L).
        elastic: Root mean square, px, 0 for none, and correlation length, px, of the random
            displacement of the frame's points.
    """

    numbers: Floats
    thickness: Floats
    keys: Words
    elastic: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def identity(cls, samples: int, digits: int) -> Warp:
        """Return warps that leave every digit as it is, centred on the origin."""
        numbers = np.zeros((8, samples, digits))
        numbers[0] = numbers[3] = 1.0
        return cls(numbers, np.zeros((samples, digits)), np.zeros((samples, digits), np.uint64))

    @property
    def linear(self) -> Floats:
        """a, b, c, e: (4, B, L)."""
        return self.numbers[0:4]

    @property
    def perspective(self) -> Floats:
        """g, h, per px: (2, B, L)."""
        return self.numbers[4:6]

    @property
    def shift(self) -> Floats:
        """tx, ty, px: (2, B, L)."""
        return self.numbers[6:8]

    def compose(self, a: Coefficient, b: Coefficient, c: Coefficient, e: Coefficient) -> None:
        """Apply a linear map after these warps: x' = a x + b y, y' = c x + e y.

        Each coefficient is a number, or an array (B, L).
        """
        size = self.thickness.size
        parts = (np.full(size, x) if isinstance(x, float) else x.reshape(-1) for x in (a, b, c, e))
        compose_all(self.linear.reshape(4, -1), *parts)


@jit
def compose_all(linear: Floats, a: Floats, b: Floats, c: Floats, e: Floats) -> None:
    """Apply linear maps, a, b, c, e (N,), after those of `linear` (4, N), in place."""
    for n in range(len(a)):
        xp, xq, yp, yq = linear[0, n], linear[1, n], linear[2, n], linear[3, n]
        linear[0, n], linear[1, n] = a[n] * xp + b[n] * yp, a[n] * xq + b[n] * yq
        linear[2, n], linear[3, n] = c[n] * xp + e[n] * yp, c[n] * xq + e[n] * yq


def sine_cosine(degrees: Floats | float) -> tuple[Floats, Floats]:
    """Return sine and cosine of angles in [-180, 180] degrees, within 3e-9.

    Taylor polynomials of half the angle, then the double-angle formulas: + and * alone.

    >>> sine, cosine = sine_cosine(60.0)
    >>> round(float(sine), 6), round(float(cosine), 6)
    (0.866025, 0.5)
    """
    angles = np.asarray(degrees, dtype=np.float64)
    sine, cosine = np.empty(angles.shape), np.empty(angles.shape)
    fill_sine_cosine(angles.reshape(-1), sine.reshape(-1), cosine.reshape(-1))
    return sine, cosine


@jit
def fill_sine_cosine(degrees: Floats, sines: Floats, cosines: Floats) -> None:
    """Set sines and cosines (N,) of angles (N,), the polynomials by Horner's rule."""
    for n in range(len(degrees)):
        half = degrees[n] * (_RADIANS / 2)
        square = half * half
        sine, cosine = _SINE[6], _COSINE[7]
        for k in range(5, -1, -1):
            sine = sine * square + _SINE[k]
        for k in range(6, -1, -1):
            cosine = cosine * square + _COSINE[k]
        sine = sine * half
        sines[n], cosines[n] = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
