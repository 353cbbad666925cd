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

from builder.batch import Batch

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


class LabelsWriter:
    """A Parquet file of labels, written row group by row group."""

    def __init__(self, path: Path) -> None:
        # an open file, since pyarrow takes a name with a colon in it for an address
        self._sink = path.open("wb")
        self._file = pq.ParquetWriter(self._sink, SCHEMA, compression="zstd")
        self._waiting: pa.Table = SCHEMA.empty_table()
        self._rows = 0

    def write(self, batch: Batch, file_names: list[str]) -> None:
        """Add the labels of a batch; `file_names` has one for each sample, or one for all."""
        rows = np.arange(self._rows, self._rows + len(batch))
        self._rows += len(batch)
        self._waiting = pa.concat_tables([self._waiting, labels_table(batch, file_names, rows)])
        while len(self._waiting) >= GROUP:
            self._file.write_table(self._waiting.slice(0, GROUP).combine_chunks(), GROUP)
            self._waiting = self._waiting.slice(GROUP)

    def close(self) -> None:
        """Write what waits and end the file."""
        with self._sink:
            if len(self._waiting):
                self._file.write_table(self._waiting.combine_chunks(), GROUP)
            self._file.close()


def labels_table(batch: Batch, file_names: list[str], rows: Any) -> pa.Table:
    """Return the labels of a batch as a table of `SCHEMA`."""
    shown = batch.labels >= 0
    offsets = np.concatenate([[0], np.cumsum(batch.lengths, dtype=np.int32)]).astype(np.int32)
    corners = pa.FixedSizeListArray.from_arrays(pa.array(batch.boxes[shown].reshape(-1)), 4)
    names = file_names if len(file_names) == len(batch) else file_names * len(batch)
    return pa.table(
        [
            pa.array(names),
            rows,
            batch.index,
            pa.array(batch.texts),
            batch.lengths,
            batch.seeds,
            pa.ListArray.from_arrays(offsets, batch.glyphs[shown]),
            pa.ListArray.from_arrays(offsets, corners),
        ],
        schema=SCHEMA,
    )


def read_labels(path: Path) -> pa.Table:
    """Return the labels of a shard as a table of `SCHEMA`."""
    with path.open("rb") as file:
        return pq.read_table(file, schema=SCHEMA, partitioning=None)
