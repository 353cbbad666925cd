"""All randomness of the project: sample seeds, named streams of words, and integer maps of words.

Nothing here has a state. A word is a pure function of (sample seed, stream, position,
draw), so any number of any sample can be computed alone, in any order, on any machine.

Sources: `mix64` is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
Splittable Pseudorandom Number Generators", OOPSLA 2014), with the constants of Stafford's
variant 13. The multiply-shift map of a word onto a range is Lemire's ("Fast Random Integer
Generation in an Interval", 2019) without the rejection step: 32 bits onto n values make
them uneven by at most n / 2**32, which is 1.6e-6 for the 6,742 ones of the training split.
"""

from __future__ import annotations

import secrets
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

from builder.common import rng_kernels
from builder.common.constants import Floats, Ints, Words
from builder.common.errors import UsageError
from builder.common.rng_kernels import GOLDEN
from builder.common.validation import whole_number

MASK = (1 << 64) - 1
INDEX_LIMIT = 1 << 63

_A, _B = rng_kernels.FIRST, rng_kernels.SECOND
_A_INVERSE, _B_INVERSE, _GOLDEN_INVERSE = (pow(m, -1, 1 << 64) for m in (_A, _B, GOLDEN))


class Stream(IntEnum):
    """The streams of labels and layout. Append-only: a number is never given another meaning.

    Augmentations have their streams, from 16 on, in `builder.augment.table`.
    """

    LENGTH = 1
    DIGIT = 2
    NUMBER = 3
    GLYPH = 4
    GAP = 5
    PLACING = 6
    LABEL_ORDER = 7
    EPOCH_ORDER = 8


def mix64(x: int) -> int:
    """Return SplitMix64's output function of a 64-bit integer: a bijection of [0, 2**64).

    >>> hex(mix64(GOLDEN))
    '0xe220a8397b1dcdaf'
    """
    x = ((x ^ (x >> 30)) * _A) & MASK
    x = ((x ^ (x >> 27)) * _B) & MASK
    return x ^ (x >> 31)


def unmix64(x: int) -> int:
    """Return the one `y` with `mix64(y) == x`."""
    x = ((x ^ (x >> 31) ^ (x >> 62)) * _B_INVERSE) & MASK
    x = ((x ^ (x >> 27) ^ (x >> 54)) * _A_INVERSE) & MASK
    return x ^ (x >> 30) ^ (x >> 60)


def mix_words(x: Words) -> Words:
    """Return `mix64` of every element of a uint64 array, as a new array."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_A)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_B)
    x ^= x >> np.uint64(31)
    return x


def sample_seeds(master: int, index: Ints) -> Words:
    """Return the sample seeds (B,) uint64 of indices (B,) int64 in [0, 2**63).

    seed(i) = mix64(mix64(master) + (i + 1) * GOLDEN) mod 2**64, a bijection of the index.
    """
    steps = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)
    return _mixed(steps, np.array([mix64(master)], dtype=np.uint64))[:, 0]


def index_of_seed(master: int, seed: int) -> int:
    """Return the index whose sample seed under `master` is `seed`.

    Raises `UsageError` for a seed outside [0, 2**64), and for one that belongs to no index
    in [0, 2**63): half of all 64-bit numbers.
    """
    seed = whole_number("sample seed", seed, 0, MASK)
    index = ((unmix64(seed) - mix64(master)) * _GOLDEN_INVERSE - 1) & MASK
    if index >= INDEX_LIMIT:
        raise UsageError(
            f"sample seed {seed:#x} belongs to no sample of master seed {master}: "
            "give the seed as the dataset's 'seed' column or the manifest shows it"
        )
    return index


def address(stream: int, position: int, draw: int) -> int:
    """Return the constant that, added to a sample seed, names one word of the sample.

    `stream` is below 2**24, `position` (of a digit) below 2**16, `draw` below 2**24.
    """
    return mix64((stream << 40 | position << 24 | draw) + 1)


def words(seeds: Words, stream: int, draw: int = 0) -> Words:
    """Return one word per sample, (B,) uint64, for a decision that a sample takes once."""
    return _mixed(seeds, _addresses(stream, 1, draw))[:, 0]


def digit_words(seeds: Words, digits: int, stream: int, draw: int = 0) -> Words:
    """Return one word per digit position, (B, digits) uint64."""
    return _mixed(seeds, _addresses(stream, digits, draw))


@lru_cache(maxsize=4096)
def _addresses(stream: int, digits: int, draw: int) -> Words:
    """Return the addresses of one draw for each digit position: kept, as every block asks again."""
    found = [address(stream, position, draw) for position in range(digits)]
    return np.array(found, dtype=np.uint64)


def _mixed(seeds: Words, addresses: Words) -> Words:
    mixed = np.empty((len(seeds), len(addresses)), dtype=np.uint64)
    with np.errstate(over="ignore"):  # it wraps around; not compiled, numpy would warn of it
        rng_kernels.mix_all(seeds, addresses, mixed)
    return mixed


def below(word: Words, bound: Any) -> Ints:
    """Map words onto uniform integers in [0, bound), `bound` an int or array in [1, 2**31]."""
    half = np.uint64(32)
    scaled: Words = (word >> half) * np.asarray(bound, dtype=np.uint64)
    scaled >>= half
    return scaled.view(np.int64)


def below_wide(word: Words, bound: int) -> Ints:
    """Map words onto uniform integers in [0, bound), `bound` up to 2**63, by a 128-bit product."""
    numbers = np.empty(word.shape, dtype=np.int64)
    with np.errstate(over="ignore"):  # not compiled, numpy would warn of what wraps around
        rng_kernels.all_below_wide(word.reshape(-1), np.uint64(bound), numbers.reshape(-1))
    return numbers


def signed_unit(word: Words) -> Floats:
    """Map words onto float64 in [-1, 1), exact multiples of 2**-52."""
    numbers = np.empty(word.shape)
    rng_kernels.signed_units(word.reshape(-1), numbers.reshape(-1))
    return numbers


def folded(strip: Words, word: Words, residue: float) -> Floats:
    """Return numbers in [-1, 1] for digits, (B, L): that of the strip + residue * their own.

    Both are `signed_unit` of words, (B,) and (B, L), and what lies beyond -1 or 1 is folded back.
    `residue` is 2 at most.
    """
    numbers = np.empty(word.shape)
    rng_kernels.fold_units(strip, word, residue, numbers)
    return numbers


SWAP_ROUNDS = 64
"""Rounds of the shuffle. Orders of 4 and neighbours among 1,000 look uniform from 16 on; the need
grows with the logarithm of the size, and 64 cost 0.1 us a number."""


def permuted(master: int, index: Ints, size: int, stream: int = Stream.LABEL_ORDER) -> Ints:
    """Map index i onto [0, size): each run of `size` indices is a permutation of its own.

    O(1) memory, any size from 1 to 2**63: see `builder.common.rng_kernels`. The permutations of
    a stream have nothing to do with those of another.
    """
    turn, value = index // size, index % size
    key = np.uint64(mix64((mix64(master) + address(stream, 0, 0)) & MASK))
    with np.errstate(over="ignore"):  # it wraps around; not compiled, numpy would warn of it
        keys = mix_words(turn.astype(np.uint64) * np.uint64(GOLDEN) + key)
        rng_kernels.swap_or_not(keys, _rounds(stream), size, value)
    return value


@lru_cache
def _rounds(stream: int) -> Words:
    """Return the address of each round of a stream's shuffle."""
    return np.array([address(stream, 1, step) for step in range(SWAP_ROUNDS)], dtype=np.uint64)


def master_seed(given: int | None) -> int:
    """Return a master seed: the given one, or a fresh one from the operating system.

    Raises `UsageError` for one that is not a whole number in [0, 2**64).
    """
    return secrets.randbits(64) if given is None else whole_number("seed", given, 0, MASK)
