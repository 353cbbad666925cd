"""Drawing: each digit of a block is rasterized through its mesh and composited onto its image."""

from __future__ import annotations

import numpy as np

from builder.common.constants import FRAME, HALF, PADDED, Float32s, Floats, UInt8s
from builder.common.jit import jit
from builder.generator.kernels.buffers import STEP, Bounds, Buffers, Cells, Grid
from builder.generator.kernels.canvas import Canvas, composite_digit
from builder.generator.kernels.elastic import (
    displace,
    draw_noise,
    largest_displacement,
    smooth_noise,
)
from builder.generator.kernels.glyph import GROWTH_SCALE, prepare_glyph
from builder.generator.kernels.mesh import (
    count_nodes,
    find_inked_cells,
    interpolate,
    list_inked_cells,
    map_nodes,
    map_pixels,
)
from builder.planner.specs import DigitSpecs, GlyphArrays

CACHE_LINE = 64
"""Bytes that the processor fetches at a time."""


@jit
def draw_block(canvas: Canvas, specs: DigitSpecs, bank: GlyphArrays, buffers: Buffers) -> None:
    """Draw the digits of a block onto the images of a canvas, which are cleared first.

    Annotations past a sample's length, and masks where no digit is, stay as they are.
    """
    for b in range(len(canvas.words)):
        canvas.words[b] = 0
        for d in range(specs.lengths[b]):
            if d + 1 < specs.lengths[b]:
                prefetch(bank.pixels[specs.glyphs[b, d + 1]], buffers)
            elif b + 1 < len(canvas.words):
                prefetch(bank.pixels[specs.glyphs[b + 1, 0]], buffers)
            set_quad(specs.warps[:, b, d], specs.centres[b, d], canvas.quads[b, d])
            cells = rasterize(specs, bank, b, d, buffers)
            composite_digit(canvas, b, d, cells, buffers)


@jit
def rasterize(specs: DigitSpecs, bank: GlyphArrays, b: int, d: int, buffers: Buffers) -> Cells:
    """Draw digit `d` of sample `b` alone, into the values of the cells that it touches."""
    row, warp, centre = specs.glyphs[b, d], specs.warps[:, b, d], specs.centres[b, d]
    growth, gain = specs.growth[b, d], specs.gain[b, d]
    ink = prepare_glyph(bank.pixels[row], bank.ink[row], growth, gain, buffers)
    reach = 0.0
    if specs.rms > 0:
        draw_noise(specs.keys[b, d], buffers.noise)
        reach = smooth_noise(specs.rms, buffers)
    grid = enclose(warp, centre, ink, reach)
    map_nodes(warp, centre, grid, buffers.nodes)
    if specs.rms > 0:
        displace(centre, specs.correlation, count_nodes(grid), buffers)
    find_inked_cells(grid, ink, buffers)
    cells = list_inked_cells(grid, buffers)
    map_pixels(cells, ink, buffers)
    interpolate(cells, buffers)
    return cells


@jit
def enclose(warp: Floats, centre: float, ink: Bounds, reach: float) -> Grid:
    """Return the grid of cells that ink can touch, if it lies up to `reach` px further out.

    Bilinear sampling spreads a pixel half its size beyond its edges. A projective map keeps a
    rectangle convex, so its corners bound it.
    """
    more = 0.5 + reach
    x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
    for corner in range(4):
        p = (ink[0] - more if corner % 2 == 0 else ink[2] + more) - centre
        q = (ink[1] - more if corner < 2 else ink[3] + more) - HALF
        x, y = project(warp, p, q)
        x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    left, top = int(np.floor(x0 / STEP)), int(np.floor(y0 / STEP))
    right, bottom = int(np.ceil(x1 / STEP)), int(np.ceil(y1 / STEP))
    return Grid(left, top, right - left + 1, bottom - top + 1)


@jit
def find_most_nodes(specs: DigitSpecs, bank: GlyphArrays) -> int:
    """Return the most nodes that a digit of a block can need."""
    most, displacement = 0, largest_displacement(specs.rms)
    for b in range(len(specs.lengths)):
        for d in range(specs.lengths[b]):
            ink = bank.ink[specs.glyphs[b, d]]
            reach = abs(specs.growth[b, d]) / GROWTH_SCALE + 1.0 + displacement
            grid = enclose(specs.warps[:, b, d], specs.centres[b, d], ink, reach)
            most = max(most, grid.columns * grid.rows)
    return most


@jit
def set_quad(warp: Floats, centre: float, quad: Float32s) -> None:
    """Set quad (4, 2) to where the frame's corners go: x, y, from top left clockwise."""
    for corner in range(4):
        p = (FRAME if corner in (1, 2) else 0.0) - centre
        q = (FRAME if corner > 1 else 0.0) - HALF
        quad[corner, 0], quad[corner, 1] = project(warp, p, q)


@jit
def project(warp: Floats, p: float, q: float) -> tuple[float, float]:
    """Return where in the image, px, a warp takes a point (p, q), px from its centre."""
    depth = 1.0 + warp[4] * p + warp[5] * q
    x = warp[6] + (warp[0] * p + warp[1] * q) / depth
    y = warp[7] + (warp[2] * p + warp[3] * q) / depth
    return x, y


@jit
def prefetch(glyph: UInt8s, buffers: Buffers) -> None:
    """Read a glyph, 16 lines of the processor's cache, so that it is there when it is drawn.

    Glyphs lie all over the bank, and each read misses the cache: this saved 5 % of the time.
    """
    total = 0
    for i in range(0, PADDED * PADDED, CACHE_LINE):
        total += int(glyph[i])
    buffers.halfway[0] = np.int16(total)  # stored so that the compiler keeps the reads
