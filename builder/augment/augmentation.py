"""What an augmentation is: named ranges, and what it does to the samples of a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from builder.common import rng
from builder.common.constants import Floats, Ints, Words

STRIP = 1 << 16
"""Added to the number of a draw that a strip takes once, to tell it from those of its digits."""


@dataclass(frozen=True)
class Draw:
    """The random numbers of one augmentation for one block: its stream, opened for its samples.

    `labels` (B, L) int8 are the digits, padded with -1. `style` is the share, 0 to 1, of what
    `styled` numbers have in common along a strip.
    """

    seeds: Words
    labels: npt.NDArray[np.int8]
    stream: int
    style: float = 0.0

    def words(self, draw: int = 0) -> Words:
        """Return a word for every digit, (B, L) uint64; `draw` tells one from another."""
        return rng.draw_digit_words(self.seeds, self.labels.shape[1], self.stream, draw)

    def strip_words(self, draw: int = 0) -> Words:
        """Return a word for every sample, (B,) uint64."""
        return rng.draw_words(self.seeds, self.stream, STRIP + draw)

    def keyed(self, amount: Floats) -> Ints:
        """Return (B, 3) int64: amounts (B,) rounded, and draw 1 in two halves, a key of pixels."""
        word = self.strip_words(1)
        low, high = word & np.uint64(0xFFFFFFFF), word >> np.uint64(32)
        key = np.stack([low, high], axis=-1).astype(np.int64)
        return np.concatenate([rounded(amount), key], axis=1)

    def per_digit(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1), (B, L) float64."""
        return rng.uniform_signed(self.words(draw))

    def per_strip(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1), (B,) float64."""
        return rng.uniform_signed(self.strip_words(draw))

    def styled(self, draw: int = 0) -> Floats:
        """Return numbers in [-1, 1], (B, L) float64: uniform, and alike along a strip.

        A number of the strip plus a residue of each digit, up to 2 * (1 - style), is folded
        back at the ends of the range. That keeps it uniform for every style: with 0 the digits
        are independent, with 1 they are the same.
        """
        if self.style == 1.0:
            return np.broadcast_to(self.per_strip(draw)[:, None], self.labels.shape)
        residue = 2.0 * (1.0 - self.style)
        return rng.fold_style(self.strip_words(draw), self.words(draw), residue)


@dataclass(frozen=True)
class Range:
    """One number of an augmentation: a strength, 0 for off, or a setting, that has a default.

    `unit` and `help` say what it means, `least` and `most` what is allowed (0 must be for a
    strength), and `presets` gives it in each preset; one that is not named has the default.
    """

    name: str
    flag: str
    unit: str
    help: str
    most: float
    presets: Mapping[str, float] = field(default_factory=dict)
    least: float = 0.0
    default: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """Ranges; it is on where one of its strengths is not 0."""

    ranges: tuple[Range, ...]

    @property
    def name(self) -> str:
        """The name of its first range."""
        return self.ranges[0].name

    @cached_property
    def strengths(self) -> tuple[str, ...]:
        """The names of those of its ranges that are no settings."""
        return tuple(item.name for item in self.ranges if not item.default)

    def values(self, augment: Mapping[str, float]) -> tuple[float, ...]:
        """Return its own numbers, in order, out of those of all augmentations."""
        return tuple(augment[item.name] for item in self.ranges)

    def is_on(self, augment: Mapping[str, float]) -> bool:
        """Tell whether one of its strengths is not 0."""
        return any(augment[name] for name in self.strengths)


@dataclass(frozen=True)
class Geometric(Augmentation):
    """An augmentation of how a digit gets from its glyph to the image.

    `apply(warp, draw, *values)` composes it into the warps of a block, in place.
    """

    apply: Callable[..., None]


@dataclass(frozen=True)
class Effect(Augmentation):
    """An augmentation of finished pixels.

    `numbers(draw, *values)` draws what each sample needs, (B, k) int64. `change(images,
    numbers, scratch)` changes images (B, 28, W) uint8 in place, by integer arithmetic; it is
    compiled. `scratch` (lines, W + 4) int32, of zeros, is memory for it to write to.
    """

    numbers: Callable[..., Ints]
    change: Callable[[npt.NDArray[np.uint8], Ints, npt.NDArray[np.int32]], None]
    lines: int = 0

    def apply(self, images: npt.NDArray[np.uint8], numbers: Ints) -> None:
        """Change images (B, 28, W) in place."""
        scratch = np.zeros((self.lines, images.shape[2] + 4), dtype=np.int32)
        self.change(images, numbers, scratch)


def rounded(*values: Floats) -> Ints:
    """Return numbers rounded to whole ones, half up, (B, k) int64 from k arrays (B,)."""
    return np.floor(np.stack(values, axis=-1) + 0.5).astype(np.int64)


def up_to(most: float, signed: Floats) -> Floats:
    """Map numbers in [-1, 1] onto [0, most]."""
    scaled: Floats = (signed + 1.0) * (most / 2)
    return scaled
