"""The labels of a shard as a Parquet file, for people and other tools. It is only ever written.

Columns: `file_name`, `row` in it, `index`, `label` (a string: its zeros stay), `length`,
`seed`, `glyphs` (list of int32), `boxes` (list of four float32 each). `seed` is text, `0x` and 16
hex digits: half of all seeds are 2**63 or more, and many tools hold whole numbers as int64.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from builder.common import atomic_files
from builder.common.constants import Int32s, UInt8s, Words
from builder.generator.batch import Batch

GROUP = 8192
"""Rows in a row group. Fixed, so that equal shards give equal bytes whatever the block size."""

SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("row", pa.int64()),
        ("index", pa.int64()),
        ("label", pa.string()),
        ("length", pa.uint8()),
        ("seed", pa.string()),
        ("glyphs", pa.list_(pa.int32())),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
    ]
)

DICTIONARY = ["file_name", "length"]
"""Columns of few values. A dictionary for the others made files a tenth larger, and slower."""


PREFIX = np.frombuffer(b"0x", dtype=np.uint8)
HEX_PAIRS = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)
"""The two hex digits of each byte."""


class LabelsWriter:
    """An open Parquet file of labels, written row group by row group.

    Args:
        file: The file, empty. The writer does not close it.
        file_names: Returns the file name of the image of each sample of a batch.
    """

    def __init__(self, file: io.FileIO, file_names: Callable[[Batch], Sequence[str]]) -> None:
        self._handle, self._file_names = file.fileno(), file_names
        self._sink = os.fdopen(self._handle, "wb", closefd=False)  # a raw file may write in part
        self._file = pq.ParquetWriter(
            self._sink, SCHEMA, compression="zstd", use_dictionary=DICTIONARY
        )
        self._rest = pa.Table.from_batches([], SCHEMA)  # `empty_table` loads pandas
        self._rows = 0

    def write(self, batch: Batch) -> None:
        """Add the labels of the next samples. Those that fill no group are kept back."""
        rows = np.arange(self._rows, self._rows + len(batch))
        self._rows += len(batch)
        labels = _labels_table(batch, self._file_names(batch), rows)
        table = pa.concat_tables([self._rest, labels])
        whole = len(table) // GROUP * GROUP
        if whole:
            self._file.write_table(table.slice(0, whole).combine_chunks(), GROUP)
        self._rest = table.slice(whole)

    def close(self) -> tuple[int, str]:
        """Write the last rows and the end of the file; return its size in bytes and its sha256."""
        with self._sink:
            if len(self._rest):
                self._file.write_table(self._rest.combine_chunks(), GROUP)
            self._file.close()
        sha256 = atomic_files.StreamingSha256(self._handle).hexdigest()
        return os.fstat(self._handle).st_size, sha256

    def abandon(self) -> None:
        """Close what is open."""
        with suppress(Exception), self._sink:
            self._file.close()


def _labels_table(batch: Batch, file_names: Sequence[str], rows: npt.NDArray[np.int64]) -> pa.Table:
    """Return the labels of a batch as a table of `SCHEMA`.

    The columns are the arrays' own memory: no value is converted, and pyarrow does not load
    pandas, as it does (0.2 s) when it is given numpy arrays to convert.
    """
    present = np.flatnonzero(batch.labels >= 0)
    digits, glyphs = batch.labels.reshape(-1).take(present), batch.glyphs.reshape(-1).take(present)
    boxes = batch.boxes.reshape(-1, 4).take(present, axis=0)
    offsets = _offsets(batch.lengths)
    corners = pa.FixedSizeListArray.from_arrays(_numbers(pa.float32(), boxes.reshape(-1)), 4)
    starts = _numbers(pa.int32(), offsets)
    return pa.table(
        [
            _strings(_offsets([len(name) for name in file_names]), "".join(file_names).encode()),
            _numbers(pa.int64(), rows),
            _numbers(pa.int64(), batch.index),
            _strings(offsets, digits + np.int8(ord("0"))),
            _numbers(pa.uint8(), batch.lengths),
            _strings(np.arange(len(batch) + 1, dtype=np.int32) * 18, _format_seeds(batch.seeds)),
            pa.ListArray.from_arrays(starts, _numbers(pa.int32(), glyphs)),
            pa.ListArray.from_arrays(starts, corners),
        ],
        schema=SCHEMA,
    )


def _format_seeds(seeds: Words) -> UInt8s:
    """Return the characters of seeds (B,), 18 each, as `f"{seed:#018x}"` has them."""
    characters = np.empty((len(seeds), 18), dtype=np.uint8)
    characters[:, :2] = PREFIX
    characters[:, 2:] = HEX_PAIRS[seeds.astype(">u8").view(np.uint8)].view(np.uint8).reshape(-1, 16)
    return characters


def _offsets(lengths: npt.ArrayLike) -> Int32s:
    """Return where each of several runs begins, and where the last one ends."""
    ends = np.cumsum(lengths, dtype=np.int32)
    return np.concatenate([np.zeros(1, dtype=np.int32), ends])


def _numbers(kind: pa.DataType, values: npt.NDArray[np.generic]) -> pa.Array:
    return pa.Array.from_buffers(
        kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _strings(offsets: Int32s, characters: bytes | npt.NDArray[np.generic]) -> pa.StringArray:
    return pa.StringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(characters)
    )
