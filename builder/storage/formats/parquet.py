"""The labels of a shard as a Parquet file, for people and other tools. No dataset is read from it.

Columns: `file_name`, `row` in it, `index`, `label` (a string: its zeros stay), `length`,
`seed`, `glyphs` (list of int32), `boxes` (list of four float32 each). `seed` is text, `0x` and 16
hex digits: half of all seeds are 2**63 or more, and many tools hold whole numbers as int64.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from builder.common import atomic_files
from builder.common.constants import Int32s, UInt8s, Words
from builder.common.validation import format_value
from builder.generator.batch import Batch

if TYPE_CHECKING:
    from typing_extensions import Buffer

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

BUFFER = 1 << 16
"""Bytes that are written and hashed at once."""

DICTIONARY = ["file_name", "length"]
"""Columns of few values. A dictionary for the others made files a tenth larger, and slower."""


PREFIX = np.frombuffer(b"0x", dtype=np.uint8)
HEX_PAIRS = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)
"""The two hex digits of each byte."""


class HashingSink(io.RawIOBase):
    """Where pyarrow writes: it counts and hashes the bytes, and writes them if there is a file.

    Args:
        handle: Descriptor of the file; None for the size and the hash alone.
    """

    def __init__(self, handle: int | None) -> None:
        self.size, self.sha256, self._handle = 0, hashlib.sha256(), handle

    def writable(self) -> bool:
        """Say that this is a file to write to."""
        return True

    def write(self, data: Buffer) -> int:
        """Add bytes, all of them."""
        view = memoryview(data).cast("B")
        if self._handle is not None:
            atomic_files.write_at(self._handle, view, self.size)
        self.sha256.update(view)
        self.size += len(view)
        return len(view)


class LabelsWriter:
    """An open Parquet file of labels, written row group by row group.

    Args:
        file: The file, empty; the writer does not close it. None for its size and sha256 alone.
        file_names: Returns the file name of the image of each sample of a batch.
    """

    def __init__(
        self, file: io.FileIO | None, file_names: Callable[[Batch], Sequence[str]]
    ) -> None:
        self._sums, self._file_names = HashingSink(file.fileno() if file else None), file_names
        self._sink = io.BufferedWriter(self._sums, BUFFER)
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
        if len(self._rest):
            self._file.write_table(self._rest.combine_chunks(), GROUP)
        self._file.close()
        self._sink.flush()
        return self._sums.size, self._sums.sha256.hexdigest()

    def abandon(self) -> None:
        """Close what is open."""
        with suppress(Exception), self._sink:
            self._file.close()


def compare_rows(
    file: io.BufferedReader,
    count: int,
    read: Callable[[range], Batch],
    file_names: Callable[[Batch], Sequence[str]],
) -> Iterator[str]:
    """Yield the first difference between a Parquet file and the labels of samples, if there is one.

    A damaged file can end the process in pyarrow, so this is only called in workers.

    Args:
        file: The Parquet file.
        count: Samples that it should have.
        read: Returns the samples in a range of rows.
        file_names: As for `LabelsWriter`.
    """
    opened = pq.ParquetFile(file)
    if (rows := opened.metadata.num_rows) != count:
        yield f"has {rows} rows, expected {count}"
        return
    columns, due = ({f.name: f.type for f in schema} for schema in (opened.schema_arrow, SCHEMA))
    for name in sorted({*columns, *due}):
        if columns.get(name) != due.get(name):
            yield f"column {name[:60]} is {columns.get(name)}, expected {due.get(name)}"
            return
    first = 0
    for group in range(opened.num_row_groups):
        stored = opened.read_row_group(group, use_threads=False)
        batch = read(range(first, first + len(stored)))
        expected = _labels_table(batch, file_names(batch), np.arange(first, first + len(stored)))
        for name in SCHEMA.names:
            values, due = stored[name].to_pylist(), expected[name].to_pylist()
            for row, (value, correct) in enumerate(zip(values, due, strict=True), first):
                if value != correct:
                    shown, right = format_value(value), format_value(correct)
                    yield f"row {row}: {name} is {shown}, expected {right}"
                    return
        first += len(stored)


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
