"""Source glyphs, made ready for sampling: strokes thinner or thicker, pixels gathered in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.common.constants import FRAME, MARGIN, PADDED
from builder.common.jit import jit

u8, u16, u32 = np.uint8, np.uint16, np.uint32

ONE = 256
"""One pixel of growth: grey value times growth, and half of one, fit into 16 bits."""

DIAGONAL = 362
"""The diagonal of a pixel in 1/256 px, by which growth along it is less."""


HALF_LEVEL = u16(128)


@jit
def thickened(glyph: Any, first: Any, count: Any, growth: Any, out: Any) -> None:
    """Move the edges of strokes outward by `growth` / 256 px, 0 to 256.

    Along each of eight directions the glyph is shifted by that much, linear between pixels, and
    the largest value wins. So straight edges move as they are, no more blurred and no less.
    Addresses `first` to `first + count` of `out` are set.
    """
    g, result = glyph[first:], out[first:]
    left, right = glyph[first - 1 :], glyph[first + 1 :]
    up, down = glyph[first - PADDED :], glyph[first + PADDED :]
    up_left, up_right = glyph[first - PADDED - 1 :], glyph[first - PADDED + 1 :]
    down_left, down_right = glyph[first + PADDED - 1 :], glyph[first + PADDED + 1 :]
    straight, slanted = u16(growth), u16((growth * ONE + DIAGONAL // 2) // DIAGONAL)
    for i in range(count):
        near = max(max(left[i], right[i]), max(up[i], down[i]))
        far = max(max(up_left[i], up_right[i]), max(down_left[i], down_right[i]))
        more = u16(u16(max(near, g[i]) - g[i]) * straight)
        other = u16(u16(max(far, g[i]) - g[i]) * slanted)
        result[i] = u8(g[i] + u8(u16(max(more, other) + HALF_LEVEL) >> 8))


@jit
def thinned(glyph: Any, first: Any, count: Any, growth: Any, gain: Any, out: Any) -> None:
    """Move the edges of strokes inward by `growth` / 256 px: `thickened` of the negative.

    Then values are multiplied by `gain` / 64, below 4: the brightest line of a thin stroke has
    lost some by the edges that came near it.
    """
    g, result = glyph[first:], out[first:]
    left, right = glyph[first - 1 :], glyph[first + 1 :]
    up, down = glyph[first - PADDED :], glyph[first + PADDED :]
    up_left, up_right = glyph[first - PADDED - 1 :], glyph[first - PADDED + 1 :]
    down_left, down_right = glyph[first + PADDED - 1 :], glyph[first + PADDED + 1 :]
    straight, slanted = u16(growth), u16((growth * ONE + DIAGONAL // 2) // DIAGONAL)
    for i in range(count):
        near = min(min(left[i], right[i]), min(up[i], down[i]))
        far = min(min(up_left[i], up_right[i]), min(down_left[i], down_right[i]))
        less = u16(u16(g[i] - min(near, g[i])) * straight)
        other = u16(u16(g[i] - min(far, g[i])) * slanted)
        value = u16(g[i] - u8(u16(max(less, other) + HALF_LEVEL) >> 8))
        result[i] = u8(min(u16(u16(value * u16(gain) + u16(32)) >> 6), u16(255)))


@jit
def pack(glyph: Any, first: Any, count: Any, quads: Any) -> None:
    """Gather the four pixels of bilinear sampling into one word, for a run of addresses."""
    a = glyph[first:]
    b = glyph[first + 1 :]
    c = glyph[first + PADDED :]
    d = glyph[first + PADDED + 1 :]
    out = quads[first:]
    for i in range(count):
        low = u32(a[i]) | u32(u32(b[i]) << u32(8))
        out[i] = low | u32(u32(c[i]) << u32(16)) | u32(u32(d[i]) << u32(24))


@jit
def clear_margins(glyph: Any) -> None:
    """Clear what lies beside the frame of a padded glyph."""
    for row in range(PADDED):
        for column in range(MARGIN):
            glyph[PADDED * row + column] = 0
            glyph[PADDED * row + PADDED - 1 - column] = 0


@jit
def prepare_glyph(glyph: Any, ink: Any, growth: Any, gain: Any, work: Any) -> Any:
    """Gather the glyph, strokes grown by `growth` / 256 px, in `work.quads`; return its ink bounds.

    Ink never grows out of the frame.
    """
    left, top, right, bottom = int(ink[0]), int(ink[1]), int(ink[2]), int(ink[3])
    turn, rest, passes = 0, growth, -(-max(growth, -growth) // ONE)
    spread = 2 * passes + 1  # of rows that sampling reads, or a pass from the one before it
    begin, end = max(top - spread, 0) + MARGIN, min(bottom + spread, FRAME) + MARGIN
    while rest != 0 and right > left:
        part = min(max(rest, -ONE), ONE)
        out = work.grown[turn]
        if part > 0:
            thickened(glyph, PADDED * begin, PADDED * (end - begin), part, out)
        else:
            contrast = gain if part == rest else 64
            thinned(glyph, PADDED * begin, PADDED * (end - begin), -part, contrast, out)
        if left == 0 or right == FRAME:
            clear_margins(out)
        glyph, turn, rest = out, 1 - turn, rest - part
        if part > 0:
            left, top = max(left - 1, 0), max(top - 1, 0)
            right, bottom = min(right + 1, FRAME), min(bottom + 1, FRAME)
    first = (top + MARGIN - 2) * PADDED
    rows = min(bottom - top + 3, PADDED - 1 - first // PADDED)
    pack(glyph, first, rows * PADDED - 1, work.quads)
    return left, top, right, bottom
