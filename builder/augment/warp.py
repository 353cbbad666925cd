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

from builder.streams import Floats, Words


@dataclass
class Warp:
    """The warps of a block.

    `numbers` (8, B, L) float64: a, b, c, e, g, h, tx, ty. `thickness` (B, L) float64: how much
    strokes get wider, as a share; negative is thinner. `elastic`: root mean square in px and
    correlation length in px of a random displacement of the frame's points, 0 for none;
    `keys` (B, L) uint64: what its noise begins with.
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
        """Let a linear map act on what comes out: x' = a x + b y, y' = c x + e y, each (B, L)."""
        x, y = self.linear[0:2].copy(), self.linear[2:4].copy()
        self.linear[0:2] = a * x + b * y
        self.linear[2:4] = c * x + e * y

    def squeeze(self, factor: Floats) -> None:
        """Scale what comes out by `factor` (B, L) along x."""
        self.linear[0:2] *= factor
