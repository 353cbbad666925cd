"""Sine and cosine that are the same to the last bit on every machine, as a library's are not."""

from __future__ import annotations

import math

import numpy as np

from builder.common.constants import Floats
from builder.common.jit import jit

ERROR = 3e-9
"""The largest error of `sine_cosine`."""

_RADIANS = math.pi / 180
_SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(7))
_COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(8))


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
