"""The labels of a shard as a Parquet file, for people and tools that want labels with types.

Columns: `file_name`, `row` in it, `index`, `label` (a string: its zeros stay), `length`,
`seed`, `glyphs` (list of int32), `boxes` (list of four float32 each).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from builder.common import untrusted_files
from builder.common.errors import DatasetError
from builder.generator.batch import Batch
from builder.storage.formats.pages import check_column

GROUP = 8192
"""Rows in a row group. Fixed, so that equal shards give equal bytes whatever the block size."""

SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("row", pa.int64()),
        ("index", pa.int64()),
        ("label", pa.string()),
        ("length", pa.uint8()),
        ("seed", pa.uint64()),
        ("glyphs", pa.list_(pa.int32())),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
    ]
)


READ = ("index", "label", "length", "seed", "glyphs", "boxes")
"""Columns that a reader needs; the others follow from the plan."""

BYTES = (1 << 20, 600)
"""Bytes of a shard's labels at most, and of each sample beside its digits."""

DICTIONARY = ("file_name", "length")
"""Columns of few values. A dictionary for the others made files a tenth larger, and slower."""


class LabelsWriter:
    """A Parquet file of labels, written row group by row group."""

    def __init__(self, path: Path) -> None:
        # an open file, since pyarrow takes a name with a colon in it for an address
        self._sink = path.open("wb")
        self._file = pq.ParquetWriter(
            self._sink, SCHEMA, compression="zstd", use_dictionary=list(DICTIONARY)
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, batch: Batch, file_names: list[str]) -> None:
        """Add the labels of a batch; `file_names` has one for each sample, or one for all."""
        rows = np.arange(self._rows, self._rows + len(batch))
        self._rows += len(batch)
        self._waiting.append(labels_table(batch, file_names, rows))
        while sum(map(len, self._waiting)) >= GROUP:
            waiting = pa.concat_tables(self._waiting)
            self._write_group(waiting.slice(0, GROUP))
            self._waiting = [waiting.slice(GROUP)]

    def _write_group(self, rows: pa.Table) -> None:
        self._file.write_table(rows.combine_chunks(), GROUP)

    def close(self) -> None:
        """Write what waits and end the file."""
        with self._sink:
            if any(map(len, self._waiting)):
                self._write_group(pa.concat_tables(self._waiting))
            self._file.close()


def labels_table(batch: Batch, file_names: list[str], rows: Any) -> pa.Table:
    """Return the labels of a batch as a table of `SCHEMA`.

    The columns are the arrays' own memory: nothing is looked at value by value, and pyarrow
    does not load pandas, as it does (0.2 s) when it is given arrays of numpy to convert.
    """
    shown = np.flatnonzero(batch.labels >= 0)
    digits, glyphs = batch.labels.reshape(-1).take(shown), batch.glyphs.reshape(-1).take(shown)
    boxes = batch.boxes.reshape(-1, 4).take(shown, axis=0)
    offsets = _offsets(batch.lengths)
    names = file_names if len(file_names) == len(batch) else file_names * len(batch)
    corners = pa.FixedSizeListArray.from_arrays(_numbers(pa.float32(), boxes.reshape(-1)), 4)
    starts = _numbers(pa.int32(), offsets)
    return pa.table(
        [
            _strings(_offsets([len(name) for name in names]), "".join(names).encode()),
            _numbers(pa.int64(), rows),
            _numbers(pa.int64(), batch.index),
            _strings(offsets, digits + np.int8(ord("0"))),
            _numbers(pa.uint8(), batch.lengths),
            _numbers(pa.uint64(), batch.seeds),
            pa.ListArray.from_arrays(starts, _numbers(pa.int32(), glyphs)),
            pa.ListArray.from_arrays(starts, corners),
        ],
        schema=SCHEMA,
    )


def _offsets(lengths: Any) -> Any:
    """Return where each of several runs begins, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _numbers(kind: Any, values: Any) -> Any:
    return pa.Array.from_buffers(
        kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _strings(offsets: Any, characters: Any) -> Any:
    return pa.StringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(characters)
    )


def stored_labels(folder: Path, name: str, count: int, longest: int) -> pa.Table:
    """Return the labels of a shard of a dataset: see `read_labels`. Raises `DatasetError`."""
    data = untrusted_files.read_untrusted(
        folder, name, BYTES[0] + count * (BYTES[1] + 24 * longest)
    )
    try:
        return read_labels(data, count, longest)
    except Exception as error:  # a damaged file makes pyarrow raise errors of any kind
        said = str(error).partition("\n")[0][:200]
        raise DatasetError(f"{folder / name}: {said}") from None


def read_labels(data: bytes, count: int, longest: int) -> pa.Table:
    """Return the labels of a shard of `count` samples: all columns but names and rows.

    `longest` is the most digits that a label can have. Raises `DatasetError` for anything
    that no shard of this size has, before it is inflated.
    """
    limits = {"thrift_string_size_limit": 1 << 20, "thrift_container_size_limit": 1 << 20}
    file = pq.ParquetFile(pa.BufferReader(data), **limits)
    if file.metadata.num_rows != count:
        raise DatasetError(f"has {file.metadata.num_rows} labels, expected {count}")
    if not file.schema_arrow.equals(SCHEMA):
        raise DatasetError("has other columns than labels have")
    if not (file.metadata.created_by or "").startswith("parquet-cpp-arrow "):
        raise DatasetError("was not written by this program")
    view = memoryview(data)
    for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
        rows = group.num_rows
        most = {"index": (rows, 8), "label": (rows, 4 + longest), "length": (rows, 1),
                "seed": (rows, 8), "glyphs": (rows * longest, 4),
                "boxes": (4 * rows * longest, 4)}  # fmt: skip
        if not 0 <= rows <= count:
            raise DatasetError(f"has {rows} rows in a group, expected at most {count}")
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            if name in most:
                check_column(view, column, *most[name])
    table = file.read(list(READ), use_threads=False)
    table.validate(full=True)  # of texts, that they are UTF-8; of lists, that they lie in order
    if len(table) != count or any(_has_null(column) for column in table.columns):
        raise DatasetError(f"has {len(table)} labels, some of them null, expected {count}")
    return table


def _has_null(column: Any) -> bool:
    column = column.combine_chunks()
    while not column.null_count and pa.types.is_nested(column.type):
        column = column.flatten()
    return bool(column.null_count)
