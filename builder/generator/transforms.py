"""Random transforms of a whole image, whatever its size: the warps of the classic face.

Samples of a dataset are drawn by `builder.generator.kernels`. Here the same interpolation works on
one finished image (H, W) of any numeric type, in float64, where speed does not matter. Each
function returns the image with its shape and type. Outside of the image is 0. `seed` is in
[0, 2**64), or None for a fresh one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from builder.augment.warp import sine_cosine
from builder.common import rng
from builder.common.constants import Floats, Words
from builder.generator.kernels.elastic import RMS, SIGMA

Image = npt.NDArray[np.generic]

WEIGHTS = (1, 4, 6, 4, 1)
"""Binomial weights that smooth noise, as in `builder.generator.kernels.elastic`."""


def scale(image: Image, share: float, seed: int | None) -> Image:
    """Scale x and y about the centre by independent factors in [1 - share, 1 + share]."""
    x, y = pixel_centres(image)
    across, down = draw_units(seed, 2)
    return resample(image, x / (1 + share * across), y / (1 + share * down))


def rotate(image: Image, degrees: float, seed: int | None) -> Image:
    """Rotate about the centre by an angle in [-degrees, degrees], clockwise if positive."""
    x, y = pixel_centres(image)
    sine, cosine = sine_cosine(degrees * draw_units(seed, 1)[0])
    return resample(image, cosine * x + sine * y, cosine * y - sine * x)


def shear(image: Image, slope: float, seed: int | None) -> Image:
    """Slant by up to `slope` px to either side for each px of height from the centre."""
    x, y = pixel_centres(image)
    return resample(image, x - slope * draw_units(seed, 1)[0] * y, y)


def tilt(image: Image, share: float, seed: int | None) -> Image:
    """Bring an edge of the image up to a share nearer in each direction: perspective."""
    x, y = pixel_centres(image)
    height, width = image.shape
    across, down = draw_units(seed, 2)
    g, h = share * across / (width / 2), share * down / (height / 2)
    depth = 1 - g * x - h * y
    return resample(image, x / depth, y / depth)


def deform(image: Image, rms: float, correlation: float, seed: int | None) -> Image:
    """Displace every point by smooth noise of that rms and correlation length, px."""
    x, y = pixel_centres(image)
    across, down = displacement_fields(image, correlation, seed)
    return resample(image, x + rms * across, y + rms * down)


def displacement_fields(
    image: Image, correlation: float, seed: int | None
) -> tuple[Floats, Floats]:
    """Return smooth noise in x and in y, both (H, W), whose rms is 1."""
    step = correlation / SIGMA
    rows, columns = (int(side / step) + 2 for side in image.shape)
    x, y = pixel_centres(image)
    at = (x + image.shape[1] / 2) / step + 0.5, (y + image.shape[0] / 2) / step + 0.5
    seeds = np.array([rng.master_seed(seed)], dtype=np.uint64)
    across, down = (interpolate(smooth_noise(seeds, n, rows, columns), *at) for n in (0, 1))
    return across, down


def smooth_noise(seeds: Words, number: int, rows: int, columns: int) -> Floats:
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
    return field * ((16**2 - 1) ** 0.5 / 15 / RMS)


def draw_units(seed: int | None, count: int) -> list[float]:
    """Return uniform numbers in [-1, 1)."""
    seeds = np.array([rng.master_seed(seed)], dtype=np.uint64)
    return [float(rng.uniform_signed(rng.draw_words(seeds, 0, n))[0]) for n in range(count)]


def pixel_centres(image: Image) -> tuple[Floats, Floats]:
    """Return the centres of an image's pixels, px from its own: x (1, W) and y (H, 1)."""
    height, width = image.shape
    x = (np.arange(width) + 0.5 - width / 2)[None, :]
    y = (np.arange(height) + 0.5 - height / 2)[:, None]
    return x, y


def resample(image: Image, x: Floats, y: Floats) -> Image:
    """Return the image whose pixels come from points (x, y), px from its centre."""
    height, width = image.shape
    whole = np.issubdtype(image.dtype, np.integer)
    with np.errstate(invalid="ignore"):  # of an image with NaN, or of 64-bit extremes
        values = interpolate(image, x + width / 2, y + height / 2)
        return (np.rint(values) if whole else values).astype(image.dtype)


def interpolate(image: Image, x: Floats, y: Floats) -> Floats:
    """Return image (H, W) at points x, y, px, bilinear; (0.5, 0.5) is its first pixel's centre.

    Outside of the image is 0. `x` and `y` broadcast against each other and give the shape.
    """
    padded = np.pad(image.astype(np.float64), 1)
    height, width = image.shape
    u = np.clip(x + 0.5, 0.0, width + 1.0)  # from the centre of the padding's first pixel
    v = np.clip(y + 0.5, 0.0, height + 1.0)
    column = np.minimum(u.astype(np.int64), width)
    row = np.minimum(v.astype(np.int64), height)
    fu, fv = u - column, v - row
    above = padded[row, column] * (1 - fu) + padded[row, column + 1] * fu
    below = padded[row + 1, column] * (1 - fu) + padded[row + 1, column + 1] * fu
    return above * (1 - fv) + below * fv
