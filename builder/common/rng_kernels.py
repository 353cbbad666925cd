"""Kernels of `builder.common.rng`: random words, and the numbers that they become."""

from __future__ import annotations

import numpy as np

from builder.common.constants import Floats, Integer, Ints, Words, i64, u32, u64
from builder.common.jit import jit

GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


@jit
def mix(x: np.uint64) -> np.uint64:
    """Return SplitMix64's output function of a word."""
    x = u64((x ^ (x >> u64(30))) * u64(FIRST))
    x = u64((x ^ (x >> u64(27))) * u64(SECOND))
    return x ^ (x >> u64(31))


@jit
def fill_words(seeds: Words, addresses: Words, words: Words) -> None:
    """Fill words (B, L) with the output function of seeds (B,) + addresses (L,)."""
    for b in range(len(seeds)):
        row = words[b]
        for d in range(len(addresses)):
            row[d] = mix(u64(seeds[b] + addresses[d]))


@jit
def word_below(word: np.uint64, bound: Integer) -> np.int64:
    """Map a word onto [0, bound) by its upper half, `bound` in [1, 2**32]."""
    return i64((word >> u64(32)) * u64(bound) >> u64(32))


@jit
def word_below_wide(word: np.uint64, bound: Integer) -> np.int64:
    """Map a word onto [0, bound) by a product of 128 bits, `bound` in [1, 2**63]."""
    high, low, half = word >> u64(32), word & u64(0xFFFFFFFF), u64(32)
    bound_high, bound_low = u64(bound) >> half, u64(bound) & u64(0xFFFFFFFF)
    middle = high * bound_low + (low * bound_low >> half)
    carry = (middle & u64(0xFFFFFFFF)) + low * bound_high
    return i64(high * bound_high + (middle >> half) + (carry >> half))


@jit
def fill_below_wide(words: Words, bound: Integer, numbers: Ints) -> None:
    """Fill numbers (N,) with words (N,) mapped onto [0, bound)."""
    for n in range(len(words)):
        numbers[n] = word_below_wide(words[n], bound)


@jit
def word_to_unit(word: np.uint64) -> float:
    """Map a word onto [-1, 1), an exact multiple of 2**-52."""
    return float(i64(word >> u64(11)) - i64(1 << 52)) * 2.0**-52


@jit
def fill_signed(words: Words, numbers: Floats) -> None:
    """Fill numbers (N,) with words (N,) mapped onto [-1, 1)."""
    for n in range(len(words)):
        numbers[n] = word_to_unit(words[n])


@jit
def fill_folded(strip: Words, words: Words, residue: float, numbers: Floats) -> None:
    """Fill numbers (B, L) with strip (B,) + residue * words (B, L), folded back into [-1, 1].

    Both kinds of words are mapped onto [-1, 1) first. `residue` is 2 at most.
    """
    for b in range(len(words)):
        common, row, out = word_to_unit(strip[b]), words[b], numbers[b]
        for d in range(len(row)):
            x = common + residue * word_to_unit(row[d])
            out[d] = 2.0 - x if x > 1.0 else (-2.0 - x if x < -1.0 else x)


@jit
def swap_or_not(keys: Words, addresses: Words, size: Integer, values: Ints) -> None:
    """Replace values (B,) below `size` by their images under the permutation of each key (B,).

    The shuffle has one round for each of `addresses` (R,): a round pairs every value with one
    other, and swaps the pair or not. All values go through a round before the next begins, so
    that the processor works on several at a time.

    Source: V. T. Hoang, B. Morris and P. Rogaway, "An Enciphering Scheme Based on a Card
    Shuffle", CRYPTO 2012.
    """
    narrow = size <= 1 << 32
    for address in addresses:
        for b in range(len(values)):
            word, value = mix(u64(keys[b] + address)), values[b]
            drawn = word_below(word, size) if narrow else word_below_wide(word, size)
            partner = drawn - value
            if partner < 0:
                partner += size
            pair = u64(max(value, partner)) + u64(1)
            if mix(u64(word + pair * u64(GOLDEN))) >> u64(63):
                values[b] = partner


@jit
def hash_pixel(place: np.uint32, key: np.uint32, other: np.uint32) -> np.uint32:
    """Return 32 random bits for the pixel number `place`, under a key of two words.

    All is uint32, so that vector instructions hash many pixels at once. Shifts and multipliers
    are those of `lowbias32` (Wellons, "Prospecting for Hash Functions", 2018), with one word of
    the key before its rounds and the other between them.
    """
    x = u32(u32(place * u32(0x9E3779B9)) + key)
    x = u32((x ^ (x >> u32(16))) * u32(0x7FEB352D)) ^ other
    x = u32((x ^ (x >> u32(15))) * u32(0x846CA68B))
    return x ^ (x >> u32(16))
