"""Sine and cosine, the same to the last bit everywhere: those of a library are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from builder.streams import Floats

ERROR = 3e-9
"""How far `sine_cosine` is from the true values at most."""

_RADIANS = math.pi / 180
_SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(7)]
_COSINE = [(-1.0) ** k / math.factorial(2 * k) for k in range(8)]


def sine_cosine(degrees: Any) -> tuple[Floats, Floats]:
    """Return sine and cosine of angles in [-180, 180] degrees, within 3e-9.

    Taylor polynomials of half the angle, then the double-angle formulas: + and * alone.

    >>> sine, cosine = sine_cosine(60.0)
    >>> round(float(sine), 6), round(float(cosine), 6)
    (0.866025, 0.5)
    """
    half = np.asarray(degrees, dtype=np.float64) * (_RADIANS / 2)
    square = half * half
    sine, cosine = _polynomial(_SINE, square) * half, _polynomial(_COSINE, square)
    return 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine


def _polynomial(coefficients: list[float], x: Floats) -> Floats:
    """Return the sum of coefficients[k] * x**k, by Horner's rule."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
