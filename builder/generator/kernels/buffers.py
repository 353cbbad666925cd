"""The scratch arrays of the kernels, and the grid of cells that they describe.

Compiled functions make no arrays, and numba passes NamedTuples of arrays at no cost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from builder.common.constants import FRAME, PADDED, Int16s, Int32s, UInt8s, UInt32s

STEP = 4
"""Side of a cell, px: as many pixels as one uint32 holds."""

CELL = STEP * STEP
"""Pixels of a cell, row by row."""

NOISE = 16
"""Points of the noise of elastic deformation along an axis."""

VECTOR = 16
"""Numbers of 32 bits in the widest vector: loops over nodes run on to a multiple of it."""

Bounds = tuple[int, int, int, int]
"""Half-open bounds x0, y0, x1, y1 of pixels or cells."""


class Grid(NamedTuple):
    """The cells that a digit can touch, by their corners, the nodes.

    Attributes:
        x: Column of the first cell, in cells from the left edge of the image; may be negative.
        y: Row of the first cell, in cells from the top edge of the image; may be negative.
        columns: Nodes in a row, one more than cells.
        rows: Rows of nodes, one more than of cells.
    """

    x: int
    y: int
    columns: int
    rows: int


class Cells(NamedTuple):
    """The cells of a grid that touch ink: `size` of them, listed in `Buffers.cells`."""

    grid: Grid
    size: int


class Buffers(NamedTuple):
    """Scratch memory of one thread, for digits of up to N nodes in images of some width.

    Attributes:
        glyphs: (2, 1024) uint8, the glyph with its strokes changed, by turns.
        texels: (1024,) uint32, for each address of the glyph the four pixels at, right of, below,
            and below right of it.
        noise: (512,) int16, noise of 16 x 16 points for x, then for y.
        halfway: (512,) int16, the noise smoothed along one axis.
        field: (256,) uint32, displacements at 16 x 16 points, 1/1024 px: x in the low and y in
            the high half of a word.
        places: (N,) uint32, where in the field each node lies.
        around: (4, N) uint32, the four points of the field around each node.
        nodes: (4, N) int32, source u and v of each node from the padded glyph's corner, and the
            bends of the map in x and y as shares of the slope, all in 1/65536.
        bends: (4, N) int32, bend of u in x, of u in y, of v in x, of v in y in the cell that
            begins at a node, 1/65536/16 px.
        inked: (N,) uint8, whether that cell can touch ink.
        cells: (N,) int32, the first nodes of the cells that do.
        addresses: (16 N,) uint32, for each pixel of these cells the address in the glyph (10
            bits), and the fractions between its four texels in x and y (11 bits each).
        samples: (16 N,) uint32, the four texels of each pixel.
        values: (16 N,) uint8, grey value of each pixel.
        words: (4 N,) uint32, the same memory, four values in a word.
        column_words: (W / 4,) uint32, rounded up: which columns of the image hold ink, four in
            a word.
        columns: (W,) uint8, the same memory, column by column.
        rows: (28,) uint32, which rows of the image hold ink.
    """

    glyphs: UInt8s
    texels: UInt32s
    noise: Int16s
    halfway: Int16s
    field: UInt32s
    places: UInt32s
    around: UInt32s
    nodes: Int32s
    bends: Int32s
    inked: UInt8s
    cells: Int32s
    addresses: UInt32s
    samples: UInt32s
    values: UInt8s
    words: UInt32s
    column_words: UInt32s
    columns: UInt8s
    rows: UInt32s


def make_buffers(nodes: int, width: int) -> Buffers:
    """Return scratch memory for digits of up to `nodes` nodes, in images `width` px wide."""
    nodes += 4 * VECTOR
    values = np.zeros(CELL * nodes, np.uint8)
    columns = np.zeros(-(-width // STEP), np.uint32)
    return Buffers(
        glyphs=np.zeros((2, PADDED * PADDED), np.uint8),
        texels=np.zeros(PADDED * PADDED, np.uint32),
        noise=np.zeros(2 * NOISE * NOISE, np.int16),
        halfway=np.zeros(2 * NOISE * NOISE, np.int16),
        field=np.zeros(NOISE * NOISE, np.uint32),
        places=np.zeros(nodes, np.uint32),
        around=np.zeros((4, nodes), np.uint32),
        nodes=np.zeros((4, nodes), np.int32),
        bends=np.zeros((4, nodes), np.int32),
        inked=np.zeros(nodes, np.uint8),
        cells=np.zeros(nodes, np.int32),
        addresses=np.zeros(CELL * nodes, np.uint32),
        samples=np.zeros(CELL * nodes, np.uint32),
        values=values,
        words=values.view(np.uint32),
        column_words=columns,
        columns=columns.view(np.uint8),
        rows=np.zeros(FRAME, np.uint32),
    )
