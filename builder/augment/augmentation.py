"""What an augmentation is: ranges, and what it does to the samples of a block.

A new augmentation is one new file here, one line in `AUGMENTATIONS` of `builder.augment.table`,
and one line in `Augment` there for each of its ranges. Nothing else in the code changes: the
command line, recipes and pictures read the table. `docs/augmentation.md` and `docs/streams.md`
get a row each, which tests compare with the table. For examples see `builder.augment.scale` (a
`Geometric`) and `builder.augment.contrast` (an `Effect`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from builder.common import rng
from builder.common.constants import Floats, Int8s, Int32s, Ints, UInt8s, Words

STRIP = 1 << 16
"""Added to the number of a draw that a strip takes once, to tell it from those of its digits."""

Change = Callable[[UInt8s, Ints, Int32s], None]
"""What an `Effect` does to images; see there."""


@dataclass(frozen=True)
class Draws:
    """The random draws of one augmentation for one block of samples.

    Draws are numbered from 0, those of digits apart from those of strips. The same number gives
    the same draw again.

    Attributes:
        seeds: Sample seeds (B,).
        labels: Digits (B, L), padded with -1.
        stream: The number of the augmentation's stream.
        style: The share, 0 to 1, of what `per_digit_in_style` has in common along a strip.
    """

    seeds: Words
    labels: Int8s
    stream: int
    style: float = 0.0

    def digit_words(self, draw: int = 0) -> Words:
        """Return a random word for every digit, (B, L)."""
        return rng.draw_digit_words(self.seeds, self.labels.shape[1], self.stream, draw)

    def strip_words(self, draw: int = 0) -> Words:
        """Return a random word for every sample, (B,)."""
        return rng.draw_words(self.seeds, self.stream, STRIP + draw)

    def per_digit(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1) for every digit, (B, L)."""
        return rng.uniform_signed(self.digit_words(draw))

    def per_strip(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1) for every sample, (B,)."""
        return rng.uniform_signed(self.strip_words(draw))

    def per_digit_in_style(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1] for every digit, (B, L), alike along a strip.

        The number of a digit is that of its strip plus a residue of its own, up to
        2 * (1 - style), folded back at the ends of the range. That keeps it uniform for every
        style: with 0 the digits are independent, with 1 they are the same.
        """
        if self.style == 1.0:
            return np.broadcast_to(self.per_strip(draw)[:, None], self.labels.shape)
        residue = 2.0 * (1.0 - self.style)
        return rng.fold_style(self.strip_words(draw), self.digit_words(draw), residue)

    def add_key(self, amount: Floats) -> Ints:
        """Return (B, 3): amounts (B,) rounded, and the key of `hash_pixel`, draw 1 in halves."""
        word = self.strip_words(1)
        low, high = word & np.uint64(0xFFFFFFFF), word >> np.uint64(32)
        key = np.stack([low, high], axis=-1).astype(np.int64)
        return np.concatenate([round_half_up(amount), key], axis=1)


@dataclass(frozen=True)
class Range:
    """One number of an augmentation: a strength, or a setting.

    Attributes:
        name: Its name in `Augment`, in recipes and (with `-` for `_`) on the command line.
        flag: What stands for its value in help, such as `DEG`.
        unit: The unit of the value.
        help: What the value does, in a line that mentions `flag`.
        most: The largest value allowed.
        presets: The value in each preset; a preset that is not named has the default.
        least: The smallest value allowed, 0 for a strength.
        default: 0 for a strength, which is off then; another number for a setting.
    """

    name: str
    flag: str
    unit: str
    help: str
    most: float
    presets: Mapping[str, float] = field(default_factory=dict)
    least: float = 0.0
    default: float = 0.0


class Augmentation:
    """Named ranges; the augmentation is on where one of its strengths is not 0."""

    def __init__(self, *ranges: Range) -> None:
        self.ranges = ranges
        self.name = ranges[0].name
        self.strengths = tuple(item.name for item in ranges if not item.default)

    def values(self, augment: Mapping[str, float]) -> tuple[float, ...]:
        """Return its own values, in order, out of those of all augmentations."""
        return tuple(augment[item.name] for item in self.ranges)

    def is_on(self, augment: Mapping[str, float]) -> bool:
        """Tell whether one of its strengths is not 0."""
        return any(augment[name] for name in self.strengths)


class Geometric(Augmentation):
    """An augmentation of the map from a glyph to the image.

    Args:
        *ranges: Its ranges.
        apply: `apply(warp, draws, *values)` composes it into the `Warp` of a block, in place;
            `values` are those of its ranges, in order.
    """

    def __init__(self, *ranges: Range, apply: Callable[..., None]) -> None:
        super().__init__(*ranges)
        self.apply = apply


class Effect(Augmentation):
    """An augmentation of finished pixels.

    Args:
        *ranges: Its ranges.
        draw: `draw(draws, *values)` returns the numbers of each sample, (B, k) int64; `values`
            are those of its ranges, in order.
        change: `change(images, numbers, scratch)` changes images (B, 28, W) in place, by integer
            arithmetic. It is compiled. `scratch` (lines, W + 4), of zeros, is memory to write to.
        lines: How many lines of scratch memory it needs.
    """

    def __init__(
        self, *ranges: Range, draw: Callable[..., Ints], change: Change, lines: int = 0
    ) -> None:
        super().__init__(*ranges)
        self.draw, self.change, self.lines = draw, change, lines

    def apply(self, images: UInt8s, numbers: Ints) -> None:
        """Change images (B, 28, W) in place."""
        scratch = np.zeros((self.lines, images.shape[2] + 4), dtype=np.int32)
        self.change(images, numbers, scratch)


def round_half_up(*values: Floats) -> Ints:
    """Round numbers to whole ones, half up: (B, k) int64 from k arrays (B,)."""
    return np.floor(np.stack(values, axis=-1) + 0.5).astype(np.int64)


def rescale(signed: Floats, most: float) -> Floats:
    """Map numbers in [-1, 1] onto [0, most]."""
    return (signed + 1.0) * (most / 2)
