"""The warp of a digit: how its glyph gets into the image.

Above all that is one projective map. A point of the glyph's frame, px, taken from its centre
(p, q), goes to

    d = 1 + g p + h q,   X = tx + (a p + b q) / d,   Y = ty + (c p + e q) / d.

Augmentations compose into these eight numbers, so a glyph is resampled once however many
of them are on. The order in which they act is fixed: first an elastic deformation of the frame,
then perspective and the linear ones (scale, shear, rotation), then squeeze, then shift and
placing. Before all of them, strokes get thinner or thicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from builder.common.constants import Floats, Words
from builder.common.jit import jit


@dataclass
class Warp:
    """The warps of a block.

    `numbers` (8, B, L) float64, in C order: a, b, c, e, g, h, tx, ty. `thickness` (B, L)
    float64: how much strokes get wider, as a share; negative is thinner. `elastic`: root mean
    square in px and correlation length in px of a random displacement of the frame's points, 0
    for none; `keys` (B, L) uint64: what its noise begins with.
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

    def compose(self, a: Any, b: Any, c: Any, e: Any) -> None:
        """Let a linear map act on what comes out: x' = a x + b y, y' = c x + e y.

        Each is a number for all, or (B, L), or what broadcasts to it.
        """
        parts = (_whole(part, self.thickness.shape).reshape(-1) for part in (a, b, c, e))
        compose_all(self.linear.reshape(4, -1), *parts)


def _whole(part: Any, shape: tuple[int, ...]) -> Floats:
    """Return what broadcasts to a shape, a number or an array, in that shape."""
    if isinstance(part, np.ndarray) and part.shape == shape:
        return part
    return np.full(shape, part, dtype=np.float64)


@jit
def compose_all(linear: Any, a: Any, b: Any, c: Any, e: Any) -> None:
    """Let linear maps act on what comes out of those of `linear` (4, N); a, b, c, e: (N,)."""
    for n in range(len(a)):
        xp, xq, yp, yq = linear[0, n], linear[1, n], linear[2, n], linear[3, n]
        linear[0, n], linear[1, n] = a[n] * xp + b[n] * yp, a[n] * xq + b[n] * yq
        linear[2, n], linear[3, n] = c[n] * xp + e[n] * yp, c[n] * xq + e[n] * yq
