"""The order of samples: the indices of any batch of any epoch, computed from its number alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from builder.common import rng
from builder.common.constants import Ints
from builder.common.errors import UsageError
from builder.common.rng import INDEX_LIMIT, MASK, Stream
from builder.common.validation import format_value, whole_number


@dataclass(frozen=True)
class Order:
    """How samples are cut into batches and divided among ranks.

    Orders with equal blocks are the same for every dataset of a count, stored or live.

    Attributes:
        size: Samples in a batch, from 1; the last batch of an epoch may be smaller. Default 256.
        shuffle: Order the samples by a permutation, new for each epoch and seed. By default they
            come by index.
        seed: Seed of the permutation, 0 to 2**64 - 1. Default 0.
        rank: Rank of this process, in [0, ranks). It takes every `ranks`-th batch from number
            `rank` on, so that the ranks together see each sample once an epoch. Default 0.
        ranks: Number of ranks, 1 to 2**31. Default 1.
        drop_last: Leave out a last batch that is not full, and batches that only some ranks have.
        block: Number of neighbours that a permutation keeps together, from 1. None, the default, is
            the 16 images of a chunk for gzipped shards with 64 chunks or more, else 1.

    Raises:
        UsageError: A value is out of range.

    >>> Order(size=128, shuffle=True, rank=1, ranks=2).size
    128
    """

    size: int = 256
    shuffle: bool = False
    seed: int = 0
    rank: int = 0
    ranks: int = 1
    drop_last: bool = False
    block: int | None = None

    def __post_init__(self) -> None:
        self._check("size", 1, INDEX_LIMIT - 1)
        self._check("seed", 0, MASK)
        self._check("ranks", 1, 1 << 31)
        self._check("rank", 0, self.ranks - 1)
        if self.block is not None:
            self._check("block", 1, INDEX_LIMIT - 1)
        for name in ("shuffle", "drop_last"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise UsageError(f"{name} is {format_value(value)}, expected True or False")
            object.__setattr__(self, name, bool(value))

    def _check(self, name: str, least: int, most: int) -> None:
        """Check the range of a field, and convert a numpy number to int."""
        label = "batch size" if name == "size" else name
        object.__setattr__(self, name, whole_number(label, getattr(self, name), least, most))


@dataclass(frozen=True)
class Schedule:
    """An order applied to a number of samples: the indices of every batch of every epoch.

    Attributes:
        order: Batch size, permutation, and the share of this rank.
        count: Number of samples, or None for samples without an end, which come by index.
        block: Number of neighbours that the permutation keeps together, from 1.

    Raises:
        UsageError: Samples without an end are shuffled, or `drop_last` leaves no batch.
    """

    order: Order
    count: int | None
    block: int

    def __post_init__(self) -> None:
        order = self.order
        if self.count is None and order.shuffle:
            raise UsageError(
                "shuffle is given for samples without an end: they are independent of each other "
                "in any order; leave shuffle out, or give a count"
            )
        if order.drop_last and self.count is not None and not len(self):
            raise UsageError(
                f"drop_last leaves no batch of {order.size} for each of {order.ranks} ranks out of "
                f"{self.count} samples: use smaller batches, or no drop_last"
            )

    def __len__(self) -> int:
        """Return the number of batches that the rank has in an epoch."""
        order = self.order
        if self.count is None:
            raise TypeError("samples without an end have no number of batches")
        if order.drop_last:
            return self.count // order.size // order.ranks
        batches = -(-self.count // order.size)
        return max(0, -(-(batches - order.rank) // order.ranks))

    def check_start(self, epoch: int, number: int) -> tuple[int, int]:
        """Check an epoch and the number of its first batch to read; return both as int.

        Args:
            epoch: Number of the epoch, from 0.
            number: Number of the batch, from 0 up to and with the number of batches.

        Raises:
            UsageError: A number is out of range.
        """
        most = INDEX_LIMIT - 1 if self.count is None else len(self)
        epoch = whole_number("epoch", epoch, 0, self._last_epoch)
        return epoch, whole_number("start", number, 0, most)

    def numbers(self, first: int) -> Iterable[int]:
        """Return the numbers of the rank's batches from `first` on to the end of an epoch."""
        return itertools.count(first) if self.count is None else range(first, len(self))

    @cached_property
    def _last_epoch(self) -> int:
        return 0 if self.count is None else INDEX_LIMIT // self.count - 1

    def indices(self, epoch: int, number: int) -> Ints:
        """Return the indices (B,) int64 of one batch of the rank.

        Args:
            epoch: Number of the epoch, from 0.
            number: Number of the batch among those of the rank, from 0.

        Raises:
            UsageError: A number is out of range.
        """
        most = INDEX_LIMIT - 1 if self.count is None else len(self) - 1
        epoch = whole_number("epoch", epoch, 0, self._last_epoch)
        number = whole_number("batch", number, 0, most)
        first = (number * self.order.ranks + self.order.rank) * self.order.size
        end = first + self.order.size
        if self.count is not None:
            end = min(end, self.count)
        if end > INDEX_LIMIT:
            raise UsageError(f"batch {number} is past index 2**63 - 1, where samples end")
        positions = np.arange(first, end, dtype=np.int64)
        return self._permute(epoch, positions) if self.order.shuffle else positions

    def _permute(self, epoch: int, positions: Ints) -> Ints:
        """Return the indices (B,) at some positions of an epoch's permutation.

        Whole blocks are permuted. The samples after the last whole block are a shorter block, which
        is inserted at a random position between two others.
        """
        assert self.count is not None
        block, seed, stream = self.block, self.order.seed, Stream.EPOCH_ORDER
        blocks, rest = divmod(self.count, block)
        if not blocks:
            return positions
        key = rng.sample_seeds(seed, np.array([epoch], dtype=np.int64))
        words = rng.draw_words(key, stream)
        begin = block * int(rng.uniform_below(words, min(blocks + 1, 1 << 31))[0])
        in_rest = (positions >= begin) & (positions < begin + rest)
        whole = positions - rest * (positions >= begin + rest)
        numbers = rng.permute(seed, epoch * blocks + whole // block, blocks, stream)
        return np.where(
            in_rest, blocks * block + positions - begin, numbers * block + whole % block
        )
