"""Live datasets: samples rendered when they are asked for, with no disk."""

from __future__ import annotations

from builder.common.constants import Ints
from builder.common.errors import UsageError
from builder.common.rng import INDEX_LIMIT
from builder.common.validation import format_value, whole_number
from builder.datasets.dataset import Dataset
from builder.generator.batch import Batch
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe


class LiveDataset(Dataset):
    """The samples of a recipe, rendered on demand: those a built dataset stores, bit for bit.

    `count` samples, or without an end for None: then there is no length, and batches come in
    sequence for ever, no two samples the same. With `masks`, batches have masks too.
    Raises `UsageError` for a count below 1, and for what is no recipe.

    >>> live = LiveDataset(Recipe(seed=7), count=1_000)
    >>> len(live), live[-1].text == live[999].text
    (1000, True)
    """

    def __init__(self, recipe: Recipe, count: int | None = None, masks: bool = False) -> None:
        if not isinstance(recipe, Recipe):
            raise UsageError(
                f"recipe is {format_value(recipe)}, expected a Recipe, such as Recipe()"
            )
        self.count = None if count is None else whole_number("count", count, 1, INDEX_LIMIT - 1)
        self._recipe, self.masks = recipe, masks

    def _batch(self, index: Ints) -> Batch:
        return generate(self._recipe, index, self.masks)
