"""The kernel's memory, and what it is told and gives: arrays by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from builder.common.constants import FRAME, PADDED
from builder.generator.kernels.mesh import CELL, STEP

VECTOR = 16
"""Numbers of 32 bits in the widest vector: loops over nodes run on to a multiple of it."""


class Planned(NamedTuple):
    """What the kernel needs of a block of specs: see `builder.planner.planner.Specs`.

    `warps` (B, L, 8); `growth`, `gain` (B, L) int64; `keys` (B, L) uint64, of elastic noise.
    """

    lengths: Any
    glyphs: Any
    warps: Any
    centres: Any
    growth: Any
    gain: Any
    keys: Any


class Drawn(NamedTuple):
    """Where a block is drawn: `words` (B, 28, W / 4) uint32, rounded up, the same as `pixels`.

    `masks` (B, 28, W) uint8, or empty if there are none to be made.
    """

    words: Any
    pixels: Any
    masks: Any
    boxes: Any
    quads: Any
    visible: Any
    width: Any


class Digit(NamedTuple):
    """One digit: its glyph (1024,) and ink (4,) in the bank, and what its spec says."""

    glyph: Any
    ink: Any
    warp: Any
    centre: Any
    growth: Any
    gain: Any
    key: Any


class Grid(NamedTuple):
    """The nodes of a digit: the first is the corner of cell (x, y)."""

    x: Any
    y: Any
    columns: Any
    rows: Any


class Canvas(NamedTuple):
    """One image: `words` (28, W / 4) uint32, rounded up, the same as `pixels` uint8; its mask."""

    words: Any
    pixels: Any
    mask: Any
    width: Any


class Work(NamedTuple):
    """Scratch memory of one thread, for digits of up to `nodes` nodes in images of some width.

    `grown` (2, 1024) uint8: the glyph with its strokes changed. `quads` (1024,) uint32: for each
    address of the glyph the four pixels at, right of, below, and below right of it. `noise`,
    `halfway`, `field`: see `builder.generator.kernels.elastic`. `nodes`, `u_terms`, `v_terms`,
    `on`, `cells`, `address`, `quad`, `value`: see `builder.generator.kernels.mesh`; `words` are
    the values again, four in one uint32. `columns`, `rows` uint32: which columns (four in one) and
    rows hold ink; `column` uint8 are the columns one by one.
    """

    grown: npt.NDArray[np.uint8]
    quads: npt.NDArray[np.uint32]
    noise: npt.NDArray[np.int16]
    halfway: npt.NDArray[np.int16]
    field: npt.NDArray[np.uint32]
    picked: npt.NDArray[np.uint32]
    nodes: npt.NDArray[np.int32]
    bends: npt.NDArray[np.int32]
    on: npt.NDArray[np.uint8]
    cells: npt.NDArray[np.int32]
    address: npt.NDArray[np.uint32]
    quad: npt.NDArray[np.uint32]
    value: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint32]
    columns: npt.NDArray[np.uint32]
    column: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.uint32]


def work_for(nodes: int, width: int) -> Work:
    """Return scratch memory for digits of up to `nodes` nodes, in images `width` px wide."""
    nodes += 4 * VECTOR
    value = np.zeros(CELL * nodes, np.uint8)
    columns = np.zeros(-(-width // STEP), np.uint32)
    return Work(
        grown=np.zeros((2, PADDED * PADDED), np.uint8),
        quads=np.zeros(PADDED * PADDED, np.uint32),
        noise=np.zeros(512, np.int16),
        halfway=np.zeros(512, np.int16),
        field=np.zeros(256, np.uint32),
        picked=np.zeros((5, nodes), np.uint32),
        nodes=np.zeros((4, nodes), np.int32),
        bends=np.zeros((4, nodes), np.int32),
        on=np.zeros(nodes, np.uint8),
        cells=np.zeros(nodes, np.int32),
        address=np.zeros(CELL * nodes, np.uint32),
        quad=np.zeros(CELL * nodes, np.uint32),
        value=value,
        words=value.view(np.uint32),
        columns=columns,
        column=columns.view(np.uint8),
        rows=np.zeros(FRAME, np.uint32),
    )
