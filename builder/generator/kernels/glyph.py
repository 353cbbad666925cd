"""Source glyphs, made ready for sampling: strokes thinner or thicker, texels packed into words."""

from __future__ import annotations

from typing import NamedTuple

from builder.common.constants import FRAME, MARGIN, PADDED, Int16s, UInt8s, UInt32s, u8, u16, u32
from builder.common.jit import jit
from builder.generator.kernels.buffers import Bounds, Buffers

GROWTH_SCALE = 256
"""Units of growth in a pixel: grey value times growth, and half of one, fit into 16 bits."""

DIAGONAL = 362
"""The diagonal of a pixel, 1/256 px, by which growth along it is less."""

HALF_LEVEL = u16(128)

KEEP = 64
"""The gain that leaves grey values as they are, and the unit of gains."""


class Span(NamedTuple):
    """A run of `size` addresses of a padded glyph (1024,), from `first` on."""

    first: int
    size: int


@jit
def thicken(glyph: UInt8s, span: Span, growth: int, out: UInt8s) -> None:
    """Set a span of `out` to the glyph with the edges of strokes `growth` / 256 px further out.

    The glyph is shifted by that much along each of eight directions, linear between pixels, and
    the largest value is kept. So straight edges stay as sharp as they are. `growth` is 0 to 256.
    """
    first = span.first
    g, result = glyph[first:], out[first:]
    left, right = glyph[first - 1 :], glyph[first + 1 :]
    up, down = glyph[first - PADDED :], glyph[first + PADDED :]
    up_left, up_right = glyph[first - PADDED - 1 :], glyph[first - PADDED + 1 :]
    down_left, down_right = glyph[first + PADDED - 1 :], glyph[first + PADDED + 1 :]
    straight, slanted = u16(growth), u16((growth * GROWTH_SCALE + DIAGONAL // 2) // DIAGONAL)
    for i in range(span.size):
        near = max(max(left[i], right[i]), max(up[i], down[i]))
        far = max(max(up_left[i], up_right[i]), max(down_left[i], down_right[i]))
        more = u16(u16(max(near, g[i]) - g[i]) * straight)
        other = u16(u16(max(far, g[i]) - g[i]) * slanted)
        result[i] = u8(g[i] + u8(u16(max(more, other) + HALF_LEVEL) >> 8))


@jit
def thin(glyph: UInt8s, span: Span, growth: int, gain: int, out: UInt8s) -> None:
    """Set a span of `out` to the glyph with the edges of strokes `growth` / 256 px further in.

    It is `thicken` of the negative. Then values are multiplied by `gain` / 64, below 4, since the
    brightest line of a thin stroke loses some where edges come near it. One function for both,
    with values flipped by an exclusive or, took 8 % more of the time of an image.
    """
    first = span.first
    g, result = glyph[first:], out[first:]
    left, right = glyph[first - 1 :], glyph[first + 1 :]
    up, down = glyph[first - PADDED :], glyph[first + PADDED :]
    up_left, up_right = glyph[first - PADDED - 1 :], glyph[first - PADDED + 1 :]
    down_left, down_right = glyph[first + PADDED - 1 :], glyph[first + PADDED + 1 :]
    straight, slanted = u16(growth), u16((growth * GROWTH_SCALE + DIAGONAL // 2) // DIAGONAL)
    for i in range(span.size):
        near = min(min(left[i], right[i]), min(up[i], down[i]))
        far = min(min(up_left[i], up_right[i]), min(down_left[i], down_right[i]))
        less = u16(u16(g[i] - min(near, g[i])) * straight)
        other = u16(u16(g[i] - min(far, g[i])) * slanted)
        value = u16(g[i] - u8(u16(max(less, other) + HALF_LEVEL) >> 8))
        result[i] = u8(min(u16(u16(value * u16(gain) + u16(32)) >> 6), u16(255)))


@jit
def pack_texels(glyph: UInt8s, span: Span, texels: UInt32s) -> None:
    """Pack the four pixels of bilinear sampling into one word, for a span of addresses."""
    first = span.first
    a, b = glyph[first:], glyph[first + 1 :]
    c, d = glyph[first + PADDED :], glyph[first + PADDED + 1 :]
    out = texels[first:]
    for i in range(span.size):
        low = u32(a[i]) | u32(u32(b[i]) << u32(8))
        out[i] = low | u32(u32(c[i]) << u32(16)) | u32(u32(d[i]) << u32(24))


@jit
def clear_margins(glyph: UInt8s) -> None:
    """Clear what lies beside the frame of a padded glyph."""
    for row in range(PADDED):
        for column in range(MARGIN):
            glyph[PADDED * row + column] = 0
            glyph[PADDED * row + PADDED - 1 - column] = 0


@jit
def prepare_glyph(glyph: UInt8s, ink: Int16s, growth: int, gain: int, buffers: Buffers) -> Bounds:
    """Pack the glyph, strokes grown by `growth` / 256 px, into texels; return its ink bounds.

    A pass moves edges by a pixel at most. Ink never grows out of the frame.
    """
    left, top, right, bottom = int(ink[0]), int(ink[1]), int(ink[2]), int(ink[3])
    turn, rest, passes = 0, growth, -(-max(growth, -growth) // GROWTH_SCALE)
    margin = 2 * passes + 1  # of rows that sampling reads, or a pass from the one before it
    begin, end = max(top - margin, 0) + MARGIN, min(bottom + margin, FRAME) + MARGIN
    span = Span(PADDED * begin, PADDED * (end - begin))
    while rest != 0 and right > left:
        part = min(max(rest, -GROWTH_SCALE), GROWTH_SCALE)
        out = buffers.glyphs[turn]
        if part > 0:
            thicken(glyph, span, part, out)
        else:
            thin(glyph, span, -part, gain if part == rest else KEEP, out)
        if left == 0 or right == FRAME:
            clear_margins(out)
        glyph, turn, rest = out, 1 - turn, rest - part
        if part > 0:
            left, top = max(left - 1, 0), max(top - 1, 0)
            right, bottom = min(right + 1, FRAME), min(bottom + 1, FRAME)
    first = (top + MARGIN - 2) * PADDED
    rows = min(bottom - top + 3, PADDED - 1 - first // PADDED)
    pack_texels(glyph, Span(first, rows * PADDED - 1), buffers.texels)
    return left, top, right, bottom
