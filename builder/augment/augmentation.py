"""What an augmentation is: a name, a range, and what it does to the warps of a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from builder import streams
from builder.augment.warp import Warp
from builder.streams import Floats, Words


@dataclass(frozen=True)
class Draw:
    """The random numbers of one augmentation for one block: its stream, opened for its samples."""

    seeds: Words
    digits: int
    stream: int

    def per_digit(self, draw: int = 0) -> Floats:
        """Return uniform numbers in [-1, 1), (B, L) float64; `draw` tells one from another."""
        return streams.signed_unit(streams.digit_words(self.seeds, self.digits, self.stream, draw))


@dataclass(frozen=True)
class Geometric:
    """A geometric augmentation, whose strength is one number, 0 for off.

    `unit` and `help` say what the number means, `most` is the largest one allowed, and
    `presets` gives the number of each preset; a preset that is not named has it off.
    `apply(warp, strength, draw)` composes it into the warps of a block, in place.
    """

    name: str
    flag: str
    unit: str
    help: str
    most: float
    presets: Mapping[str, float]
    apply: Callable[[Warp, float, Draw], None]
