"""Specs: the drawn numbers of a block of samples, before any pixel.

In shapes, B is the number of samples and L the length of the longest label of the recipe. Arrays
that kernels read lie in NamedTuples, which numba can pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from builder.augment.augmentation import Effect
from builder.common.constants import Floats, Int8s, Int16s, Int32s, Ints, UInt8s, Words

POSITION_SCALE = 1 << 16
"""Units of position in a pixel. Positions are integers, so no rounding differs between machines."""


class Layout(NamedTuple):
    """Where the digits of a block stand. Positions and widths are in 1/65536 px, from the left.

    Attributes:
        begins: (B, L) int64, left edge of each digit's extent.
        extents: (B, L) int64, width of each digit's extent; 0 from a sample's length on.
        left: (B,) int64, left edge of the strip, which is what the extents cover; 0 or more.
        right: (B,) int64, right edge of the strip, at most the width of the image.
        gaps: (B, L) int64, px, gap before each digit; 0 for the first and from the length on.
    """

    begins: Ints
    extents: Ints
    left: Ints
    right: Ints
    gaps: Ints


class DigitSpecs(NamedTuple):
    """The drawn numbers of each digit of a block. Past a sample's length they have no meaning.

    Attributes:
        lengths: (B,) int64, digits of each sample, 1 to L.
        glyphs: (B, L) int32, row of the glyph in its MNIST file, padded with -1.
        warps: (8, B, L) float64, the map of each digit: see `builder.augment.warp`.
        centres: (B, L) float64, px, the x in the frame that a warp takes for its centre, 0 to
            28. Its y is always 14.
        growth: (B, L) int64, how far the edges of strokes move outward, 1/256 px.
        gain: (B, L) int64, factor of the grey values of thinner strokes, 1/64; 64 to 255.
        keys: (B, L) uint64, seeds of the noise of elastic deformation.
        rms: Root mean square of elastic displacements, px, 0 to 1.5; 0 for none.
        correlation: Correlation length of elastic displacements, px, 3 to 10 where there are any.
    """

    lengths: Ints
    glyphs: Int32s
    warps: Floats
    centres: Floats
    growth: Ints
    gain: Ints
    keys: Words
    rms: float
    correlation: float


@dataclass(frozen=True)
class Specs:
    """The drawn numbers of a block of B samples of up to L digits.

    Attributes:
        index: (B,) int64, index of each sample, in [0, 2**63).
        seeds: (B,) uint64, sample seeds.
        labels: (B, L) int8, digits 0 to 9, padded with -1.
        layout: Where the extents of the digits lie.
        digits: Glyph, warp and strokes of each digit.
        effects: The effects that are on, in the order in which they act, each with its numbers
            (B, k) int64.
    """

    index: Ints
    seeds: Words
    labels: Int8s
    layout: Layout
    digits: DigitSpecs
    effects: list[tuple[Effect, Ints]]


class GlyphArrays(NamedTuple):
    """The arrays of a `DigitBank` of K glyphs that kernels read.

    Attributes:
        pixels: (K, 1024) uint8, each glyph padded to 32 x 32 and flat.
        ink: (K, 4) int16, px, x0, y0, x1, y1 of the ink in the frame.
        diagonals: (K, 4) int16, px, bounds of the ink along the diagonals.
    """

    pixels: UInt8s
    ink: Int16s
    diagonals: Int16s
