"""What is measured of each glyph: bounds of its ink, and the width of its strokes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def ink_bounds(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return x0, y0, x1, y1 of the pixels >= 1 of images (K, h, w), half-open, zeros if none."""
    bounds = np.zeros((len(images), 4), dtype=np.int16)
    for axis, (low, high) in ((1, (0, 2)), (2, (1, 3))):
        lines = images.max(axis=axis) > 0
        some = lines.max(axis=1)
        bounds[:, low] = np.where(some, lines.argmax(axis=1), 0)
        bounds[:, high] = np.where(some, lines.shape[1] - lines[:, ::-1].argmax(axis=1), 0)
    return bounds


def diagonal_bounds(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return min x + y, min x - y, max x + y, max x - y over corners of the pixels >= 1 of images.

    (K, 28, 28) to (K, 4) int16, zeros where there are none.
    """
    bounds = np.zeros((len(images), 4), dtype=np.int16)
    side = images.shape[1]
    for turned, (low, high) in ((images, (0, 2)), (images[:, ::-1], (1, 3))):
        # sheared by one pixel a row, what lies on a diagonal stands in a column
        columns = np.zeros((len(images), 2 * side), dtype=np.uint8)
        for row in range(side):
            columns[:, row : row + side] |= turned[:, row]
        lit = columns > 0
        some, first = lit.max(axis=1), lit.argmax(axis=1)
        last = 2 * side - lit[:, ::-1].argmax(axis=1)
        offset = 0 if low == 0 else side
        bounds[:, low] = np.where(some, first - offset, 0)
        bounds[:, high] = np.where(some, last + 1 - offset, 0)
    return bounds


def stroke_widths(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the mean width of the strokes of images (K, h, w) with black edges, px, (K,) float32.

    A stroke of length l and width w holds l w of ink, and has two edges of length l; an edge is
    what the grey value climbs, from black to white, along a line across it. So w is twice
    the sum of values over the sum of the lengths of their gradients. Sums are of integers,
    which have no order to depend on.
    """
    widths = np.zeros(len(images), dtype=np.float32)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000].astype(np.float64)
        across = part[:, :-1, 1:] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, 1:, :-1]
        down = part[:, 1:, :-1] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, :-1, 1:]
        climb = np.floor(np.sqrt(across * across + down * down) * 128.0)
        edges = climb.astype(np.int64).sum(axis=(1, 2))
        ink = images[start : start + 1000].sum(axis=(1, 2), dtype=np.int64)
        widths[start : start + 1000] = 512.0 * ink / np.maximum(edges, 1)
    return widths
