"""Kernels of `builder.common.rng`: words of a block, and the numbers and places they become."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.common.jit import jit

i64, u64 = np.int64, np.uint64

GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


@jit
def mixed(x: Any) -> Any:
    """Return SplitMix64's output function of a uint64."""
    x = u64((x ^ (x >> u64(30))) * u64(FIRST))
    x = u64((x ^ (x >> u64(27))) * u64(SECOND))
    return x ^ (x >> u64(31))


@jit
def mix_all(seeds: Any, addresses: Any, words: Any) -> None:
    """Fill words (B, L) uint64 with the output function of each seed + address."""
    for b in range(len(seeds)):
        row = words[b]
        for d in range(len(addresses)):
            row[d] = mixed(u64(seeds[b] + addresses[d]))


@jit
def below(word: Any, bound: Any) -> Any:
    """Return a word mapped onto [0, bound) int64 by its upper half, `bound` in [1, 2**32]."""
    return i64((word >> u64(32)) * u64(bound) >> u64(32))


@jit
def below_wide(word: Any, bound: Any) -> Any:
    """Return a word mapped onto [0, bound) int64 by a product of 128 bits, `bound` up to 2**63."""
    high, low, half = word >> u64(32), word & u64(0xFFFFFFFF), u64(32)
    bound_high, bound_low = u64(bound) >> half, u64(bound) & u64(0xFFFFFFFF)
    middle = high * bound_low + (low * bound_low >> half)
    carry = (middle & u64(0xFFFFFFFF)) + low * bound_high
    return i64(high * bound_high + (middle >> half) + (carry >> half))


@jit
def all_below_wide(words: Any, bound: Any, numbers: Any) -> None:
    """Fill numbers (N,) int64 with words (N,) uint64 mapped onto [0, bound)."""
    for n in range(len(words)):
        numbers[n] = below_wide(words[n], bound)


@jit
def signed_unit(word: Any) -> Any:
    """Return a word mapped onto [-1, 1): an exact multiple of 2**-52."""
    return float(i64(word >> u64(11)) - i64(1 << 52)) * 2.0**-52


@jit
def signed_units(words: Any, numbers: Any) -> None:
    """Fill numbers (N,) float64 with words (N,) mapped onto [-1, 1)."""
    for n in range(len(words)):
        numbers[n] = signed_unit(words[n])


@jit
def fold_units(strip: Any, words: Any, residue: Any, numbers: Any) -> None:
    """Fill numbers (B, L) with strip (B,) + residue * words (B, L), folded back into [-1, 1].

    Words of strips and of digits are mapped onto [-1, 1) before; `residue` is 2 at most.
    """
    for b in range(len(words)):
        common, row, out = signed_unit(strip[b]), words[b], numbers[b]
        for d in range(len(row)):
            x = common + residue * signed_unit(row[d])
            out[d] = 2.0 - x if x > 1.0 else (-2.0 - x if x < -1.0 else x)


u64 = np.uint64


@jit
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


u32 = np.uint32


@jit
def hashed(place: Any, key: Any, other: Any) -> Any:
    """Return 32 random bits for a place, all uint32: vector instructions do many at once.

    Shifts and multipliers are those of `lowbias32` (Wellons, "Prospecting for Hash Functions",
    2018), with a word of the key before and one between its rounds.
    """
    x = u32(u32(place * u32(0x9E3779B9)) + key)
    x = u32((x ^ (x >> u32(16))) * u32(0x7FEB352D)) ^ other
    x = u32((x ^ (x >> u32(15))) * u32(0x846CA68B))
    return x ^ (x >> u32(16))
