"""Random numbers of single pixels: a hash of the pixel's place under a key of two words."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.kernels.compiled import compiled

u32 = np.uint32


@compiled
def hashed(place: Any, key: Any, other: Any) -> Any:
    """Return 32 random bits for a place, all uint32: vector instructions do many at once.

    Shifts and multipliers are those of `lowbias32` (Wellons, "Prospecting for Hash Functions",
    2018), with a word of the key before and one between its rounds.
    """
    x = u32(u32(place * u32(0x9E3779B9)) + key)
    x = u32((x ^ (x >> u32(16))) * u32(0x7FEB352D)) ^ other
    x = u32((x ^ (x >> u32(15))) * u32(0x846CA68B))
    return x ^ (x >> u32(16))
