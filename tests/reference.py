"""Slow, obvious references of what the program does fast, in float64 and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float64]


def bilinear(glyph: npt.NDArray[np.uint8], x: Image, y: Image) -> Image:
    """Return the glyph at points (x, y), px, where (0.5, 0.5) is the middle of its first pixel.

    Every pixel is a tent as high as its value, one pixel wide to each side of its middle.
    """
    total = np.zeros(np.broadcast(x, y).shape)
    for row, column in zip(*np.nonzero(glyph), strict=True):
        across = np.maximum(0, 1 - np.abs(x - (column + 0.5)))
        down = np.maximum(0, 1 - np.abs(y - (row + 0.5)))
        total += float(glyph[row, column]) * across * down
    return total


def homography(warp: npt.NDArray[np.float64], centre: float) -> npt.NDArray[np.float64]:
    """Return the 3 x 3 matrix, frame (x, y, 1) to image, of eight warp numbers."""
    a, b, c, e, g, h, tx, ty = warp
    to_centre = np.array([[1, 0, -centre], [0, 1, -14], [0, 0, 1]])
    project = np.array([[a, b, 0], [c, e, 0], [g, h, 1]])
    translate = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    return translate @ project @ to_centre


def warp_glyph(
    glyph: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], box: tuple[int, int, int, int]
) -> Image:
    """Return the pixels of box x0, y0, x1, y1 of the glyph drawn alone through `matrix`."""
    x0, y0, x1, y1 = box
    column, row = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    x, y, w = np.einsum(
        "ij,jrc->irc", np.linalg.inv(matrix), np.stack([column, row, np.ones_like(row)])
    )
    return bilinear(glyph, x / w, y / w)


def bounds(image: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """Return the half-open bounds x0, y0, x1, y1 of the pixels >= 1, zeros if none."""
    rows, columns = np.nonzero(image >= 1)
    if not len(rows):
        return 0, 0, 0, 0
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def elastic_displacement(
    key: int, rms: float, correlation: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Return displacements in x and in y, px, at 12 x 12 lattice points, and their distance, px.

    The definition of `builder.generator.kernels.elastic`, one number at a time.
    """
    noise = np.zeros((2, 16, 16))
    for word in range(32):
        x = (key + (word + 1) * 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        x = x ^ (x >> 31)
        for part in range(16):
            noise.reshape(-1)[32 * part + word] = 2 * ((x >> (4 * part)) & 15) - 15
    weights = np.array([1, 4, 6, 4, 1])
    smooth = np.zeros((2, 12, 12))
    for row in range(12):
        for column in range(12):
            part = noise[:, row : row + 5, column : column + 5]
            smooth[:, row, column] = (part * np.outer(weights, weights)).sum(axis=(1, 2))
    # between points the mean square is less by (2/3 + 0.8/3) along each axis
    unit = np.sqrt((16**2 - 1) / 3) * (weights**2).sum() * (2 / 3 + 0.8 / 3)
    return smooth[0] * rms / unit, smooth[1] * rms / unit, correlation / np.sqrt(7 / 6)


def mesh_points(
    warp: npt.NDArray[np.float64], centre: float, elastic: Any, width: int
) -> tuple[Image, Image]:
    """Return where in the frame the pixels of an image (28, width) come from, x and y, px.

    The map is exact at the middle of every fourth pixel of every fourth row and bilinear between.
    `elastic` is what `elastic_displacement` returns.
    """
    inverse = np.linalg.inv(homography(warp, centre))
    rows, columns = 28 // 4 + 1, width // 4 + 1
    nodes = np.zeros((2, rows, columns))
    for row in range(rows):
        for column in range(columns):
            x, y, w = inverse @ (4 * column + 0.5, 4 * row + 0.5, 1)
            nodes[:, row, column] = x / w, y / w
            for axis in (0, 1):
                nodes[axis, row, column] += interpolate(
                    elastic[axis],
                    (x / w - centre) / elastic[2] + 5.5,
                    (y / w - 14) / elastic[2] + 5.5,
                )
    points = np.zeros((2, 28, width))
    for y in range(28):
        for x in range(width):
            for axis in (0, 1):
                points[axis, y, x] = interpolate(nodes[axis], x / 4, y / 4)
    return points[0], points[1]


def interpolate(field: Image, x: float, y: float) -> float:
    """Return a field at a point between its values, bilinear; its edge values go on outside."""
    rows, columns = field.shape
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    left, top = min(int(x), columns - 2), min(int(y), rows - 2)
    fx, fy = x - left, y - top
    upper = field[top, left] * (1 - fx) + field[top, left + 1] * fx
    lower = field[top + 1, left] * (1 - fx) + field[top + 1, left + 1] * fx
    return float(upper * (1 - fy) + lower * fy)
