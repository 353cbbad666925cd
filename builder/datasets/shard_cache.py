"""Reading stored samples: any field at any indices, over all shards of a dataset."""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import Ints, UInt8s
from builder.common.errors import DatasetError
from builder.common.untrusted_files import keep_open
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig
from builder.storage.formats import FORMATS
from builder.storage.formats.hdf5_reader import FieldsLayout, Hdf5Reader, Rows

Run = tuple[int, int, int, int]
"""Rows [start, stop) of a shard, and their positions [first, end) in a batch. A run does not cross
the border of a block, so that its bytes are read at once."""

ShardRuns = list[tuple[int, list[Run]]]
"""The runs of a batch, by shard number."""


class ShardCache:
    """The shards of a dataset, each opened when it is first read.

    All caches of a process share the files that may be open; the oldest are closed again.
    Several threads and forked processes may use one cache. The layout of a closed shard is kept,
    so that it opens again without HDF5.

    Args:
        folder: The dataset's folder.
        config: Configuration of the dataset.
    """

    def __init__(self, folder: Path, config: DatasetConfig) -> None:
        self._folder, self._config = folder, config
        self._open_reader = FORMATS[config.storage.format].reader
        self._fields = config.fields
        self.block = self._fields["images"].chunk_rows or 1
        self._shard_size = config.storage.shard_size
        self._readers: dict[int, Hdf5Reader] = {}
        self._layouts: dict[int, FieldsLayout] = {}
        self._last_runs: tuple[Ints | None, ShardRuns] = (None, [])
        self._lock, self._process = threading.Lock(), os.getpid()

    def field(self, name: str, index: Ints) -> npt.NDArray[Any] | None:
        """Return one field of some samples.

        Args:
            name: Field of `Batch`.
            index: Indices (B,) int64 in [0, count), in any order.

        Returns:
            An array (B, ...) in the order of `index`; None if the dataset does not store the field.

        Raises:
            DatasetError: A shard cannot be read.
        """
        field = self._fields.get(name)
        if field is None:
            return None
        values = np.empty((len(index), *field.tail), dtype=field.dtype)
        data, size = values.reshape(-1).view(np.uint8).data, field.bytes
        last_index, shard_runs = self._last_runs
        if last_index is not index:  # the fields of a batch are read in turn
            shard_runs = _split_runs(index, self._shard_size, self.block)
            self._last_runs = index, shard_runs
        # by shard and by chunk, so that each is opened or inflated once
        for shard, runs in shard_runs:
            try:
                read_rows = self.row_reader(name, shard)
                for start, stop, first, end in runs:
                    data[first * size : end * size] = read_rows(start, stop)
            except DatasetError:
                self.forget(shard)
                raise
        return values

    def image(self, index: int) -> UInt8s:
        """Return one image, (28, W) uint8, in a tenth of the time that `field` takes."""
        shard, row = divmod(index, self._shard_size)
        try:
            pixels = bytearray(self.row_reader("images", shard)(row, row + 1))
        except DatasetError:
            self.forget(shard)
            raise
        return np.frombuffer(pixels, np.uint8).reshape(self._fields["images"].tail)

    def batch(self, index: Ints) -> Batch:
        """Return samples as stored, without a check of their values."""
        return Batch(len(index), lambda name: {name: self.field(name, index)})

    def forget(self, shard: int) -> None:
        """Close a damaged shard, so that the next read opens the repaired file."""
        with self._process_lock():
            self._readers.pop(shard, None)

    def close(self) -> None:
        """Close all shards; the next read opens them again."""
        with self._process_lock():
            self._readers.clear()

    def row_reader(self, name: str, shard: int) -> Rows:
        """Return the function that reads the bytes of rows [start, stop), all of one block."""
        reader = self._readers.get(shard) or self._open(shard)
        reader.check()
        return reader.values(name)

    def _open(self, number: int) -> Hdf5Reader:
        with self._process_lock():
            if number not in self._readers:
                shard, layout = self._config.shard(number), self._layouts.get(number)
                reader = self._open_reader(self._folder, self._fields, shard, layout)
                keep_open(reader, partial(_drop, weakref.ref(self), number))
                self._readers[number], self._layouts[number] = reader, reader.layout
            return self._readers[number]

    def _process_lock(self) -> threading.Lock:
        """Return the lock of this process: in a fork, that of the parent may stay locked."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock


def _drop(cache: weakref.ref[ShardCache], number: int) -> None:
    """Close a shard. Its cache may be in use, but `pop` needs no lock, or be gone."""
    if opened := cache():
        opened._readers.pop(number, None)


def _split_runs(index: Ints, shard_size: int, block: int) -> ShardRuns:
    """Return the runs of the samples at indices (B,), sorted by shard and row."""
    order = np.argsort(index, kind="stable")
    shards, rows = np.divmod(index[order], shard_size)
    splits = (rows[1:] != rows[:-1] + 1) | (shards[1:] != shards[:-1]) | (np.diff(order) != 1)
    if block > 1:
        splits |= rows[1:] % block == 0
    begins = np.flatnonzero(np.concatenate([[True], splits])[: len(index)])
    lengths = np.diff(begins, append=len(index))
    columns = (rows[begins], rows[begins] + lengths, order[begins], order[begins] + lengths)
    runs = list(zip(*(column.tolist() for column in columns), strict=True))
    numbers = shards[begins]
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    ends = [*firsts[1:], len(runs)]
    return [(int(numbers[a]), runs[a:b]) for a, b in zip(firsts, ends, strict=False)]
