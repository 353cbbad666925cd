"""Label sources: which digits a sample shows.

Each source is a frozen object that knows the length of its `longest` label and the `classes` of its
digits, and draws the labels of a block of samples. Labels are digit arrays,
padded with -1, and never integers, so `02139` keeps its zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from builder.common import rng
from builder.common.constants import PAD, Int8s, Ints, Words
from builder.common.rng import Stream
from builder.common.validation import WholeNumber, to_plain
from builder.recipe import labels_file

LONGEST_NUMBER = 18
"""Digits of the largest number of a range: 10**18 - 1 is the last such number in int64."""


def split_digits(value: object) -> object:
    """Return the digits of a string or of any other iterable as a tuple, anything else as it is."""
    if isinstance(value, str):
        return tuple(int(c) if c in "0123456789" else c for c in value)
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return tuple(map(to_plain, value))
    return value


def check_digits(digits: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    """Return the value of a field, 1 to 255 digits from 0 to 9; raise `ValueError` for another."""
    most = labels_file.LONGEST_LABEL
    if not 1 <= len(digits) <= most:
        raise ValueError(f"{info.field_name} has {len(digits)} digits, expected 1 to {most}")
    for digit in digits:
        if not 0 <= digit <= 9:
            raise ValueError(f"{info.field_name} holds {digit}, expected digits from 0 to 9")
    return digits


Digits = Annotated[
    tuple[WholeNumber, ...], BeforeValidator(split_digits), AfterValidator(check_digits)
]
"""A field of digits, given as a string or as numbers."""


class Labels(NamedTuple):
    """The labels of a block: `digits` (B, L) int8, padded with -1; `lengths` (B,) int64."""

    digits: Int8s
    lengths: Ints


@dataclass(frozen=True)
class FixedDigits:
    """The same digits in every sample."""

    digits: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Digits of the longest label."""
        return len(self.digits)

    def classes(self) -> Iterable[int]:
        """Return the digits that occur in labels."""
        return self.digits

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        """Draw labels for samples of indices (B,) and sample seeds (B,)."""
        lengths = np.full(len(index), len(self.digits), dtype=np.int64)
        return Labels(np.tile(np.array(self.digits, dtype=np.int8), (len(index), 1)), lengths)


@dataclass(frozen=True)
class RandomDigits:
    """Digits uniform over `allowed`, as many as a uniform integer in [shortest, longest]."""

    shortest: int
    longest: int
    allowed: tuple[int, ...]

    def classes(self) -> Iterable[int]:
        """Return the digits that occur in labels."""
        return self.allowed

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        """Draw labels for samples of indices (B,) and sample seeds (B,)."""
        choices = self.longest - self.shortest + 1
        lengths = self.shortest + rng.uniform_below(rng.draw_words(seeds, Stream.LENGTH), choices)
        picks = rng.draw_digit_words(seeds, self.longest, Stream.DIGIT)
        digits = np.array(self.allowed, dtype=np.int8)[rng.uniform_below(picks, len(self.allowed))]
        return Labels(_pad(digits, lengths), lengths)


@dataclass(frozen=True)
class NumberRange:
    """Whole numbers uniform in [low, high], with zeros in front up to `width` digits."""

    low: int
    high: int
    width: int

    @classmethod
    def parse(cls, text: str) -> NumberRange:
        """Return the range of "LO:HI"; it pads to equal width where LO begins with a zero.

        Raises:
            ValueError: The text is no such range, or its numbers are too long or swapped.
        """
        low, colon, high = text.partition(":")
        if not (colon and all(part.isascii() and part.isdecimal() for part in (low, high))):
            raise ValueError(f"numbers is '{text}', expected LO:HI, such as 0:999 or 000:999")
        longest = max(len(low), len(high))
        if longest > LONGEST_NUMBER:
            raise ValueError(
                f"numbers is '{text}', expected numbers of up to {LONGEST_NUMBER} digits"
            )
        if int(low) > int(high):
            raise ValueError(f"numbers is '{text}': LO is larger than HI; write {high}:{low}")
        padded = len(low) > 1 and low[0] == "0"
        return cls(int(low), int(high), longest if padded else 1)

    def __str__(self) -> str:
        return f"{self.low:0{self.width}}:{self.high:0{self.width}}"

    @property
    def longest(self) -> int:
        """Digits of the longest label."""
        return max(self.width, len(str(self.high)))

    def classes(self) -> Iterable[int]:
        """Return the digits of the numbers; all ten for a range of 100 numbers or more."""
        if self.high - self.low >= 100:
            return range(10)
        numbers = range(self.low, self.high + 1)
        return {int(digit) for number in numbers for digit in f"{number:0{self.width}}"}

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        """Draw labels for samples of indices (B,) and sample seeds (B,)."""
        words = rng.draw_words(seeds, Stream.NUMBER)
        numbers = self.low + rng.uniform_below_wide(words, self.high - self.low + 1)
        powers = 10 ** np.arange(1, LONGEST_NUMBER, dtype=np.int64)
        lengths = np.maximum(1 + np.searchsorted(powers, numbers, side="right"), self.width)
        places = lengths[:, None] - 1 - np.arange(self.longest)
        digits = (numbers[:, None] // 10 ** np.maximum(places, 0) % 10).astype(np.int8)
        return Labels(_pad(digits, lengths), lengths)


NumberText = Annotated[str, AfterValidator(lambda text: str(NumberRange.parse(text)))]
"""A field of a range of numbers, as the one text that means it; see `NumberRange.parse`."""


@dataclass(frozen=True)
class FileLines:
    """The lines of a labels file, pass after pass, in file order or each pass in a new order."""

    file: labels_file.LabelsFile
    shuffled: bool

    @property
    def longest(self) -> int:
        """Digits of the longest label."""
        return self.file.longest

    def classes(self) -> Iterable[int]:
        """Return the digits that occur in labels."""
        text, _ = labels_file.open_lines(self.file)
        return (c for c in range(10) if (text == ord("0") + c).any())

    def draw(self, master: int, index: Ints, seeds: Words) -> Labels:
        """Draw labels for samples of indices (B,) and sample seeds (B,)."""
        text, begins = labels_file.open_lines(self.file)
        count = self.file.lines
        line = rng.permute(master, index, count) if self.shuffled else index % count
        lengths = (begins[line + 1] - begins[line] - 1).astype(np.int64)
        at = np.minimum(begins[line, None] + np.arange(self.longest), len(text) - 1)
        digits = text[at].astype(np.int8) - np.int8(ord("0"))
        return Labels(_pad(digits, lengths), lengths)


LabelSource = FixedDigits | RandomDigits | NumberRange | FileLines
"""A source of labels, as the planner uses it."""


def _pad(digits: Int8s, lengths: Ints) -> Int8s:
    """Set every place of digits (B, L) from a sample's length on to -1, and return them."""
    digits[np.arange(digits.shape[1]) >= lengths[:, None]] = PAD
    return digits


def format_labels(labels: Int8s, lengths: npt.NDArray[np.integer]) -> list[str]:
    """Return the labels of a block as strings, from digits (B, L), padded, and lengths (B,)."""
    joined = (labels[labels >= 0] + np.int8(ord("0"))).tobytes().decode("ascii")
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    return [joined[a:b] for a, b in zip([0, *ends], ends, strict=False)]
