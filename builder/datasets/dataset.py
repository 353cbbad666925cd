"""The interface of all datasets, from `data[3]` to shuffled batches, and live datasets."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from builder.common.constants import Integer, Ints
from builder.common.errors import UsageError
from builder.common.rng import INDEX_LIMIT
from builder.common.validation import format_value, to_int, whole_number
from builder.datasets.order import Order, Schedule
from builder.generator.batch import Batch, Sample
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe

BOOLS = (bool, np.bool_)

ITERATION_BATCH = 256
"""Samples that plain iteration reads at a time."""

MIN_BLOCKS = 64
"""Below this many blocks, shuffle single samples: too few orders exist otherwise."""


class Dataset(ABC):
    """Samples by index and in batches, stored or live: `data[3]`, `data[3:9]`, `data[[7, 2]]`.

    Attributes:
        count: Number of samples, or None for a live dataset without an end.
        block: Number of neighbours that are read together, which a shuffled order keeps together.
        masks: Whether batches have masks.
    """

    count: int | None
    block: int = 1
    masks: bool = False

    _recipe: Recipe

    @property
    def recipe(self) -> Recipe:
        """The recipe of the samples."""
        return self._recipe

    @property
    def fingerprint(self) -> str:
        """The digest of the recipe: samples of equal fingerprint and index are equal."""
        return self._recipe.fingerprint

    @abstractmethod
    def _batch(self, index: Ints) -> Batch:
        """Return the samples at indices (B,) int64 in [0, count), in this order."""

    def _sample(self, index: int) -> Sample:
        """Return the sample at an index in [0, count)."""
        return self._batch(np.array([index]))[0]

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("a dataset without an end has no length: give it a count")
        return self.count

    def __bool__(self) -> bool:
        return self.count != 0

    @overload
    def __getitem__(self, at: Integer) -> Sample: ...

    @overload
    def __getitem__(
        self, at: slice | Sequence[Integer] | npt.NDArray[np.integer | np.bool_]
    ) -> Batch: ...

    def __getitem__(self, at: Any) -> Sample | Batch:
        """Return the sample at an index, or the batch of several indices.

        Args:
            at: An index, a slice, or a list or array of indices. Negative ones count from the end.
                Or a mask: as many booleans as there are samples, True for those to return.

        Raises:
            IndexError: An index is out of range, or a mask has another length.
            TypeError: `at` is of another type.
        """
        if isinstance(at, slice):
            return self._batch(self._slice_indices(at))
        try:
            index = to_int(at)
        except TypeError:
            return self._batch(self._list_indices(at))
        position = index if index >= 0 or self.count is None else index + self.count
        if not 0 <= position < (self.count or INDEX_LIMIT):
            raise self._out_of_range(index)
        return self._sample(position)

    def _slice_indices(self, at: slice) -> Ints:
        if self.count is not None:
            return np.arange(*at.indices(self.count), dtype=np.int64)
        start, stop, step = (
            operator.index(default if value is None else value)
            for value, default in ((at.start, 0), (at.stop, -1), (at.step, 1))
        )
        if min(start, stop, step - 1) < 0 or max(start, stop) > INDEX_LIMIT - 1:
            raise IndexError(
                f"slice {at.start}:{at.stop}:{at.step} of a dataset without an end: expected a "
                "start and a stop from 0 to 2**63 - 1, and a step from 1"
            )
        return np.arange(start, stop, step, dtype=np.int64)

    def _list_indices(self, at: Any) -> Ints:
        """Return indices or a mask as indices (B,) int64, negative ones counted from the end."""
        numbers = _to_ints(at)
        if isinstance(numbers, np.ndarray):
            if len(numbers) != self.count:
                size = len(numbers)
                raise IndexError(f"a mask of {size} booleans is not for {self._describe_size()}")
            return np.flatnonzero(numbers)
        end = INDEX_LIMIT if self.count is None else self.count
        start = 0 if self.count is None else -end
        for number in numbers:
            if not start <= number < end:
                raise self._out_of_range(number)
        index = np.array(numbers, dtype=np.int64)
        if self.count is not None:
            index[index < 0] += self.count
        return index

    def _out_of_range(self, index: int) -> IndexError:
        return IndexError(f"index {format_value(index)} is not in {self._describe_size()}")

    def _describe_size(self) -> str:
        size = "without an end" if self.count is None else f"of {self.count} samples"
        return f"this dataset {size}"

    def batches(
        self, size: int, shuffle: bool = False, seed: int = 0, epoch: int = 0
    ) -> Iterator[Batch]:
        """Yield each sample once, in batches; the last one may be smaller.

        Args:
            size: Samples in a batch, from 1.
            shuffle: Yield the samples in a permutation, a function of `seed` and `epoch` alone: the
                same for all datasets with equal count and block.
            seed: Seed of the permutation, 0 to 2**64 - 1.
            epoch: Number of the epoch, from 0.

        Raises:
            UsageError: A value is out of range.
        """
        return self.in_order(Order(size=size, shuffle=shuffle, seed=seed), epoch)

    def in_order(self, order: Order, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch.

        Args:
            order: Batch size, permutation, and the share of this rank.
            epoch: Number of the epoch, from 0.
            start: Number of the first batch, from 0.

        Raises:
            UsageError: A value is out of range.
        """
        schedule = self.schedule(order)
        epoch, start = schedule.check_start(epoch, start)
        return (self._batch(schedule.indices(epoch, n)) for n in schedule.numbers(start))

    def schedule(self, order: Order) -> Schedule:
        """Return the indices of every batch of every epoch in an order.

        Raises:
            UsageError: `order` is no `Order`, or cannot be applied to the dataset.
        """
        if not isinstance(order, Order):
            raise UsageError(
                f"order is {format_value(order)}, expected an Order, such as Order(256)"
            )
        has_enough_blocks = self.count is None or self.count // self.block >= MIN_BLOCKS
        block = order.block or (self.block if has_enough_blocks else 1)
        return Schedule(order, self.count, block)

    def __iter__(self) -> Iterator[Sample]:
        """Yield every sample by index."""
        return (sample for batch in self.batches(ITERATION_BATCH) for sample in batch)


class LiveDataset(Dataset):
    """The samples of a recipe, rendered when asked for: bit for bit those that a build stores.

    Args:
        recipe: What the samples look like.
        count: Number of samples, 1 to 2**63 - 1. None, the default, is without an end: the dataset
            has no length, and its batches go on by index.
        masks: Whether batches have masks.

    Raises:
        UsageError: `recipe` is no `Recipe`, or `count` is out of range.

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


def _to_ints(at: Any) -> list[int] | npt.NDArray[np.bool_]:
    """Return whole numbers as a list, or booleans as an array, of one row, a list or an array.

    Raises:
        TypeError: `at` is anything else.
    """
    try:
        if isinstance(at, (list, tuple)) and at and all(isinstance(v, BOOLS) for v in at):
            return np.array(at)
        if hasattr(at, "__array__"):
            array = np.asarray(at)  # a tensor on a GPU, for example, cannot become an array
            if array.ndim == 1 and (array.dtype.kind in "iu" or not array.size):
                return array.tolist()
            if array.ndim == 1 and array.dtype.kind == "b":
                return array
        elif isinstance(at, (list, tuple, range)):
            return [to_int(value) for value in at]
    except (TypeError, ValueError, RuntimeError):
        pass
    raise TypeError(
        f"index is {format_value(at)}, "
        "expected a whole number, a slice, or whole numbers or booleans in one row"
    )
