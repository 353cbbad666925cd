"""Cells of a digit into an image: combined by maximum, with bounds, cut edges and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.common.constants import FRAME
from builder.common.jit import jit
from builder.generator.kernels.mesh import CELL, STEP

i32, u32 = np.int32, np.uint32

HIGH = u32(0x80808080)
REST = u32(0x7F7F7F7F)


@jit
def larger_bytes(a: Any, b: Any) -> Any:
    """Return the larger of each of the four bytes of two words."""
    rest = u32((a | HIGH) - (b & REST))
    at_least = u32(((a & ~b) | (~(a ^ b) & rest)) & HIGH)
    mine = u32(u32(at_least >> u32(7)) * u32(255))
    return u32((a & mine) | (b & ~mine))


@jit
def cut(chosen: Any, count: Any, grid: Any, width: Any, value: Any) -> Any:
    """Clear the values of cells' pixels that lie outside an image; return the sum of these."""
    lost = 0
    begin, y = 0, STEP * grid.y
    for n in range(count):
        while chosen[n] >= begin + grid.columns:
            begin, y = begin + grid.columns, y + STEP
        x = STEP * (grid.x + chosen[n] - begin)
        if x < 0 or y < 0 or y >= FRAME or x + STEP > width:  # the height is whole cells
            inside = width - x if 0 <= x < width and 0 <= y < FRAME else 0
            for k in range(CELL):
                if k % STEP >= inside:
                    lost += int(value[CELL * n + k])
                    value[CELL * n + k] = 0
    return lost


@jit
def total_of(value: Any, count: Any) -> Any:
    """Return the sum of a run of grey values."""
    total = i32(0)
    for i in range(count):
        total += i32(value[i])
    return int(total)


@jit
def mark(chosen: Any, count: Any, grid: Any, value: Any, canvas: Any, number: Any) -> None:
    """Set the mask to `number` where a digit is brighter than all in the image so far."""
    for n in range(count):
        x = STEP * (grid.x + chosen[n] % grid.columns)
        y = STEP * (grid.y + chosen[n] // grid.columns)
        for k in range(CELL):
            column, row = x + k % STEP, y + k // STEP
            if value[CELL * n + k] > 0 and value[CELL * n + k] > canvas.pixels[row, column]:
                canvas.mask[row, column] = number


@jit
def place(chosen: Any, count: Any, grid: Any, canvas: Any, work: Any) -> None:
    """Combine cells with the image by maximum, and note which rows and columns hold ink."""
    words, image = work.words, canvas.words
    begin, y = 0, STEP * grid.y
    for n in range(count):
        while chosen[n] >= begin + grid.columns:
            begin, y = begin + grid.columns, y + STEP
        x = grid.x + chosen[n] - begin
        if 0 <= x < image.shape[1] and 0 <= y < FRAME:
            a, b, c, d = words[4 * n], words[4 * n + 1], words[4 * n + 2], words[4 * n + 3]
            work.columns[x] |= a | b | c | d
            work.rows[y] |= a
            work.rows[y + 1] |= b
            work.rows[y + 2] |= c
            work.rows[y + 3] |= d
            e, f, g, h = image[y, x], image[y + 1, x], image[y + 2, x], image[y + 3, x]
            if e | f | g | h:  # another digit is there: rare
                a, b = larger_bytes(a, e), larger_bytes(b, f)
                c, d = larger_bytes(c, g), larger_bytes(d, h)
            image[y, x], image[y + 1, x], image[y + 2, x], image[y + 3, x] = a, b, c, d


@jit
def set_box(first: Any, last: Any, work: Any, box: Any) -> bool:
    """Set the half-open bounds of the ink in word columns `first` to below `last`, if any."""
    while first < last and work.columns[first] == 0:
        first += 1
    if first == last:
        return False
    while work.columns[last - 1] == 0:
        last -= 1
    left, right, top, bottom = STEP * first, STEP * last, 0, FRAME
    while work.column[left] == 0:
        left += 1
    while work.column[right - 1] == 0:
        right -= 1
    while work.rows[top] == 0:
        top += 1
    while work.rows[bottom - 1] == 0:
        bottom -= 1
    box[0], box[1], box[2], box[3] = left, top, right, bottom
    return True
