"""Bilinear sampling of a whole image at any points: the classic face's warps.

Samples of a dataset are drawn by `builder.kernels.mesh`; this is the same interpolation for
one finished image of any width and type, in float64, where speed does not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from builder.streams import Floats


def bilinear(image: npt.NDArray[np.generic], x: Floats, y: Floats) -> Floats:
    """Return image (H, W) at points x, y, px, with (0.5, 0.5) the middle of the first pixel.

    Outside the image is 0. `x` and `y` broadcast against each other and give the shape.
    """
    padded = np.pad(image.astype(np.float64), 1)
    height, width = image.shape
    u = np.clip(x + 0.5, 0.0, width + 1.0)  # from the middle of the padding's first pixel
    v = np.clip(y + 0.5, 0.0, height + 1.0)
    column = np.minimum(u.astype(np.int64), width)
    row = np.minimum(v.astype(np.int64), height)
    fu, fv = u - column, v - row
    above = padded[row, column] * (1 - fu) + padded[row, column + 1] * fu
    below = padded[row + 1, column] * (1 - fu) + padded[row + 1, column + 1] * fu
    sampled: Floats = above * (1 - fv) + below * fv
    return sampled
