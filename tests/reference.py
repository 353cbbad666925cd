"""Slow, obvious forms of what the program does fast, in float64 and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float64]


def bilinear(glyph: npt.NDArray[np.uint8], x: Image, y: Image) -> Image:
    """Return the glyph at points (x, y), px, where (0.5, 0.5) is the middle of its first pixel.

    Every pixel is a tent of its value, one pixel wide to each side of its middle.
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
    place = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    matrix: npt.NDArray[np.float64] = place @ project @ to_centre
    return matrix


def warped(
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
