"""The planner: from (recipe, indices) to specs, the drawn numbers of each sample.

It is vectorised over a block and O(1) in the count of a dataset: any index below 2**63 is
planned alone, without those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from builder.augment.augmentation import Effect
from builder.augment.table import augmented, effects
from builder.augment.thickness import growth_of
from builder.augment.warp import Warp
from builder.common import rng
from builder.common.constants import FRAME, HALF, PAD, Floats, Ints, Words
from builder.common.errors import UsageError
from builder.common.rng import Stream
from builder.common.validation import format_value
from builder.planner import layout, layout_kernels, pull_in
from builder.recipe import digits
from builder.recipe.recipe import Recipe

Rows = npt.NDArray[np.int32]


ELASTIC_SPREAD = 1.5
"""Ink is taken to spread by so many times the rms of its displacement: so 0.6 in a thousand digits
of `strong` lose 2 % of their ink or more; with 1 it would be 2.4."""


@dataclass(frozen=True)
class Specs:
    """The drawn numbers of a block of B samples of up to L digits, before any pixel.

    `index` (B,) int64; `seeds` (B,) uint64; `lengths` (B,) int64; `labels` (B, L) int8,
    padded with -1; `glyphs` (B, L) int32, row of the glyph in its MNIST file, padded with
    -1; `layout`, where the extents lie; `warp`, how each digit gets from glyph to image;
    `centres` (B, L) float64, px, the x of the frame that a warp takes for its centre (its y
    is always 14); `growth`, `gain` (B, L) int64, how far the edges of strokes move outward,
    1/256 px, and what values are multiplied by, 1/64; `effects`, in order, each with its
    numbers (B, k) int64. Past a sample's length warps, centres, growth and gain have no meaning.
    """

    index: Ints
    seeds: Words
    lengths: Ints
    labels: npt.NDArray[np.int8]
    glyphs: Rows
    layout: layout.Layout
    warp: Warp
    centres: Floats
    growth: Ints
    gain: Ints
    effects: list[tuple[Effect, Ints]]


@dataclass(frozen=True)
class Planner:
    """A recipe with its digit bank open: what turns indices into specs."""

    recipe: Recipe
    bank: digits.DigitBank

    def plan(self, indices: Sequence[int] | Ints | range) -> Specs:
        """Return the specs of the samples of `indices`, each a whole number in [0, 2**63)."""
        recipe = self.recipe
        index = checked_indices(indices)
        seeds = rng.sample_seeds(recipe.seed, index)
        labels, lengths = recipe.label_source.draw(recipe.seed, index, seeds)
        glyphs = self._draw_glyphs(seeds, labels)
        nominal, centres = self._extents(glyphs)
        placed = self._arrange(seeds, lengths, nominal)
        augment = recipe.augment.ranges
        warp = augmented(augment, seeds, labels)
        growth, gain = growth_of(warp.thickness, self.bank.strokes[glyphs].astype(np.float64))
        pull_in.place(warp.numbers, placed.begins, placed.extents, nominal)
        self._pull_in(warp, glyphs, growth, centres, placed)
        glyphs[labels == PAD] = PAD
        drawn = effects(augment, seeds, labels)
        return Specs(
            index, seeds, lengths, labels, glyphs, placed, warp, centres, growth, gain, drawn
        )

    def _draw_glyphs(self, seeds: Words, labels: npt.NDArray[np.int8]) -> Rows:
        """Return a uniform glyph of each digit's class, (B, L) int32; glyph 0 for padding."""
        words = rng.draw_digit_words(seeds, labels.shape[1], Stream.GLYPH)
        picked: Rows = np.empty(labels.shape, dtype=np.int32)
        layout_kernels.pick_glyphs(words, labels, self.bank.starts, self.bank.members, picked)
        return picked

    def _extents(self, glyphs: Rows) -> tuple[Ints, Floats]:
        """Return nominal extents and the frame's x at their middle, px, both (B, L)."""
        if self.recipe.spacing_between == "frame":
            return np.full(glyphs.shape, FRAME, np.int64), np.full(glyphs.shape, HALF)
        ink = self.bank.ink[glyphs].astype(np.int64)
        return np.maximum(ink[..., 2] - ink[..., 0], 1), (ink[..., 0] + ink[..., 2]) / 2

    def _arrange(self, seeds: Words, lengths: Ints, nominal: Ints) -> layout.Layout:
        recipe, digits = self.recipe, nominal.shape[1]
        shown = nominal * (np.arange(digits) < lengths[:, None])
        gaps = layout.draw_gaps(seeds, lengths, digits, recipe.spacing)
        return layout.arrange(seeds, shown, gaps, recipe.width, recipe.fit, recipe.align)

    def _pull_in(
        self, warp: Warp, glyphs: Rows, growth: Ints, centres: Floats, placed: layout.Layout
    ) -> None:
        """Bring the ink of each warp inside the image: see `builder.planner.pull_in`."""
        ink = self.bank.ink, self.bank.diagonals
        spread = growth, ELASTIC_SPREAD * warp.elastic[0]
        edges = placed.left, placed.right
        scratch = np.empty((glyphs.shape[1], 4, 8))
        pull_in.pull_in(warp.numbers, glyphs, ink, spread, centres, edges, scratch)


def checked_indices(indices: Iterable[int] | Ints | range) -> Ints:
    """Return indices as (B,) int64. Raises `UsageError` for one that is not in [0, 2**63)."""
    if isinstance(indices, range) and _is_plain(indices):
        return np.arange(indices.start, indices.stop, dtype=np.int64)
    array = np.asarray(indices if isinstance(indices, (np.ndarray, range)) else list(indices))
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    whole = array.ndim == 1 and array.dtype.kind in "iu"
    if not whole or int(array.min()) < 0 or int(array.max()) >= rng.INDEX_LIMIT:
        raise UsageError(
            f"indices are {format_value(indices)}, expected a sequence of whole numbers "
            "from 0 to 2**63 - 1"
        )
    return array.astype(np.int64)


def _is_plain(indices: range) -> bool:
    """Tell whether a range has indices only, and all between two: it needs no look at each."""
    return indices.step == 1 and 0 <= indices.start <= indices.stop < rng.INDEX_LIMIT


@lru_cache(maxsize=16)
def planner_for(recipe: Recipe) -> Planner:
    """Return the recipe's planner. Raises `UsageError` where a class it needs has no glyph."""
    digit_bank = digits.open_bank(recipe.source, recipe.split)
    digit_bank.require(recipe.label_source.classes())
    return Planner(recipe, digit_bank)
