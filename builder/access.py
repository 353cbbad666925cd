"""Access to stored samples: any field at any indices, over all shards of a plan."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder import formats
from builder.batch import FIELDS, Batch
from builder.plan import Plan
from builder.streams import Ints

OPEN_SHARDS = 256
"""Shards held open at a time, one file each: a quarter of what a process may usually open. A
shuffled batch of 256 from more shards than that opens some 190 of 1,000 again, at 40 us each."""


class OpenShards:
    """The shards of a plan in a folder, each opened when it is first read.

    It may be used by several threads, and by processes that were forked meanwhile. Of HDF5
    shards that were closed to make room, where their fields lie is remembered.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._form = formats.format_of(plan.storage.format)
        self._fields = self._form.fields(plan)
        self.block: int = self._form.block(plan)
        self._size = plan.storage.shard_size
        self._open: dict[int, formats.ShardReader] = {}
        self._layouts: dict[int, Any] = {}
        self._opening, self._process = threading.Lock(), os.getpid()

    def field(self, name: str, index: Ints) -> npt.NDArray[Any] | None:
        """Return a field of the samples at indices (B,), in their order; None if it is not stored.

        Every index is one of the plan's. Raises `DatasetError` for a shard that cannot be read.
        """
        field = self._fields.get(name)
        if field is None:
            return None
        numbers, rows = np.divmod(index, self._size)
        values = {number: self._values(name, number) for number in set(numbers.tolist())}
        # neighbours in one block are taken as one; each byte is copied once, to its place
        apart = (rows[1:] != rows[:-1] + 1) | (numbers[1:] != numbers[:-1])
        if self.block > 1:
            apart |= rows[1:] % self.block == 0
        begins = [0, *(np.flatnonzero(apart) + 1).tolist()][: len(index)]
        ends = [*begins[1:], len(index)][: len(index)]
        runs = zip(numbers[begins].tolist(), rows[begins].tolist(), begins, ends, strict=True)
        data = bytearray().join(
            [values[number](row, row + end - begin) for number, row, begin, end in runs]
        )
        return np.frombuffer(data, dtype=field.dtype).reshape(len(index), *field.tail)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """Return one image, (28, W): what `field` returns for it, in a fifth of the time."""
        number, row = divmod(index, self._size)
        image = np.frombuffer(bytearray(self._values("images", number)(row, row + 1)), np.uint8)
        return image.reshape(self._fields["images"].tail)

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
        if self._process != os.getpid():  # in a fork, another thread's lock may stay locked
            self._opening, self._process = threading.Lock(), os.getpid()
        with self._opening:
            if number not in self._open:
                shard, layout = self._plan.shard(number), self._layouts.get(number)
                reader = self._form.open_shard(self._folder, self._plan, shard, layout)
                while len(self._open) >= OPEN_SHARDS:
                    del self._open[next(iter(self._open))]
                self._open[number], self._layouts[number] = reader, reader.layout
            return self._open[number]

    def close(self) -> None:
        """Let go of the shards that are open; reading opens them anew."""
        self._open.clear()
