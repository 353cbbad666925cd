"""What an augmentation is: its ranges, its draws, and what it does to the samples of a block.

A new augmentation is a function or two, in the file of its kind or in a new one; one entry of
`AUGMENTATIONS` in `builder.augment.table`; and one field of `Augment` in `builder.augment.ranges`
for each of its ranges. Nothing else in the code changes: the command line, recipes and pictures
read the table. `docs/augmentation.md` and `docs/streams.md` get a row each, which tests compare
with the table. `builder.augment.geometric` has short examples of `Geometric` augmentations,
`builder.augment.grey_values` of effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from builder.common import rng
from builder.common.constants import FRAME, Floats, Int8s, Int32s, Ints, UInt8s, Words

STRIP = 1 << 16
"""Added to the number of a draw that a strip takes once, to tell it from those of its digits."""

SCRATCH_LINES = FRAME + 5
"""Lines of memory that an effect may write to: as many as blur needs."""


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
        residue = 2.0 * (1.0 - self.style)
        return rng.fold_style(self.strip_words(draw), self.digit_words(draw), residue)

    def add_key(self, amount: Floats) -> Ints:
        """Return (B, 3): amounts (B,) rounded, and the key of `hash_pixel`, draw 1 in halves."""
        word = self.strip_words(1)
        low, high = word & np.uint64(0xFFFFFFFF), word >> np.uint64(32)
        key = np.stack([low, high], axis=-1).astype(np.int64)
        return np.concatenate([round_half_up(amount), key], axis=1)


class Augmentation:
    """Named ranges of `Augment`; the augmentation is on where one of its strengths is not 0.

    Args:
        *strengths: The names of its strengths; the first one is the augmentation's name.
        settings: The names of its settings, which matter where it is on.
    """

    def __init__(self, *strengths: str, settings: tuple[str, ...] = ()) -> None:
        self.name, self.strengths, self.settings = strengths[0], strengths, settings

    def values(self, augment: Mapping[str, float]) -> tuple[float, ...]:
        """Return its own values, strengths first, out of those of all augmentations."""
        return tuple(augment[name] for name in self.strengths + self.settings)

    def is_on(self, augment: Mapping[str, float]) -> bool:
        """Tell whether one of its strengths is not 0."""
        return any(augment[name] for name in self.strengths)


class Geometric(Augmentation):
    """An augmentation of the map from a glyph to the image.

    Args:
        *strengths: As of every augmentation.
        apply: `apply(warp, draws, *values)` composes it into the `Warp` of a block, in place;
            `values` are those of its ranges, in order.
        settings: As of every augmentation.
    """

    def __init__(
        self, *strengths: str, apply: Callable[..., None], settings: tuple[str, ...] = ()
    ) -> None:
        super().__init__(*strengths, settings=settings)
        self.apply = apply


class Effect(Augmentation):
    """An augmentation of finished pixels.

    Args:
        *strengths: As of every augmentation.
        draw: `draw(draws, *values)` returns the numbers of each sample, (B, k) int64; `values`
            are those of its ranges, in order.
        change: `change(images, numbers, scratch)` changes images (B, 28, W) in place, by integer
            arithmetic. It is compiled. `scratch` (33, W + 4), of zeros, is memory to write to.
        settings: As of every augmentation.
    """

    def __init__(
        self,
        *strengths: str,
        draw: Callable[..., Ints],
        change: Callable[[UInt8s, Ints, Int32s], None],
        settings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(*strengths, settings=settings)
        self.draw, self.change = draw, change

    def apply(self, images: UInt8s, numbers: Ints) -> None:
        """Change images (B, 28, W) in place."""
        scratch = np.zeros((SCRATCH_LINES, images.shape[2] + 4), dtype=np.int32)
        self.change(images, numbers, scratch)


def round_half_up(*values: Floats) -> Ints:
    """Round numbers to whole ones, half up: (B, k) int64 from k arrays (B,)."""
    return np.floor(np.stack(values, axis=-1) + 0.5).astype(np.int64)


def rescale(signed: Floats, most: float) -> Floats:
    """Map numbers in [-1, 1] onto [0, most]."""
    return (signed + 1.0) * (most / 2)
