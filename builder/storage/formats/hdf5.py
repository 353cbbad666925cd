"""Format hdf5, and the writer of the fields file that a shard of any format has.

A fields file has top-level datasets of equal first dimension, and root attributes. In format hdf5
the images are in it, and a Parquet file beside it has the labels.

A file is laid out first, by h5py: every dataset with its storage allocated and no fill value
written. Then values are written once, by plain writes at the datasets' offsets: as fast as the
disk, and an error of the disk is an `OSError` with its reason. Only gzipped images and masks
pass through HDF5, as whole chunks deflated here by ISA-L (9 times zlib's speed).
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from builder.common import atomic_files
from builder.common.errors import DatasetError
from builder.common.validation import canonical_json
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard, StoredField, StoredFields
from builder.storage.formats.base import FileWriter, Format
from builder.storage.formats.hdf5_reader import DATASET_NAMES
from builder.storage.output_folder import OutputFolder

if TYPE_CHECKING:
    import h5py
    from typing_extensions import Buffer

DEFLATE_LEVEL = 1
"""ISA-L's level: 7.8 us an image of 5,600 px for 3.7 times less bytes. Level 0 takes 6.9 us for
3.1, and zlib's level 6 is nine times slower."""

Columns = Mapping[str, npt.NDArray[np.generic]]
"""Values of several fields, by their names."""

LIBRARY_BOUNDS = ("v108", "v110")


class Hdf5Format(Format):
    """Shards of one HDF5 file, and a Parquet file with the labels for other tools."""

    def create(
        self, stack: ExitStack, folder: OutputFolder, name: str, config: DatasetConfig, shard: Shard
    ) -> FileWriter:
        """Create a file of a shard, and return its writer."""
        from builder.storage.formats.parquet import LabelsWriter

        file = stack.enter_context(folder.publish_file(name))
        if name == shard.fields_name:
            return Hdf5Writer(file, config, shard, config.fields)
        return LabelsWriter(file, partial(self.image_names, shard))

    def labels_name(self, shard: Shard) -> str:
        """Return the name of the Parquet file of a shard."""
        return f"{shard.name}.parquet"

    def image_names(self, shard: Shard, batch: Batch) -> Sequence[str]:
        """Return the name of the HDF5 file, for each sample."""
        return [shard.fields_name] * len(batch)


class Hdf5Writer:
    """The open fields file of a shard.

    Args:
        file: The file, empty and open to read and write. The writer does not close it.
        config: The dataset's configuration, for the attributes.
        shard: The shard.
        fields: The fields that the file gets.
    """

    def __init__(
        self, file: io.FileIO, config: DatasetConfig, shard: Shard, fields: StoredFields
    ) -> None:
        import h5py

        self._shard, self._row, self._fields = shard, 0, fields
        self._bytes = DeferredErrorFile(file.fileno(), "r+", closefd=False)
        self._sha256 = atomic_files.StreamingSha256(self._bytes.fileno())
        self._file = h5py.File(self._bytes, "w", libver=LIBRARY_BOUNDS)
        self._file.attrs.update(
            format_version=config.format_version,
            generator_version=config.generator_version,
            fingerprint=config.fingerprint,
            start=shard.start,
            recipe=canonical_json(config.recipe),
        )
        datasets = {name: self._create_dataset(name, field) for name, field in fields.items()}
        self._columns = {
            name: ContiguousColumn(self._bytes.fileno(), dataset.id.get_offset(), self._sha256)
            for name, dataset in datasets.items()
            if dataset.chunks is None
        }
        self._chunks = ChunkedColumns({n: d for n, d in datasets.items() if d.chunks})
        self._file.flush()
        if len(self._columns) == len(fields):
            self._file.close()  # the layout is all that HDF5 writes
            self._sha256.read_to(min(column.offset for column in self._columns.values()))
        self._bytes.check()

    def _create_dataset(self, name: str, field: StoredField) -> h5py.Dataset:
        """Create the dataset of a field, without values."""
        import h5py

        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        shape, chunk = (self._shard.count, *field.tail), field.chunk(self._shard.count)
        if chunk is None:
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        else:
            properties.set_chunk(chunk)
            properties.set_deflate(DEFLATE_LEVEL)
        name = DATASET_NAMES.get(name, name)
        return self._file.create_dataset(name, shape, field.dtype, dcpl=properties)

    def write(self, batch: Batch) -> None:
        """Add the fields of the next samples."""
        for name, column in self._columns.items():
            column.write(self._values(batch, name))
            self._bytes.check()
        self._chunks.write({name: self._values(batch, name) for name in self._chunks.names})
        self._bytes.check()
        self._row += len(batch)

    def _values(self, batch: Batch, name: str) -> npt.NDArray[np.generic]:
        return np.ascontiguousarray(getattr(batch, name), dtype=self._fields[name].dtype)

    def close(self) -> tuple[int, str]:
        """Complete the file; return its size in bytes and its sha256.

        Raises `DatasetError` if samples are missing.
        """
        if self._row != self._shard.count:
            raise DatasetError(f"{self._shard.name}: {self._row} of {self._shard.count} samples")
        self._chunks.close()
        self._file.close()
        self._bytes.check()
        size, sha256 = os.fstat(self._bytes.fileno()).st_size, self._sha256.hexdigest()
        self._bytes.close()
        return size, sha256

    def abandon(self) -> None:
        """Close what is open."""
        for opened in (self._file, self._bytes):
            with suppress(Exception):
                opened.close()


class ContiguousColumn:
    """A contiguous dataset that takes its values in order.

    Values go by plain writes to the file that `handle` has open, and to `sha256`. `offset` is where
    in the file the next ones go.
    """

    def __init__(self, handle: int, offset: int, sha256: atomic_files.StreamingSha256) -> None:
        self.offset, self._handle, self._sha256 = offset, handle, sha256

    def write(self, values: npt.NDArray[np.generic]) -> None:
        """Add the next rows, a contiguous array (B, ...) of the dataset's type."""
        data = values.data.cast("B")
        atomic_files.write_at(self._handle, data, self.offset)
        self._sha256.update(data, self.offset)
        self.offset += len(data)


class ChunkedColumns:
    """Datasets in chunks of as many rows, which pass through HDF5 whole and deflated by ISA-L.

    HDF5 puts a chunk where the file ends. So the datasets take turns, a chunk of each, and the
    file has the same bytes however many rows come at a time.
    """

    def __init__(self, datasets: Mapping[str, h5py.Dataset]) -> None:
        self.names, self._datasets, self._row = tuple(datasets), datasets, 0
        self._rows = max((dataset.chunks[0] for dataset in datasets.values()), default=1)
        self._rest: Columns = {}

    def write(self, values: Columns) -> None:
        """Add the next rows, an array (B, ...) by name. Those that fill no chunk are kept back."""
        if self._rest:
            values = {name: np.concatenate([self._rest[name], values[name]]) for name in values}
        count = max(map(len, values.values()), default=0)
        whole = count // self._rows * self._rows
        for row in range(0, whole, self._rows):
            self._store({name: rows[row : row + self._rows] for name, rows in values.items()})
        self._rest = {name: rows[whole:].copy() for name, rows in values.items() if whole < count}

    def close(self) -> None:
        """Write the last rows, in chunks that end with zeros. The HDF5 file is still open."""
        if self._rest:
            self._store({name: self._pad(rows) for name, rows in self._rest.items()})

    def _pad(self, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.pad(rows, [(0, self._rows - len(rows))] + [(0, 0)] * (rows.ndim - 1))

    def _store(self, chunks: Columns) -> None:
        """Write the next chunk of each dataset."""
        from isal import igzip_lib as isal

        for name, chunk in chunks.items():
            # with the default memory level it takes a tenth longer, for 0.1 % less bytes or more
            deflated = isal.compress(
                chunk.data, DEFLATE_LEVEL, flag=isal.COMP_ZLIB, mem_level=isal.MEM_LEVEL_MEDIUM
            )
            begin = (self._row, *[0] * (chunk.ndim - 1))
            self._datasets[name].id.write_direct_chunk(begin, deflated)
        self._row += self._rows


class DeferredErrorFile(io.FileIO):
    """A file that keeps its first error in `error`, and goes on as if there were none.

    HDF5 keeps a file half open after a write that failed, and crashes the process when that
    is cleaned up. So HDF5 sees no error, and the writer raises it afterwards with `check`.
    """

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        """Write all of `data`, or keep the error."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and self.error is None:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file, or keep the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raise the first error there was."""
        if self.error is not None:
            raise self.error
