"""Label sources: which digits a sample shows.

Each source is a frozen object that names its `shortest` and `longest` label, the `classes`
it can ask for, and draws (labels, lengths) for a block of samples. Labels are digit
arrays, padded with -1; never integers, so `02139` keeps its zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from builder.common import rng
from builder.common.constants import PAD, Ints, Words
from builder.common.rng import Stream
from builder.recipe import labels_file

LONGEST_NUMBER = 18
"""Digits of the largest number a range may hold: 10**18 - 1 is the last that fits in int64."""


class Labels(NamedTuple):
    """The labels of a block: `digits` (B, L) int8, padded with -1; `lengths` (B,) int64."""

    digits: npt.NDArray[np.int8]
    lengths: Ints


class LabelSource(Protocol):
    """What the planner asks of a source of labels."""

    @property
    def shortest(self) -> int:
        """The fewest digits that a label can have."""

    @property
    def longest(self) -> int:
        """The most digits that a label can have: L."""

    def classes(self) -> Iterable[int]:
        """Return the digits that some label shows."""

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        """Return the labels of samples, from master seed, indices and sample seeds (B,)."""


@dataclass(frozen=True)
class FixedDigits:
    """The same digits in every sample."""

    digits: tuple[int, ...]

    @property
    def longest(self) -> int:
        return len(self.digits)

    shortest = longest

    def classes(self) -> Iterable[int]:
        return self.digits

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        lengths = np.full(len(index), len(self.digits), dtype=np.int64)
        return Labels(np.tile(np.array(self.digits, dtype=np.int8), (len(index), 1)), lengths)


@dataclass(frozen=True)
class RandomDigits:
    """Digits uniform over `allowed`, as many as a uniform integer in [shortest, longest]."""

    shortest: int
    longest: int
    allowed: tuple[int, ...]

    def classes(self) -> Iterable[int]:
        return self.allowed

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        choices = self.longest - self.shortest + 1
        lengths = self.shortest + rng.uniform_below(rng.draw_words(seeds, Stream.LENGTH), choices)
        picks = rng.draw_digit_words(seeds, self.longest, Stream.DIGIT)
        digits = np.array(self.allowed, dtype=np.int8)[rng.uniform_below(picks, len(self.allowed))]
        return Labels(_padded(digits, lengths), lengths)


@dataclass(frozen=True)
class NumberRange:
    """Whole numbers uniform in [low, high], with zeros in front up to `width` digits."""

    low: int
    high: int
    width: int

    @property
    def shortest(self) -> int:
        return max(self.width, len(str(self.low)))

    @property
    def longest(self) -> int:
        return max(self.width, len(str(self.high)))

    def classes(self) -> Iterable[int]:
        """Return the digits that some number of the range shows: all, but for short ranges."""
        if self.high - self.low >= 100:
            return range(10)
        shown = (str(number).zfill(self.width) for number in range(self.low, self.high + 1))
        return {int(digit) for text in shown for digit in text}

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        words = rng.draw_words(seeds, Stream.NUMBER)
        numbers = self.low + rng.uniform_below_wide(words, self.high - self.low + 1)
        powers = 10 ** np.arange(1, LONGEST_NUMBER, dtype=np.int64)
        lengths = np.maximum(1 + np.searchsorted(powers, numbers, side="right"), self.width)
        places = lengths[:, None] - 1 - np.arange(self.longest)
        digits = (numbers[:, None] // 10 ** np.maximum(places, 0) % 10).astype(np.int8)
        return Labels(_padded(digits, lengths), lengths)


@dataclass(frozen=True)
class FileLines:
    """The lines of a labels file, again and again: in file order, or each pass in a new order."""

    file: labels_file.LabelsFile
    shuffled: bool

    shortest = 1

    @property
    def longest(self) -> int:
        return self.file.longest

    def classes(self) -> Iterable[int]:
        text = labels_file.open_lines(self.file).text
        return (c for c in range(10) if (text == ord("0") + c).any())

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        text, begins = labels_file.open_lines(self.file)
        count = self.file.lines
        line = rng.permute(master, index, count) if self.shuffled else index % count
        lengths = begins[line + 1] - begins[line] - 1
        at = np.minimum(begins[line, None] + np.arange(self.longest), len(text) - 1)
        digits = text[at].astype(np.int8) - np.int8(ord("0"))
        return Labels(_padded(digits, lengths), lengths)


def _padded(digits: npt.NDArray[np.int8], lengths: Ints) -> npt.NDArray[np.int8]:
    """Return digits (B, L) with every place from a sample's length on set to -1."""
    digits[np.arange(digits.shape[1]) >= lengths[:, None]] = PAD
    return digits


def texts(labels: npt.NDArray[np.int8], lengths: npt.NDArray[np.integer]) -> list[str]:
    """Return the labels of a block as strings: `labels` (B, L) padded, `lengths` (B,)."""
    joined = (labels[labels >= 0] + np.int8(ord("0"))).tobytes().decode("ascii")
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    return [joined[a:b] for a, b in zip([0, *ends], ends, strict=False)]
