"""Format hdf5: the images are in the fields file; a Parquet file beside it has the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats.base import FileWriter, Format
from builder.storage.formats.fields import Field, fields_of
from builder.storage.formats.hdf5_reader import FieldsLayout, Hdf5Reader
from builder.storage.formats.hdf5_writer import Hdf5Writer


class Hdf5Format(Format):
    """Shards of one HDF5 file, and a Parquet file with the labels for other tools."""

    suffixes: ClassVar = {"none": "h5", "gzip": "h5gz"}

    def files(self, shard: Shard) -> tuple[str, ...]:
        """Return the names of the HDF5 file and of the Parquet file."""
        return shard.fields_name, f"{shard.name}.parquet"

    def block(self, config: DatasetConfig) -> int:
        """Return the images of a chunk."""
        return fields_of(config)["images"].chunk_rows or 1

    def create(self, path: Path, name: str, config: DatasetConfig, shard: Shard) -> FileWriter:
        """Create a file of a shard, and return its writer."""
        from builder.storage.formats.parquet import LabelsWriter

        if name == shard.fields_name:
            return Hdf5Writer(path, config, shard, fields_of(config))
        return LabelsWriter(path, lambda batch: [shard.fields_name])

    def open_shard(
        self, folder: Path, fields: Mapping[str, Field], shard: Shard, layout: FieldsLayout | None
    ) -> Hdf5Reader:
        """Return a reader of a shard."""
        return Hdf5Reader(folder, fields, shard, layout)


FORMAT = Hdf5Format()
