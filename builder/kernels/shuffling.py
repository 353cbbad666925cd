"""The swap-or-not shuffle: each number's place in a permutation, without the others.

Hoang, Morris and Rogaway, "An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.kernels.compiled import compiled
from builder.kernels.mixing import GOLDEN, below, below_wide, mixed

u64 = np.uint64


@compiled
def swap_or_not(keys: Any, addresses: Any, size: Any, values: Any) -> None:
    """Put in place of values (B,) int64 below `size` what a permutation of each key makes of them.

    `keys` (B,) uint64; `addresses` (R,) uint64, one for each round: a round pairs every value
    with one other, and swaps the pair or not. All values go through a round before the next
    begins, so that the processor works on several at a time.
    """
    narrow = size <= 1 << 32
    for address in addresses:
        for b in range(len(values)):
            word, value = mixed(u64(keys[b] + address)), values[b]
            drawn = below(word, size) if narrow else below_wide(word, size)
            partner = drawn - value
            if partner < 0:
                partner += size
            pair = u64(max(value, partner)) + u64(1)
            if mixed(u64(word + pair * u64(GOLDEN))) >> u64(63):
                values[b] = partner
