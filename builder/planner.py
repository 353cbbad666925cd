"""The planner: from (recipe, indices) to specs, the drawn numbers of each sample.

It is vectorised over a block and O(1) in the count of a dataset: any index below 2**63 is
planned alone, without those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from builder import bank, layout, streams
from builder.augment.table import augmented
from builder.augment.warp import Warp
from builder.errors import UsageError
from builder.labels import PAD
from builder.recipe import Recipe
from builder.streams import Floats, Ints, Stream, Words

HALF = bank.FRAME / 2
"""Distance of the frame's centre from its edges, px."""


@dataclass(frozen=True)
class Specs:
    """The drawn numbers of a block of B samples of up to L digits, before any pixel.

    `index` (B,) int64; `seeds` (B,) uint64; `lengths` (B,) int64; `labels` (B, L) int8,
    padded with -1; `glyphs` (B, L) int32, row of the glyph in its MNIST file, padded with
    -1; `layout`, where the extents lie; `warps` (8, B, L) float64, frame to image, as in
    `builder.augment.warp`; `centres` (B, L) float64, px, the x of the frame that a warp
    takes for its centre (its y is always 14). Warps and centres past a sample's length
    have no meaning.
    """

    index: Ints
    seeds: Words
    lengths: Ints
    labels: npt.NDArray[np.int8]
    glyphs: npt.NDArray[np.int32]
    layout: layout.Layout
    warps: Floats
    centres: Floats


@dataclass(frozen=True)
class Planner:
    """A recipe with its digit bank open: what turns indices into specs."""

    recipe: Recipe
    bank: bank.DigitBank

    def plan(self, indices: Sequence[int] | Ints | range) -> Specs:
        """Return the specs of the samples of `indices`, each a whole number in [0, 2**63)."""
        recipe = self.recipe
        index = checked_indices(indices)
        seeds = streams.sample_seeds(recipe.seed, index)
        labels, lengths = recipe.label_source.draw(recipe.seed, index, seeds)
        glyphs = self._draw_glyphs(seeds, labels)
        ink = self.bank.ink[glyphs].astype(np.float64)
        nominal, centres = self._extents(ink)
        placed = self._arrange(seeds, lengths, nominal)
        warp = self._warp(seeds, ink, nominal, centres, placed)
        glyphs[labels == PAD] = PAD
        return Specs(index, seeds, lengths, labels, glyphs, placed, warp.numbers, centres)

    def _draw_glyphs(self, seeds: Words, labels: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
        """Return a uniform glyph of each digit's class, (B, L) int32; glyph 0 for padding."""
        starts, sizes = self.bank.starts, np.maximum(self.bank.class_sizes, 1)
        word = streams.digit_words(seeds, labels.shape[1], Stream.GLYPH)
        digits = np.maximum(labels, 0)
        picked: npt.NDArray[np.int32] = self.bank.members[
            starts[digits] + streams.below(word, sizes[digits])
        ]
        return picked

    def _extents(self, ink: Floats) -> tuple[Floats, Floats]:
        """Return nominal extents and the frame's x at their middle, px, both (B, L)."""
        if self.recipe.spacing_between == "frame":
            shape = ink.shape[:2]
            return np.full(shape, float(bank.FRAME)), np.full(shape, HALF)
        return np.maximum(ink[..., 2] - ink[..., 0], 1.0), (ink[..., 0] + ink[..., 2]) / 2

    def _arrange(self, seeds: Words, lengths: Ints, nominal: Floats) -> layout.Layout:
        recipe, digits = self.recipe, nominal.shape[1]
        shown = np.arange(digits) < lengths[:, None]
        whole = np.where(shown, nominal, 0).astype(np.int64)
        gaps = layout.draw_gaps(seeds, lengths, digits, recipe.spacing)
        return layout.arrange(seeds, whole, gaps, recipe.width, recipe.fit, recipe.align)

    def _warp(
        self, seeds: Words, ink: Floats, nominal: Floats, centres: Floats, placed: layout.Layout
    ) -> Warp:
        """Return the warps of a block, about the middles of the extents, ink pulled in."""
        warp = augmented(self.recipe.augment.strengths, seeds, nominal.shape[1])
        warp.squeeze(placed.extents / layout.ONE / nominal)
        warp.shift[0] += (placed.begins + placed.extents / 2) / layout.ONE
        warp.shift[1] += HALF
        _pull_in(warp, ink, centres, placed)
        return warp


def _pull_in(warp: Warp, ink: Floats, centres: Floats, placed: layout.Layout) -> None:
    """Shift each warp so that its ink lies within the image's rows and the strip's edges."""
    left, top, right, bottom = np.moveaxis(ink, 2, 0)
    x0, y0, x1, y1 = warp.bounds(left - centres, top - HALF, right - centres, bottom - HALF)
    low, high = placed.left / layout.ONE, placed.right / layout.ONE
    warp.shift[0] += shift_into(x0, x1, low[:, None], high[:, None])
    warp.shift[1] += shift_into(y0, y1, 0.0, float(bank.FRAME))


def shift_into(low: Floats, high: Floats, least: Any, most: Any) -> Floats:
    """Return the smallest shift that brings [low, high] into [least, most], or centres it there."""
    inward = np.maximum(least - low, 0.0) + np.minimum(most - high, 0.0)
    centred = (least + most) / 2 - (low + high) / 2
    shift: Floats = np.where(high - low > most - least, centred, inward)
    return shift


def checked_indices(indices: Iterable[int] | Ints | range) -> Ints:
    """Return indices as (B,) int64. Raises `UsageError` for one that is not in [0, 2**63)."""
    array = np.asarray(indices if isinstance(indices, (np.ndarray, range)) else list(indices))
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    whole = array.ndim == 1 and array.dtype.kind in "iu"
    if not whole or int(array.min()) < 0 or int(array.max()) >= streams.INDEX_LIMIT:
        raise UsageError(
            f"indices are {str(indices)[:60]}, expected a sequence of whole numbers "
            "from 0 to 2**63 - 1"
        )
    return array.astype(np.int64)


@lru_cache(maxsize=16)
def planner_for(recipe: Recipe) -> Planner:
    """Return the recipe's planner. Raises `UsageError` where a class it needs has no glyph."""
    digit_bank = bank.open_bank(recipe.source, recipe.split)
    digit_bank.require(recipe.label_source.classes())
    return Planner(recipe, digit_bank)
