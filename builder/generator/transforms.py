"""Random distortions of a whole image, whatever its size: the classic face's warps.

Samples of a dataset are drawn by `builder.generator.kernels`; this is the same interpolation for
one finished image of any width and type, in float64, where speed does not matter. Each function
returns the image with its shape and type; outside it is 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from builder.augment.trigonometry import sine_cosine
from builder.common import constants, rng
from builder.common.constants import Floats
from builder.generator.kernels.elastic import RMS, SIGMA

Image = npt.NDArray[np.generic]

WEIGHTS = (1, 4, 6, 4, 1)
"""Binomial weights that smooth noise, as in `builder.generator.kernels.elastic`."""


class _Canvas(NamedTuple):
    """An image about to be distorted: its pixels' middles from its centre, px, and its draws."""

    image: Image
    x: Floats
    y: Floats
    seeds: constants.Words

    def draw(self, number: int) -> float:
        """Return a uniform number in [-1, 1)."""
        return float(rng.uniform_signed(rng.draw_words(self.seeds, 0, number))[0])

    def sampled(self, x: Any, y: Any) -> Image:
        """Return the image whose pixels come from points (x, y), px from the centre."""
        height, width = self.image.shape
        whole = np.issubdtype(self.image.dtype, np.integer)
        with np.errstate(invalid="ignore"):  # of an image with NaN, or of 64-bit extremes
            values = bilinear(self.image, x + width / 2, y + height / 2)
            made: Image = (np.rint(values) if whole else values).astype(self.image.dtype)
        return made


def _canvas(image: Image, seed: int | None) -> _Canvas:
    height, width = image.shape
    x = (np.arange(width) + 0.5 - width / 2)[None, :]
    y = (np.arange(height) + 0.5 - height / 2)[:, None]
    return _Canvas(image, x, y, np.array([rng.master_seed(seed)], dtype=np.uint64))


def scaled(image: Image, share: float, seed: int | None) -> Image:
    """Scale x and y about the centre by independent factors in [1 - share, 1 + share]."""
    canvas = _canvas(image, seed)
    return canvas.sampled(
        canvas.x / (1 + share * canvas.draw(0)), canvas.y / (1 + share * canvas.draw(1))
    )


def rotated(image: Image, degrees: float, seed: int | None) -> Image:
    """Rotate about the centre by an angle in [-degrees, degrees], clockwise if positive."""
    canvas = _canvas(image, seed)
    sine, cosine = sine_cosine(degrees * canvas.draw(0))
    x, y = canvas.x, canvas.y
    return canvas.sampled(cosine * x + sine * y, cosine * y - sine * x)


def sheared(image: Image, shear: float, seed: int | None) -> Image:
    """Slant by up to `shear` px to either side for each px of height from the centre."""
    canvas = _canvas(image, seed)
    return canvas.sampled(canvas.x - shear * canvas.draw(0) * canvas.y, canvas.y)


def tilted(image: Image, share: float, seed: int | None) -> Image:
    """Bring an edge of the image up to a share nearer in each direction: perspective."""
    canvas = _canvas(image, seed)
    height, width = image.shape
    g, h = share * canvas.draw(0) / (width / 2), share * canvas.draw(1) / (height / 2)
    depth = 1 - g * canvas.x - h * canvas.y
    return canvas.sampled(canvas.x / depth, canvas.y / depth)


def displaced(image: Image, rms: float, correlation: float, seed: int | None) -> Image:
    """Displace every point by smooth noise of that rms and correlation length, px."""
    canvas = _canvas(image, seed)
    step = correlation / SIGMA
    rows, columns = (int(side / step) + 2 for side in image.shape)
    x, y = (canvas.x + image.shape[1] / 2) / step, (canvas.y + image.shape[0] / 2) / step
    across, down = (_smooth_noise(canvas.seeds, n, rows, columns) for n in (0, 1))
    e_x, e_y = (bilinear(field, x + 0.5, y + 0.5) for field in (across, down))
    return canvas.sampled(canvas.x + rms * e_x, canvas.y + rms * e_y)


def _smooth_noise(seeds: constants.Words, number: int, rows: int, columns: int) -> Floats:
    """Return smoothed noise (rows, columns) whose rms, over all places between points, is 1."""
    margin = len(WEIGHTS) - 1
    shape = rows + margin, columns + margin
    words = np.concatenate(
        [rng.draw_digit_words(seeds, shape[1], 0, 2 * row + number)[0] for row in range(shape[0])]
    )
    field: Floats = (rng.uniform_signed(words) * 15).reshape(shape)  # deviates as 15 times 1/3
    for axis, length in ((0, rows), (1, columns)):
        parts = [np.take(field, range(n, n + length), axis) for n in range(len(WEIGHTS))]
        field = sum((w * part for w, part in zip(WEIGHTS, parts, strict=True)), np.zeros(()))
    unit: Floats = field * ((16**2 - 1) ** 0.5 / 15 / RMS)
    return unit


def bilinear(image: Image, x: Floats, y: Floats) -> Floats:
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
