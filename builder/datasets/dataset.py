"""Samples: what stored and live datasets have in common, from `data[3]` to shuffled batches."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from builder.common.constants import Ints
from builder.common.errors import UsageError
from builder.common.rng import INDEX_LIMIT
from builder.common.validation import format_value
from builder.datasets.order import Order, Schedule
from builder.generator.batch import Batch, Sample
from builder.recipe.recipe import Recipe

AT_ONCE = 256
"""Samples that plain iteration takes at a time."""

FEWEST_BLOCKS = 64
"""Blocks that are shuffled as such: of fewer, an order would be hardly another."""


class Dataset(ABC):
    """Samples by index, wherever they come from: `data[3]`, `data[3:9]`, `data[[7, 2]]`, batches.

    `count` is how many there are, None for no end. `block` is how many neighbours are had for
    the price of one: a shuffled order keeps these together, unless it is told otherwise.
    `masks` tells whether batches have masks.
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
        """The digest of the recipe: samples of equal fingerprint and index are the same."""
        return self._recipe.fingerprint

    def _sample(self, index: int) -> Sample:
        """Return the sample at an index in [0, count)."""
        return self._batch(np.array([index]))[0]

    @abstractmethod
    def _batch(self, index: Ints) -> Batch:
        """Return the samples at indices (B,) int64 in [0, count), in this order."""

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("a dataset without an end has no length: give it a count")
        return self.count

    def __bool__(self) -> bool:
        return self.count != 0

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice | Sequence[int] | Ints) -> Batch: ...

    def __getitem__(self, at: Any) -> Sample | Batch:
        """Return the sample at an index, or the batch of a slice, list or array of indices.

        Negative indices count from the end. Raises `IndexError` for one out of range.
        """
        if isinstance(at, slice):
            return self._batch(self._sliced(at))
        try:
            index = _number(at)
        except TypeError:
            return self._batch(self._listed(at))
        place = index if index >= 0 or self.count is None else index + self.count
        if not 0 <= place < (self.count or INDEX_LIMIT):
            raise self._outside(index)
        return self._sample(place)

    def _sliced(self, at: slice) -> Ints:
        if self.count is not None:
            return np.arange(*at.indices(self.count), dtype=np.int64)
        start, stop, step = (
            operator.index(default if given is None else given)
            for given, default in ((at.start, 0), (at.stop, -1), (at.step, 1))
        )
        if min(start, stop, step - 1) < 0 or max(start, stop) > INDEX_LIMIT - 1:
            raise IndexError(
                f"slice {at.start}:{at.stop}:{at.step} of a dataset without an end: expected a "
                "start and a stop from 0 to 2**63 - 1, and a step from 1"
            )
        return np.arange(start, stop, step, dtype=np.int64)

    def _listed(self, at: Any) -> Ints:
        """Return indices as (B,) int64, none of them negative."""
        index = _numbers(at)
        end = INDEX_LIMIT if self.count is None else self.count
        least = 0 if self.count is None else -end
        wrong = (index < least) | (index >= end)
        if wrong.any():
            raise self._outside(int(index[wrong][0]))
        found: Ints = index.astype(np.int64)
        if self.count is not None:
            found[found < 0] += self.count
        return found

    def _outside(self, index: int) -> IndexError:
        size = "without an end" if self.count is None else f"of {self.count} samples"
        return IndexError(f"index {format_value(index)} is not in this dataset {size}")

    def batches(
        self, size: int, shuffle: bool = False, seed: int = 0, epoch: int = 0
    ) -> Iterator[Batch]:
        """Yield each sample once, `size` at a time; the last batch may be smaller.

        With `shuffle` they come in an order that is a function of `seed` and `epoch` alone, by
        any program, from any storage of equal `block`. For ranks and more see `in_order`.
        Raises `UsageError` for values out of range.
        """
        return self.in_order(Order(size=size, shuffle=shuffle, seed=seed), epoch)

    def in_order(self, order: Order, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in an order, from batch number `start` on."""
        schedule = self.schedule(order)
        return self._scheduled(schedule, *schedule.start(epoch, start))

    def _scheduled(self, schedule: Schedule, epoch: int, number: int) -> Iterator[Batch]:
        while self.count is None or number < len(schedule):
            yield self._batch(schedule.indices(epoch, number))
            number += 1

    def schedule(self, order: Order) -> Schedule:
        """Return every batch of every epoch in an order, by its number."""
        if not isinstance(order, Order):
            raise UsageError(
                f"order is {format_value(order)}, expected an Order, such as Order(256)"
            )
        many = self.count is None or self.count // self.block >= FEWEST_BLOCKS
        return Schedule(order, self.count, order.block or (self.block if many else 1))

    def __iter__(self) -> Iterator[Sample]:
        """Yield every sample in order."""
        return (sample for batch in self.batches(AT_ONCE) for sample in batch)


def _number(one: Any) -> int:
    """Return a whole number. Raises `TypeError` for anything else, truths and arrays too."""
    if type(one) is int or isinstance(one, np.integer):
        return int(one)
    # PyTorch's truths, and its rows of one number, are whole numbers to Python
    truth = isinstance(one, bool) or str(getattr(one, "dtype", "")).endswith("bool")
    if truth or getattr(one, "ndim", 0) > 0:
        raise TypeError
    return operator.index(one)


def _numbers(at: Any) -> Any:
    """Return a list or array of whole numbers as an array (B,); of any size, so perhaps of objects.

    Raises `TypeError` for anything else.
    """
    if hasattr(at, "__array__"):
        array = _array(at)
        if array.ndim == 1 and (array.dtype.kind in "iu" or not array.size):
            return array if array.size else np.zeros(0, np.int64)
    elif isinstance(at, (list, tuple, range)):
        try:
            numbers = [_number(one) for one in at]
        except TypeError:
            pass
        else:
            fits = all(abs(number) < INDEX_LIMIT for number in numbers)
            return np.array(numbers, dtype=np.int64 if fits else object)
    raise TypeError(
        f"index is {format_value(at)}, "
        "expected a whole number, a slice, or whole numbers in one row"
    )


def _array(at: Any) -> Any:
    """Return an array of somebody's as numpy's, a table where it cannot be one."""
    try:
        return np.asarray(at)
    except (TypeError, ValueError, RuntimeError):  # on a GPU, say
        return np.zeros((0, 0))
