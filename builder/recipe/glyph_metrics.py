"""Measures of each glyph: bounds of its ink, and the width of its strokes."""

from __future__ import annotations

import numpy as np

from builder.common.constants import Float32s, Int16s, UInt8s


def measure_ink(images: UInt8s) -> Int16s:
    """Return half-open bounds x0, y0, x1, y1 of the pixels >= 1 of images (K, h, w).

    Returns:
        Bounds (K, 4), px, zeros where there are no such pixels.
    """
    bounds = np.zeros((len(images), 4), dtype=np.int16)
    for axis, (low, high) in ((1, (0, 2)), (2, (1, 3))):
        lines = images.max(axis=axis) > 0
        some = lines.max(axis=1)
        bounds[:, low] = np.where(some, lines.argmax(axis=1), 0)
        bounds[:, high] = np.where(some, lines.shape[1] - lines[:, ::-1].argmax(axis=1), 0)
    return bounds


def measure_diagonals(images: UInt8s) -> Int16s:
    """Return diagonal bounds of the pixels >= 1 of images (K, 28, 28).

    Returns:
        The least x + y and x - y of the corners of these pixels, and the largest, px, (K, 4);
        zeros where there are no such pixels.
    """
    bounds = np.zeros((len(images), 4), dtype=np.int16)
    side = images.shape[1]
    for turned, (low, high) in ((images, (0, 2)), (images[:, ::-1], (1, 3))):
        # shearing by one pixel a row turns diagonals into columns
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


def measure_strokes(images: UInt8s) -> Float32s:
    """Return the mean width of the strokes of images (K, h, w) with black edges, px, (K,).

    A stroke of length l and width w holds l w of ink and has two edges of length l. Across an
    edge the grey value rises from black to white, so the lengths of the gradients add up to 2 l.
    So w is twice the sum of values over the sum of the lengths of their gradients. The sums are of
    integers, so they do not depend on an order.
    """
    widths = np.zeros(len(images), dtype=np.float32)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000].astype(np.float64)
        across = part[:, :-1, 1:] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, 1:, :-1]
        down = part[:, 1:, :-1] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, :-1, 1:]
        gradients = np.floor(np.sqrt(across * across + down * down) * 128.0)
        edges = gradients.astype(np.int64).sum(axis=(1, 2))
        ink = images[start : start + 1000].sum(axis=(1, 2), dtype=np.int64)
        widths[start : start + 1000] = 512.0 * ink / np.maximum(edges, 1)
    return widths
