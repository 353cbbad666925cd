"""Drawing: digits through their meshes into images, with boxes, quads, visible shares and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.common.constants import FRAME, HALF, MARGIN, PADDED
from builder.common.jit import jit
from builder.generator.kernels.buffers import VECTOR, Canvas, Digit, Grid
from builder.generator.kernels.canvas import cut, mark, place, set_box, total_of
from builder.generator.kernels.elastic import MOST, UNIT, displace, draw_noise, smooth
from builder.generator.kernels.glyph import ONE, prepare_glyph
from builder.generator.kernels.mesh import (
    CELL,
    STEP,
    blend,
    choose_cells,
    fetch,
    locate_nodes,
    locate_pixels,
    look_at_cells,
)

i16, i32 = np.int16, np.int32

LINE = 64
"""Bytes of a line of the processor's cache."""


@jit
def cells_around(warp: Any, centre: Any, ink: Any, beyond: Any) -> Any:
    """Return the cells x0, y0, x1, y1 that ink can touch, if it lies up to `beyond` px further.

    Bilinear sampling spreads a pixel half its size beyond its edges. A projective map keeps a
    rectangle convex, so its corners bound it.
    """
    more = 0.5 + beyond
    x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
    for corner in range(4):
        p = (ink[0] - more if corner % 2 == 0 else ink[2] + more) - centre
        q = (ink[1] - more if corner < 2 else ink[3] + more) - HALF
        d = 1.0 + warp[4] * p + warp[5] * q
        x = warp[6] + (warp[0] * p + warp[1] * q) / d
        y = warp[7] + (warp[2] * p + warp[3] * q) / d
        x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    return (
        int(np.floor(x0 / STEP)),
        int(np.floor(y0 / STEP)),
        int(np.ceil(x1 / STEP)),
        int(np.ceil(y1 / STEP)),
    )


@jit
def most_nodes(specs: Any, inks: Any, elastic: Any) -> Any:
    """Return the most nodes that a digit of a block can need."""
    most = 0
    for b in range(len(specs.lengths)):
        for d in range(specs.lengths[b]):
            ink = inks[specs.glyphs[b, d]]
            beyond = abs(specs.growth[b, d]) / ONE + 1.0 + elastic[0] * MOST / 65536.0 / UNIT
            x0, y0, x1, y1 = cells_around(specs.warps[b, d], specs.centres[b, d], ink, beyond)
            most = max(most, (x1 - x0 + 1) * (y1 - y0 + 1))
    return most


@jit
def set_quad(warp: Any, centre: Any, quad: Any) -> None:
    """Set quad (4, 2) to where the frame's corners went: x, y, from top left clockwise."""
    for corner in range(4):
        p = (FRAME if corner in (1, 2) else 0.0) - centre
        q = (FRAME if corner > 1 else 0.0) - HALF
        d = 1.0 + warp[4] * p + warp[5] * q
        quad[corner, 0] = warp[6] + (warp[0] * p + warp[1] * q) / d
        quad[corner, 1] = warp[7] + (warp[2] * p + warp[3] * q) / d


@jit
def whole_vectors(count: Any) -> Any:
    """Return the count of a loop that may run on to a whole number of vectors."""
    return (count + VECTOR - 1) // VECTOR * VECTOR


@jit
def draw_digit(canvas: Any, digit: Any, number: Any, elastic: Any, box: Any, work: Any) -> Any:
    """Draw a `Digit` into a `Canvas`, set its box, and return its visible share of ink.

    `number` is what it has in the mask. `elastic` is (scale, steps) as of `scale_of` and
    `steps_of` in `builder.generator.kernels.elastic`, zeros for none.
    """
    width = canvas.width
    ink = prepare_glyph(digit.glyph, digit.ink, digit.growth, digit.gain, work)
    beyond = 0.0
    if elastic[0] > 0:
        draw_noise(digit.key, work.noise)
        beyond = smooth(work.noise, elastic[0], work.halfway, work.field) / UNIT
    x0, y0, x1, y1 = cells_around(digit.warp, digit.centre, ink, beyond)
    grid = Grid(x0, y0, x1 - x0 + 1, y1 - y0 + 1)
    count = whole_vectors(grid.columns * grid.rows)
    locate_nodes(digit.warp, digit.centre, grid, count, work.nodes)
    if elastic[0] > 0:
        origin = MARGIN - 0.5
        middle = i32((digit.centre + origin) * 65536.0), i32((HALF + origin) * 65536.0)
        displace(work.nodes, count, middle, elastic[1], work.field, work.picked)
    look_at_cells(work.nodes, grid.columns, count, ink, work.bends, work.on)
    count = choose_cells(work.on, grid.columns, grid.rows, work.cells)
    locate_pixels(work.nodes, grid.columns, work.bends, work.cells, count, ink, work.address)
    fetch(work.quads, work.address, CELL * count, work.quad)
    blend(work.address, work.quad, CELL * count, work.value)
    visible = 1.0
    if x0 < 0 or y0 < 0 or STEP * x1 > width or STEP * y1 > FRAME:
        lost = cut(work.cells, count, grid, width, work.value)
        if lost > 0:
            kept = total_of(work.value, CELL * count)
            visible = kept / (kept + lost)
    if canvas.mask.size > 0:
        mark(work.cells, count, grid, work.value, canvas, number)
    first, last = min(max(x0, 0), len(work.columns)), min(max(x1, 0), len(work.columns))
    for x in range(first, last):
        work.columns[x] = 0
    for y in range(FRAME):
        work.rows[y] = 0
    place(work.cells, count, grid, canvas, work)
    return visible if set_box(first, last, work, box) else 0.0


@jit
def read_ahead(glyph: Any, work: Any) -> None:
    """Have the processor fetch a glyph, 16 lines of its cache, while it draws another.

    Glyphs lie all over the bank, so each comes from afar: this saved 5 % of the time.
    """
    total = 0
    for i in range(0, PADDED * PADDED, LINE):
        total += int(glyph[i])
    work.halfway[0] = i16(total)  # of no use, but then the compiler keeps the reading


@jit
def draw_block(drawn: Any, specs: Any, bank: Any, elastic: Any, work: Any) -> None:
    """Draw a block: `Drawn` is filled from `Planned` specs and a bank.

    `bank` is (padded glyphs (K, 1024) uint8, ink (K, 4) int16).
    """
    for b in range(len(drawn.words)):
        drawn.words[b] = 0
        mask = drawn.masks[b] if len(drawn.masks) > 0 else drawn.masks[:, :, 0]
        canvas = Canvas(drawn.words[b], drawn.pixels[b], mask, drawn.width)
        for d in range(specs.lengths[b]):
            row = specs.glyphs[b, d]
            if d + 1 < specs.lengths[b]:
                read_ahead(bank[0][specs.glyphs[b, d + 1]], work)
            elif b + 1 < len(drawn.words):
                read_ahead(bank[0][specs.glyphs[b + 1, 0]], work)
            digit = Digit(
                bank[0][row],
                bank[1][row],
                specs.warps[b, d],
                specs.centres[b, d],
                specs.growth[b, d],
                specs.gain[b, d],
                specs.keys[b, d],
            )
            set_quad(digit.warp, digit.centre, drawn.quads[b, d])
            drawn.visible[b, d] = draw_digit(canvas, digit, d + 1, elastic, drawn.boxes[b, d], work)
