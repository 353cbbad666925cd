"""The warp of a digit: one projective map from its glyph's frame to the image.

A point of the frame, px, taken from its centre (p, q), goes to

    d = 1 + g p + h q,   X = tx + (a p + b q) / d,   Y = ty + (c p + e q) / d.

Augmentations compose into these eight numbers, so a glyph is resampled once however many
of them are on. The order in which they act is fixed: first the linear ones (scale, shear,
rotation), then perspective, then squeeze, then shift and placing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from builder.streams import Floats


@dataclass
class Warp:
    """The warps of a block, as eight arrays (B, L) float64 named as in the module's formula.

    They are views of `numbers` (8, B, L), which the kernel reads.
    """

    numbers: Floats

    @classmethod
    def identity(cls, samples: int, digits: int) -> Warp:
        """Return warps that leave every digit as it is, centred on the origin."""
        numbers = np.zeros((8, samples, digits))
        numbers[0] = numbers[3] = 1.0
        return cls(numbers)

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

    def squeeze(self, factor: Floats) -> None:
        """Scale what comes out by `factor` (B, L) along x."""
        self.linear[0:2] *= factor

    def bounds(self, left: Any, top: Any, right: Any, bottom: Any) -> tuple[Floats, ...]:
        """Return xmin, ymin, xmax, ymax, px, of the image of a rectangle of the frame.

        The rectangle is given from the frame's centre, each side (B, L). A projective map
        keeps it convex, so its four corners bound it.
        """
        x, y = self.project(
            np.stack([left, right, right, left]), np.stack([top, top, bottom, bottom])
        )
        return x.min(axis=0), y.min(axis=0), x.max(axis=0), y.max(axis=0)

    def project(self, p: Any, q: Any) -> tuple[Floats, Floats]:
        """Return (X, Y), px, of frame points (p, q), px, which broadcast against (B, L)."""
        a, b, c, e, g, h, tx, ty = self.numbers
        d = 1.0 + g * p + h * q
        return tx + (a * p + b * q) / d, ty + (c * p + e * q) / d
