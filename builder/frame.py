"""The frame of a glyph: the square of 28 x 28 px that MNIST puts each digit in."""

from __future__ import annotations

FRAME = 28
"""Height and width of the frame, and height of an image, px."""

HALF = FRAME / 2
"""Distance of the frame's centre from its edges, px."""

PADDED = 32
"""Side of a padded glyph, px: two background pixels around the frame let the kernel clamp
coordinates instead of testing them, and a power of two makes the address a shift."""

MARGIN = (PADDED - FRAME) // 2
"""Background pixels before the frame in a padded glyph."""
