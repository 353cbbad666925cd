"""The planner: from (recipe, indices) to specs, the drawn numbers of each sample.

It works on a whole block at a time, and its cost does not depend on the count of a dataset: any
index below 2**63 is planned alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from builder.augment.table import draw_effects, draw_warps
from builder.augment.thickness import compute_growth
from builder.common import rng
from builder.common.constants import FRAME, HALF, PAD, Floats, Int8s, Int32s, Integer, Ints, Words
from builder.common.errors import UsageError
from builder.common.jit import jit
from builder.common.rng import Stream
from builder.common.rng_kernels import word_below
from builder.common.validation import format_value, to_int
from builder.planner.layout import arrange, draw_gaps, move_to_extents, pull_in
from builder.planner.specs import DigitSpecs, GlyphArrays, Specs
from builder.recipe.digits import DigitBank, open_bank
from builder.recipe.recipe import Recipe

Indices = Sequence[Integer] | npt.NDArray[np.integer] | range
"""Indices of samples, (B,), each a whole number in [0, 2**63)."""


@dataclass(frozen=True)
class Planner:
    """A recipe with its digit bank open.

    Attributes:
        recipe: The recipe.
        bank: The glyphs of its split. Every class that the labels need has one at least.
    """

    recipe: Recipe
    bank: DigitBank

    @property
    def glyph_arrays(self) -> GlyphArrays:
        """The arrays of the bank that kernels read."""
        return GlyphArrays(self.bank.glyphs, self.bank.ink, self.bank.diagonals)

    def draw_specs(self, indices: Indices) -> Specs:
        """Draw the numbers of a block of samples.

        Args:
            indices: Indices of B samples, each a whole number in [0, 2**63), in any order.

        Returns:
            The specs of the samples, in the order of `indices`.

        Raises:
            UsageError: An index is no whole number, or not in [0, 2**63).
        """
        recipe, ranges = self.recipe, self.recipe.augment.ranges
        index = check_indices(indices)
        seeds = rng.sample_seeds(recipe.seed, index)
        labels, lengths = recipe.label_source.draw(recipe.seed, index, seeds)
        glyphs = self._draw_glyphs(seeds, labels)
        nominal, centres = self._measure_extents(glyphs)
        own = nominal * (np.arange(labels.shape[1]) < lengths[:, None])
        gaps = draw_gaps(seeds, lengths, labels.shape[1], recipe.spacing)
        layout = arrange(seeds, own, gaps, recipe.width, fit=recipe.fit, align=recipe.align)
        warp = draw_warps(ranges, seeds, labels)
        growth, gain = compute_growth(warp.thickness, self.bank.strokes[glyphs].astype(np.float64))
        rms, correlation = warp.elastic
        digits = DigitSpecs(
            lengths, glyphs, warp.numbers, centres, growth, gain, warp.keys, rms, correlation
        )
        move_to_extents(digits.warps, nominal, layout)
        pull_in(digits, layout, self.glyph_arrays, np.empty((labels.shape[1], 4, 8)))
        glyphs[labels == PAD] = PAD
        return Specs(index, seeds, labels, layout, digits, draw_effects(ranges, seeds, labels))

    def _draw_glyphs(self, seeds: Words, labels: Int8s) -> Int32s:
        """Draw a uniform glyph of each digit's class, (B, L) int32; one of a 0 for padding."""
        words = rng.draw_digit_words(seeds, labels.shape[1], Stream.GLYPH)
        glyphs = np.empty(labels.shape, dtype=np.int32)
        pick_glyphs(words, labels, self.bank.starts, self.bank.members, glyphs)
        return glyphs

    def _measure_extents(self, glyphs: Int32s) -> tuple[Ints, Floats]:
        """Return nominal extents and the frame's x at their middles, px, both (B, L)."""
        if self.recipe.spacing_between == "frame":
            return np.full(glyphs.shape, FRAME, np.int64), np.full(glyphs.shape, HALF)
        ink = self.bank.ink[glyphs].astype(np.int64)
        return np.maximum(ink[..., 2] - ink[..., 0], 1), (ink[..., 0] + ink[..., 2]) / 2


@jit
def pick_glyphs(words: Words, labels: Int8s, starts: Ints, members: Int32s, glyphs: Int32s) -> None:
    """Fill glyphs (B, L) with a uniform member of each digit's class, by words (B, L).

    `labels` (B, L) are the digits; padding counts as 0. `starts` (11,) and `members` (M,) are
    those of a `DigitBank`.
    """
    for b in range(len(labels)):
        for d in range(labels.shape[1]):
            digit = np.int64(max(labels[b, d], 0))
            start, end = starts[digit], starts[digit + 1]
            glyphs[b, d] = members[start + word_below(words[b, d], end - start)]


def check_indices(indices: Iterable[Integer] | npt.NDArray[np.integer]) -> Ints:
    """Return indices as (B,) int64, or raise `UsageError` for one that is not in [0, 2**63)."""
    array = np.zeros((), dtype=np.bool_)  # for what is no sequence of whole numbers
    with suppress(TypeError):
        plain = isinstance(indices, (np.ndarray, range))
        array = np.asarray(indices if plain else [to_int(index) for index in indices])
    if array.ndim == 1 and not array.size:
        return np.zeros(0, dtype=np.int64)
    whole = array.ndim == 1 and array.dtype.kind in "iu"
    if not whole or int(array.min()) < 0 or int(array.max()) >= rng.INDEX_LIMIT:
        raise UsageError(
            f"indices are {format_value(indices)}, expected a sequence of whole numbers "
            "from 0 to 2**63 - 1"
        )
    return array.astype(np.int64)


@lru_cache(maxsize=16)
def open_planner(recipe: Recipe) -> Planner:
    """Return the planner of a recipe, with its digit bank open.

    Args:
        recipe: The recipe. The planners of the last 16 are kept.

    Raises:
        UsageError: A class that the labels need has no glyph in the split.
        BuilderError: The digit source is not known on this machine.
    """
    bank = open_bank(recipe.source, recipe.split)
    bank.require(recipe.label_source.classes())
    return Planner(recipe, bank)
