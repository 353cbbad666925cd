"""Order: which samples each batch of an epoch holds, computed from its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from builder.common import rng
from builder.common.constants import Ints
from builder.common.errors import UsageError
from builder.common.rng import INDEX_LIMIT, MASK, Stream
from builder.common.validation import whole_number


@dataclass(frozen=True)
class Order:
    """How samples are cut into batches, and split over ranks. Raises `UsageError` for bad values.

    `size`: samples in a batch; the last one of an epoch may have fewer. `shuffle`: in the order of
    a permutation, new for each epoch and `seed`, rather than by index. `rank` of `ranks`: take
    every `ranks`-th batch, from number `rank` on, so that the ranks together see each sample
    once an epoch, and none has more than one batch more than another. `drop_last`: leave out a last
    batch that is not full, and what would give one rank more batches than another. `block`:
    neighbours that are shuffled as one; None for as many as the storage reads in one go: the 16
    images of a chunk of gzipped shards, if there are 64 chunks or more, and else 1. Orders of
    equal blocks are equal for all storages.

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
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected True or False")

    def _check(self, name: str, least: int, most: int) -> None:
        """Hold a number to its range, and make one of numpy's a plain one."""
        said = "batch size" if name == "size" else name
        object.__setattr__(self, name, whole_number(said, getattr(self, name), least, most))


@dataclass(frozen=True)
class Schedule:
    """An order of a number of samples: every batch of every epoch, by its number.

    `count` is None for samples without an end, which are taken in sequence.
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
        """Return the batches that the rank has in an epoch."""
        order = self.order
        if self.count is None:
            raise TypeError("samples without an end have no number of batches")
        if order.drop_last:
            return self.count // order.size // order.ranks
        return max(0, -(-(-(-self.count // order.size) - order.rank) // order.ranks))

    def start(self, epoch: int, number: int) -> tuple[int, int]:
        """Return an epoch, and the number of a batch to begin with, or that after the last one.

        Raises `UsageError` for what cannot be.
        """
        most = INDEX_LIMIT - 1 if self.count is None else len(self)
        return whole_number("epoch", epoch, 0, self._last_epoch), whole_number(
            "start", number, 0, most
        )

    @cached_property
    def _last_epoch(self) -> int:
        return 0 if self.count is None else INDEX_LIMIT // self.count - 1

    def indices(self, epoch: int, number: int) -> Ints:
        """Return the indices (B,) int64 of one batch of the rank, its first batch being number 0.

        Raises `UsageError` for a batch or an epoch that cannot be.
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
        places = np.arange(first, end, dtype=np.int64)
        return self._shuffled(epoch, places) if self.order.shuffle else places

    def _shuffled(self, epoch: int, places: Ints) -> Ints:
        """Return the indices at places of an epoch's order.

        Whole blocks are permuted. The samples past the last whole one are a shorter block,
        which comes in between at a place of its own, `begin`.
        """
        assert self.count is not None
        block, seed, stream = self.block, self.order.seed, Stream.EPOCH_ORDER
        blocks, rest = divmod(self.count, block)
        if not blocks:
            return places
        epochs = np.array([epoch], dtype=np.int64)
        key = rng.sample_seeds(seed, epochs)
        begin = block * int(
            rng.uniform_below(rng.draw_words(key, stream), min(blocks + 1, 1 << 31))[0]
        )
        at = places - rest * (places >= begin + rest)
        number = rng.permute(seed, epoch * blocks + at // block, blocks, stream)
        whole = number * block + at % block
        in_rest = (places >= begin) & (places < begin + rest)
        return np.where(in_rest, blocks * block + places - begin, whole)
