"""The canvas of a block: cells are clipped to an image and combined with it by maximum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from builder.common.constants import FRAME, Float32s, UInt8s, UInt32s, i32, u32
from builder.common.jit import jit
from builder.generator.kernels.buffers import CELL, STEP, Buffers, Cells

HIGH = u32(0x80808080)
"""The highest bit of each byte of a word."""

REST = u32(0x7F7F7F7F)
"""The other bits."""


class Canvas(NamedTuple):
    """Where a block of B samples of up to L digits is drawn.

    Attributes:
        words: (B, 28, W / 4) uint32, rounded up: the images, four pixels in a word.
        pixels: (B, 28, W) uint8, W rounded up to whole words: the same memory, pixel by pixel.
        masks: (B, 28, W) uint8, or (0, 28, W) where no masks are asked for.
        boxes: (B, L, 4) float32, px, x0, y0, x1, y1.
        quads: (B, L, 4, 2) float32, px, (x, y) of four corners.
        visible: (B, L) float32, 0 to 1.
        width: W, width of the images, px.
    """

    words: UInt32s
    pixels: UInt8s
    masks: UInt8s
    boxes: Float32s
    quads: Float32s
    visible: Float32s
    width: int


@jit
def composite_digit(canvas: Canvas, b: int, d: int, cells: Cells, buffers: Buffers) -> None:
    """Composite a digit onto image `b` of a canvas; set its box, visible share and mask."""
    grid, width = cells.grid, canvas.width
    right, bottom = grid.x + grid.columns - 1, grid.y + grid.rows - 1
    visible = 1.0
    if grid.x < 0 or grid.y < 0 or STEP * right > width or STEP * bottom > FRAME:
        lost = clip(cells, width, buffers)
        if lost > 0:
            kept = sum_values(cells, buffers)
            visible = kept / (kept + lost)
    if canvas.masks.size > 0:
        update_mask(cells, canvas, b, d + 1, buffers)
    end = len(buffers.column_words)
    first, last = min(max(grid.x, 0), end), min(max(right, 0), end)
    for x in range(first, last):
        buffers.column_words[x] = 0
    for y in range(FRAME):
        buffers.rows[y] = 0
    composite(cells, canvas.words[b], buffers)
    inked = set_box(first, last, buffers, canvas.boxes[b, d])
    canvas.visible[b, d] = visible if inked else 0.0


@jit
def clip(cells: Cells, width: int, buffers: Buffers) -> int:
    """Clear the values of pixels that lie outside an image; return the sum of these."""
    grid, values, lost = cells.grid, buffers.values, 0
    begin, y = 0, STEP * grid.y
    for n in range(cells.size):
        while buffers.cells[n] >= begin + grid.columns:
            begin, y = begin + grid.columns, y + STEP
        x = STEP * (grid.x + buffers.cells[n] - begin)
        if x < 0 or y < 0 or y >= FRAME or x + STEP > width:  # the height is whole cells
            inside = width - x if 0 <= x < width and 0 <= y < FRAME else 0
            for k in range(CELL):
                if k % STEP >= inside:
                    lost += int(values[CELL * n + k])
                    values[CELL * n + k] = 0
    return lost


@jit
def sum_values(cells: Cells, buffers: Buffers) -> int:
    """Return the sum of the grey values of cells."""
    total = i32(0)
    for i in range(CELL * cells.size):
        total += i32(buffers.values[i])
    return int(total)


@jit
def update_mask(cells: Cells, canvas: Canvas, b: int, number: int, buffers: Buffers) -> None:
    """Set the mask to `number` where a digit is brighter than all in the image so far."""
    grid, values = cells.grid, buffers.values
    for n in range(cells.size):
        x = STEP * (grid.x + buffers.cells[n] % grid.columns)
        y = STEP * (grid.y + buffers.cells[n] // grid.columns)
        for k in range(CELL):
            column, row, value = x + k % STEP, y + k // STEP, values[CELL * n + k]
            if value > 0 and value > canvas.pixels[b, row, column]:  # 0 outside of the image
                canvas.masks[b, row, column] = number


@jit
def composite(cells: Cells, image: UInt32s, buffers: Buffers) -> None:
    """Combine cells with an image by maximum, and note which rows and columns hold their ink.

    `image` (28, W / 4) is one of `Canvas.words`.
    """
    grid, words, columns, rows = cells.grid, buffers.words, buffers.column_words, buffers.rows
    begin, y = 0, STEP * grid.y
    for n in range(cells.size):
        while buffers.cells[n] >= begin + grid.columns:
            begin, y = begin + grid.columns, y + STEP
        x = grid.x + buffers.cells[n] - begin
        if 0 <= x < image.shape[1] and 0 <= y < FRAME:
            a, b, c, d = words[4 * n], words[4 * n + 1], words[4 * n + 2], words[4 * n + 3]
            columns[x] |= a | b | c | d
            rows[y] |= a
            rows[y + 1] |= b
            rows[y + 2] |= c
            rows[y + 3] |= d
            e, f, g, h = image[y, x], image[y + 1, x], image[y + 2, x], image[y + 3, x]
            if e | f | g | h:  # another digit is there: rare
                a, b = max_bytes(a, e), max_bytes(b, f)
                c, d = max_bytes(c, g), max_bytes(d, h)
            image[y, x], image[y + 1, x], image[y + 2, x], image[y + 3, x] = a, b, c, d


@jit
def max_bytes(a: np.uint32, b: np.uint32) -> np.uint32:
    """Return the larger of each of the four bytes of two words."""
    rest = u32((a | HIGH) - (b & REST))
    at_least = u32(((a & ~b) | (~(a ^ b) & rest)) & HIGH)
    from_a = u32(u32(at_least >> u32(7)) * u32(255))
    return u32((a & from_a) | (b & ~from_a))


@jit
def set_box(first: int, last: int, buffers: Buffers, box: Float32s) -> bool:
    """Set the half-open bounds of the ink in word columns `first` to below `last`, if any."""
    words, columns, rows = buffers.column_words, buffers.columns, buffers.rows
    while first < last and words[first] == 0:
        first += 1
    if first == last:
        return False
    while words[last - 1] == 0:
        last -= 1
    left, right, top, bottom = STEP * first, STEP * last, 0, FRAME
    while columns[left] == 0:
        left += 1
    while columns[right - 1] == 0:
        right -= 1
    while rows[top] == 0:
        top += 1
    while rows[bottom - 1] == 0:
        bottom -= 1
    box[0], box[1], box[2], box[3] = left, top, right, bottom
    return True
