"""Format hdf5: the images are in the fields file; a Parquet file beside it has the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats.base import Field, Format, ShardWriter, fields_of
from builder.storage.formats.hdf5_reader import Hdf5Reader, Layout
from builder.storage.formats.hdf5_writer import Hdf5Writer
from builder.storage.output_folder import OutputFolder


class Hdf5Format(Format):
    """Shards of one HDF5 file, and a Parquet file with the labels for other tools."""

    suffixes: ClassVar = {"none": "h5", "gzip": "h5gz"}

    def files(self, shard: Shard) -> tuple[str, ...]:
        """Return the names of the HDF5 file and of the Parquet file."""
        return shard.fields_name, f"{shard.name}.parquet"

    def block(self, config: DatasetConfig) -> int:
        """Return the images of a chunk."""
        return fields_of(config)["images"].chunk_rows or 1

    @contextmanager
    def writer(
        self, folder: OutputFolder, config: DatasetConfig, shard: Shard
    ) -> Iterator[ShardWriter]:
        """Yield the writer of a shard; publish its files at the end."""
        from builder.storage.formats.parquet import LabelsWriter

        names = self.files(shard)
        with (
            folder.publish(names[1]) as labels_path,
            folder.publish(names[0]) as fields_path,
            Hdf5Writer(fields_path, config, shard, fields_of(config)) as fields,
            LabelsWriter(labels_path, lambda batch: [shard.fields_name]) as labels,
        ):
            writer = ShardWriter(names, fields, labels)
            yield writer
            writer.close()

    def open_shard(
        self, folder: Path, fields: Mapping[str, Field], shard: Shard, layout: Layout | None
    ) -> Hdf5Reader:
        """Return a reader of a shard."""
        return Hdf5Reader(folder, fields, shard, layout)


FORMAT = Hdf5Format()
