"""Constants that every room uses: frame, classes, padding, versions; and aliases of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

i16, i32, i64 = np.int16, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64
"""Types of numbers, by which kernels cast at every step."""

UInt8s = npt.NDArray[np.uint8]
"""Array of uint8: grey values, masks, counts."""

Int8s = npt.NDArray[np.int8]
"""Array of int8: digits, padded with `PAD`."""

Int16s = npt.NDArray[np.int16]
"""Array of int16: bounds of ink in a glyph, px."""

Int32s = npt.NDArray[np.int32]
"""Array of int32: rows of glyphs, fixed-point source coordinates."""

UInt32s = npt.NDArray[np.uint32]
"""Array of uint32: packed pixels and their addresses."""

Ints = npt.NDArray[np.int64]
"""Array of int64: indices, lengths, positions in 1/65536 px."""

Words = npt.NDArray[np.uint64]
"""Array of uint64: sample seeds and random words."""

Floats = npt.NDArray[np.float64]
"""Array of float64: numbers of warps, before they become fixed-point."""

Float32s = npt.NDArray[np.float32]
"""Array of float32: stored annotations."""

AnyArray = npt.NDArray[Any]
"""Array of any dtype."""

Integer = int | np.integer
"""A whole number that is Python's or numpy's."""

FRAME = 28
"""Height and width of the frame, and height of an image, px."""

HALF = FRAME / 2
"""Distance of the frame's centre from its edges, px."""

PADDED = 32
"""Side of a padded glyph, px. With two background pixels around the frame the kernel clamps
coordinates instead of testing them; with a power of two an address is a shift."""

MARGIN = (PADDED - FRAME) // 2
"""Background pixels before the frame in a padded glyph."""

CLASSES = 10
"""Digits 0 to 9."""

PAD = -1
"""Fills labels and glyphs from a sample's length on."""

GENERATOR_VERSION = 2
"""Rises when any pixel or label of any recipe changes; golden digests show such a change."""

FORMAT_VERSION = 2
"""Rises when the files of a dataset change in a way that concerns readers."""

RECIPE_VERSION = 1
"""Rises when the JSON form of a recipe changes in a way that concerns readers."""
