"""Access to stored samples: any field at any indices, over all shards of a plan."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import Ints
from builder.common.errors import DatasetError
from builder.generator.batch import FIELDS, Batch
from builder.storage import formats
from builder.storage.config import DatasetConfig

OPEN_SHARDS = 256
"""Shards held open at a time, one file each: a quarter of what a process may usually open. A
shuffled batch of 256 from 1,000 shards opens some 190 of them again, at 40 us each. Of PNG shards
it is their labels that are held, 160 bytes a sample of five digits."""


Found = list[tuple[int, list[tuple[int, int, int, int]]]]
"""Where samples are: for each shard its runs of rows [row, stop), and their places [place, after).

Places are those of a batch. A run is of one block, whose bytes are had at once."""


class OpenShards:
    """The shards of a plan in a folder, each opened when it is first read.

    It may be used by several threads, and by processes that were forked meanwhile. Of HDF5
    shards that were closed to make room, where their fields lie is remembered.
    """

    def __init__(self, folder: Path, plan: DatasetConfig) -> None:
        self._folder, self._plan = folder, plan
        self._form = formats.format_of(plan.storage.format)
        self._fields = self._form.fields(plan)
        self.block: int = self._form.block(plan)
        self._size = plan.storage.shard_size
        self._open: dict[int, formats.ShardReader] = {}
        self._layouts: dict[int, Any] = {}
        self._last: tuple[Ints | None, Found] = (None, [])
        self._opening, self._process = threading.Lock(), os.getpid()

    def field(self, name: str, index: Ints) -> npt.NDArray[Any] | None:
        """Return a field of the samples at indices (B,), in their order; None if it is not stored.

        Every index is one of the plan's. Raises `DatasetError` for a shard that cannot be read.
        """
        field = self._fields.get(name)
        if field is None:
            return None
        found = np.empty((len(index), *field.tail), dtype=field.dtype)
        data, size = found.reshape(-1).view(np.uint8).data, field.bytes
        # shard by shard, and chunk by chunk: each is opened or inflated once, and let go of
        for shard, runs in self._found(index):
            try:
                values = self._values(name, shard)
                for row, stop, place, after in runs:
                    data[place * size : after * size] = values(row, stop)
            except DatasetError:
                self.forget(shard)
                raise
        return found

    def _found(self, index: Ints) -> Found:
        """Return where samples are; of those found last it is known, as fields are read in turn."""
        last, found = self._last
        if last is not index:
            found = _runs(index, self._size, self.block)
            self._last = index, found
        return found

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """Return one image, (28, W): what `field` returns for it, in a tenth of the time."""
        number, row = divmod(index, self._size)
        try:
            pixels = bytearray(self._values("images", number)(row, row + 1))
        except DatasetError:
            self.forget(number)
            raise
        return np.frombuffer(pixels, np.uint8).reshape(self._fields["images"].tail)

    def batch(self, index: Ints) -> Batch:
        """Return the samples at indices (B,) as they are stored, whatever their values."""
        values: dict[str, Any] = {name: self.field(name, index) for name in FIELDS}
        return Batch(**values)

    def _values(self, name: str, number: int) -> Callable[[int, int], Any]:
        """Return what gives the bytes of rows of a field of a shard, which is opened if need be."""
        reader = self._open.get(number) or self._opened(number)
        reader.check()
        return reader.values(name)

    def _opened(self, number: int) -> formats.ShardReader:
        with self._lock():
            if number not in self._open:
                shard, layout = self._plan.shard(number), self._layouts.get(number)
                opened = self._form.open_shard(self._folder, self._plan, shard, layout)
                while len(self._open) >= OPEN_SHARDS:
                    self._open.pop(next(iter(self._open)), None)
                self._open[number], self._layouts[number] = opened, opened.layout
            return self._open[number]

    def _lock(self) -> threading.Lock:
        """Return what is held while shards are opened and closed."""
        if self._process != os.getpid():  # in a fork, another thread's lock may stay locked
            self._opening, self._process = threading.Lock(), os.getpid()
        return self._opening

    def forget(self, number: int) -> None:
        """Let go of a shard that is not as it should be: once repaired, it is another file."""
        with self._lock():
            self._open.pop(number, None)

    def close(self) -> None:
        """Let go of the shards that are open; reading opens them anew."""
        with self._lock():
            self._open.clear()


def _runs(index: Ints, size: int, block: int) -> Found:
    """Return where the samples at indices (B,) are, in shards of `size` samples."""
    order = np.argsort(index, kind="stable")
    shards, rows = np.divmod(index[order], size)
    apart = (rows[1:] != rows[:-1] + 1) | (shards[1:] != shards[:-1]) | (np.diff(order) != 1)
    if block > 1:
        apart |= rows[1:] % block == 0
    begins = np.flatnonzero(np.concatenate([[True], apart])[: len(index)])
    lengths = np.diff(begins, append=len(index))
    columns = (rows[begins], rows[begins] + lengths, order[begins], order[begins] + lengths)
    runs = list(zip(*(column.tolist() for column in columns), strict=True))
    numbers = shards[begins]
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    ends = [*firsts[1:], len(runs)]
    return [(int(numbers[a]), runs[a:b]) for a, b in zip(firsts, ends, strict=False)]
