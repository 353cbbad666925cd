"""Live datasets: samples rendered when they are asked for, with no disk."""

from __future__ import annotations

from builder.batch import Batch
from builder.generator import generate
from builder.model import whole
from builder.recipe import Recipe
from builder.samples import Samples
from builder.streams import INDEX_LIMIT, Ints


class LiveDataset(Samples):
    """The samples of a recipe, rendered on demand: those a built dataset stores, bit for bit.

    `count` samples, or without an end for None: then there is no length, and batches come in
    sequence for ever, no two samples the same. With `masks`, batches have masks too.
    Raises `UsageError` for a count below 1.

    >>> live = LiveDataset(Recipe(seed=7), count=1_000)
    >>> len(live), live[-1].text == live[999].text
    (1000, True)
    """

    def __init__(self, recipe: Recipe, count: int | None = None, masks: bool = False) -> None:
        self.count = None if count is None else whole("count", count, 1, INDEX_LIMIT - 1)
        self._recipe, self.masks = recipe, masks

    @property
    def recipe(self) -> Recipe:
        """The recipe of the samples."""
        return self._recipe

    def _batch(self, index: Ints) -> Batch:
        return generate(self._recipe, index, self.masks)
