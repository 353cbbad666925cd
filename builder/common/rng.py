"""All randomness of the project: sample seeds, named streams of words, and maps to numbers.

Nothing here has a state. A word is a pure function of (sample seed, stream, digit position,
draw number), so any number of any sample can be computed alone, in any order, on any machine.

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

import numpy as np

from builder.common import rng_kernels
from builder.common.constants import Floats, Ints, Words
from builder.common.errors import UsageError
from builder.common.rng_kernels import FIRST, GOLDEN, SECOND
from builder.common.validation import whole_number

MASK = (1 << 64) - 1
"""The largest 64-bit word."""

INDEX_LIMIT = 1 << 63
"""Indices of samples are below this."""

FIRST_INVERSE, SECOND_INVERSE, GOLDEN_INVERSE = (
    pow(factor, -1, 1 << 64) for factor in (FIRST, SECOND, GOLDEN)
)
"""Multiplying by these, mod 2**64, undoes multiplying by the factors."""

SWAP_ROUNDS = 64
"""Rounds of the shuffle. Orders of 4 and neighbours among 1,000 look uniform from 16 on; the need
grows with the logarithm of the size, and 64 cost 0.1 us a number."""


class Stream(IntEnum):
    """The streams of labels and layout. Append-only: a number is never given another meaning.

    The streams of augmentations, from 16 on, are the keys of
    `builder.augment.table.AUGMENTATIONS`.
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
    x = ((x ^ (x >> 30)) * FIRST) & MASK
    x = ((x ^ (x >> 27)) * SECOND) & MASK
    return x ^ (x >> 31)


def unmix64(x: int) -> int:
    """Return the one `y` with `mix64(y) == x`."""
    x = ((x ^ (x >> 31) ^ (x >> 62)) * SECOND_INVERSE) & MASK
    x = ((x ^ (x >> 27) ^ (x >> 54)) * FIRST_INVERSE) & MASK
    return x ^ (x >> 30) ^ (x >> 60)


def sample_seeds(master: int, index: Ints) -> Words:
    """Return the sample seeds of indices: seed(i) = mix64(mix64(master) + (i + 1) * GOLDEN).

    Args:
        master: The master seed, 0 to 2**64 - 1.
        index: Indices of samples (B,), each in [0, 2**63).

    Returns:
        Seeds (B,), mod 2**64: a bijection of the index.
    """
    steps = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)
    return _mix_sums(steps, np.array([mix64(master)], dtype=np.uint64))[:, 0]


def index_of_seed(master: int, seed: int) -> int:
    """Return the index whose sample seed under a master seed is `seed`.

    Args:
        master: The master seed, 0 to 2**64 - 1.
        seed: The sample seed.

    Returns:
        The index, 0 to 2**63 - 1.

    Raises:
        UsageError: The seed is outside [0, 2**64), or belongs to no index below 2**63, as half
            of all 64-bit numbers do.
    """
    seed = whole_number("sample seed", seed, 0, MASK)
    index = ((unmix64(seed) - mix64(master)) * GOLDEN_INVERSE - 1) & MASK
    if index >= INDEX_LIMIT:
        raise UsageError(
            f"sample seed {seed:#x} belongs to no sample of master seed {master}: "
            "give the seed as the dataset's 'seed' column or the manifest shows it"
        )
    return index


def address(stream: int, position: int, draw: int) -> int:
    """Return the constant that, added to a sample seed and mixed, gives one word of the sample.

    `stream` is below 2**24, `position` (of a digit) below 2**16, `draw` below 2**24.
    """
    return mix64((stream << 40 | position << 24 | draw) + 1)


def draw_words(seeds: Words, stream: int, draw: int = 0) -> Words:
    """Draw one word a sample, for a decision that a sample takes once.

    Args:
        seeds: Sample seeds (B,).
        stream: The number of the stream, below 2**24.
        draw: The number of the draw within the stream, below 2**24, 0 by default.

    Returns:
        Words (B,).
    """
    return _mix_sums(seeds, _addresses(stream, 1, draw))[:, 0]


def draw_digit_words(seeds: Words, digits: int, stream: int, draw: int = 0) -> Words:
    """Draw one word a digit position, (B, digits), from sample seeds (B,); see `draw_words`."""
    return _mix_sums(seeds, _addresses(stream, digits, draw))


@lru_cache(maxsize=4096)
def _addresses(stream: int, digits: int, draw: int) -> Words:
    """Return the address of a draw at each digit position. Cached, as every block asks again."""
    return np.array([address(stream, position, draw) for position in range(digits)], np.uint64)


def _mix_sums(seeds: Words, addresses: Words) -> Words:
    """Return the mix of every sum of a seed (B,) and an address (L,): (B, L)."""
    words = np.empty((len(seeds), len(addresses)), dtype=np.uint64)
    rng_kernels.fill_words(seeds, addresses, words)
    return words


def uniform_below(words: Words, bound: int | Ints) -> Ints:
    """Map words onto uniform integers in [0, bound), `bound` in [1, 2**31], of the words' shape."""
    half = np.uint64(32)
    scaled = (words >> half) * np.asarray(bound, dtype=np.uint64)
    scaled >>= half
    return scaled.view(np.int64)


def uniform_below_wide(words: Words, bound: int) -> Ints:
    """Map words onto uniform integers in [0, bound), `bound` up to 2**63, by a 128-bit product."""
    numbers = np.empty(words.shape, dtype=np.int64)
    rng_kernels.fill_below_wide(words.reshape(-1), np.uint64(bound), numbers.reshape(-1))
    return numbers


def uniform_signed(words: Words) -> Floats:
    """Map words onto uniform numbers in [-1, 1), exact multiples of 2**-52."""
    numbers = np.empty(words.shape)
    rng_kernels.fill_signed(words.reshape(-1), numbers.reshape(-1))
    return numbers


def fold_style(strip: Words, words: Words, residue: float) -> Floats:
    """Return numbers in [-1, 1] for digits: the number of their strip + residue * their own.

    Args:
        strip: One word a strip, (B,).
        words: One word a digit, (B, L).
        residue: The weight of a digit's own number, 0 to 2.

    Returns:
        Numbers (B, L), from `uniform_signed` of both; sums beyond -1 or 1 are folded back.
    """
    numbers = np.empty(words.shape)
    rng_kernels.fill_folded(strip, words, residue, numbers)
    return numbers


def permute(master: int, index: Ints, size: int, stream: int = Stream.LABEL_ORDER) -> Ints:
    """Map indices onto [0, size), so that each run of `size` indices is a permutation of its own.

    It takes O(1) memory; see `builder.common.rng_kernels.swap_or_not`.

    Args:
        master: The seed of the order, 0 to 2**64 - 1.
        index: Indices (B,), from 0.
        size: How many numbers a permutation has, 1 to 2**63 - 1.
        stream: The stream of the permutations; those of two streams are independent.

    Returns:
        Numbers (B,) in [0, size).
    """
    turn, value = index // size, index % size
    keys = sample_seeds((mix64(master) + address(stream, 0, 0)) & MASK, turn - 1)
    rng_kernels.swap_or_not(keys, _rounds(stream), size, value)
    return value


@lru_cache
def _rounds(stream: int) -> Words:
    """Return the address of each round of a stream's shuffle."""
    return np.array([address(stream, 1, step) for step in range(SWAP_ROUNDS)], dtype=np.uint64)


def master_seed(seed: int | None) -> int:
    """Return a master seed: `seed`, or for None a fresh one from the operating system.

    Raises:
        UsageError: The seed is not a whole number in [0, 2**64).
    """
    return secrets.randbits(64) if seed is None else whole_number("seed", seed, 0, MASK)
