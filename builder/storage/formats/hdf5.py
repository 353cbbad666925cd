"""HDF5 shards: top-level datasets of equal first dimension, and root attributes; nothing else.

A shard is laid out first, by h5py: every dataset with its storage allocated and no fill
value written. Then its bytes are written once, by plain writes at the datasets' offsets:
as fast as the disk, and an error of the disk is an `OSError` with its reason. Only gzipped
images and masks pass through HDF5, as whole chunks deflated here by ISA-L (9 times zlib's speed).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from builder.common import atomic_files, untrusted_files
from builder.common.errors import DatasetError
from builder.common.validation import canonical_json
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats.fields import Field, all_fields
from builder.storage.formats.hdf5_reader import Expected, MappedFile, Place, locate
from builder.storage.formats.hdf5_writer import DEFLATE_LEVEL, Column, InChunks, InPlace, SteadyFile
from builder.storage.manifest import FileRecord
from builder.storage.output_folder import OutputFolder

CHUNK = 16
"""Images in a gzipped chunk: what a random read must inflate. 16 take 170 us, 256 2.4 ms."""

LIBRARY_BOUNDS = ("v108", "v110")


def image_file(shard: Shard) -> str:
    """Return the name of a shard's file."""
    return f"{shard.name}.h5"


def labels_file(shard: Shard) -> str:
    """Return the name of a shard's labels."""
    return f"{shard.name}.parquet"


def fields(plan: DatasetConfig) -> dict[str, Field]:
    """Return what is stored of samples: every field of a batch."""
    return all_fields(plan)


def block(plan: DatasetConfig) -> int:
    """Return how many neighbours are had for the price of one: the images of a chunk."""
    return CHUNK if plan.storage.compression == "gzip" else 1


def columns(plan: DatasetConfig) -> dict[str, Field]:
    """Return shape and type of every dataset of a shard, by its name in the file."""
    return {DATASET_OF.get(name, name): field for name, field in fields(plan).items()}


def is_chunked(plan: DatasetConfig, name: str) -> bool:
    """Tell whether a dataset is stored in deflated chunks: those of pixels, where asked for."""
    return plan.storage.compression == "gzip" and name in ("images", "masks")


def chunk_rows(shard: Shard) -> int:
    """Return the images in a chunk of a shard: a chunk may not be larger than its dataset."""
    return min(CHUNK, shard.count)


DATASET_OF = {"seeds": "seed"}
"""Where a dataset's name is not that of the batch's field."""

FIELD_OF = {dataset: field for field, dataset in DATASET_OF.items()}


@contextmanager
def writer(folder: OutputFolder, plan: DatasetConfig, shard: Shard) -> Iterator[Hdf5Writer]:
    """Yield the writer of a shard; publish its two files at the end, or leave nothing."""
    with (
        folder.publish(labels_file(shard)) as labels_path,
        folder.publish(image_file(shard)) as images_path,
    ):
        opened = Hdf5Writer(images_path, labels_path, plan, shard)
        try:
            yield opened
            opened.close()
        finally:
            opened.abandon()


class Hdf5Writer:
    """An open HDF5 shard with its labels file."""

    def __init__(
        self, images_path: Path, labels_path: Path, plan: DatasetConfig, shard: Shard
    ) -> None:
        from builder.storage.formats.parquet import LabelsWriter

        self._shard, self._row = shard, 0
        self._kinds = {name: kind for name, (_, kind) in columns(plan).items()}
        self._bytes = SteadyFile(images_path, "w+")
        self._sha256 = atomic_files.StreamingSha256(self._bytes.fileno())
        self._file, self._columns = lay_out(self._bytes, self._sha256, plan, shard)
        in_place = [c for c in self._columns.values() if isinstance(c, InPlace)]
        if len(in_place) == len(self._columns):
            self._file.close()  # the layout is all that HDF5 writes
            self._sha256.read_to(min(column.offset for column in in_place))
        self._bytes.check()
        self._labels_path, self._labels = labels_path, LabelsWriter(labels_path)

    def write(self, batch: Batch) -> None:
        """Add the next samples."""
        for name, column in self._columns.items():
            values = getattr(batch, FIELD_OF.get(name, name))
            column.write(np.ascontiguousarray(values, dtype=self._kinds[name]))
            self._bytes.check()
        self._labels.write(batch, [image_file(self._shard)])
        self._row += len(batch)

    def close(self) -> None:
        """End both files, or raise if not all samples came."""
        if self._row != self._shard.count:
            raise DatasetError(f"{self._shard.name}: {self._row} of {self._shard.count} samples")
        self._labels.close()
        for column in self._columns.values():
            column.close()
        self._file.close()
        self._bytes.check()
        self._images_file = FileRecord(
            name=image_file(self._shard),
            bytes=os.fstat(self._bytes.fileno()).st_size,
            sha256=self._sha256.hexdigest(),
        )
        self._bytes.close()
        self._labels_file = FileRecord(
            name=labels_file(self._shard),
            bytes=self._labels_path.stat().st_size,
            sha256=atomic_files.sha256_of_file(self._labels_path),
        )

    def abandon(self) -> None:
        """Close what an error left open; what goes wrong with that must not hide it."""
        for opened in (self._file, self._bytes, self._labels):
            with suppress(Exception):
                opened.close()

    def files(self) -> tuple[FileRecord, FileRecord]:
        """Return the images' and the labels' file, after publishing."""
        return self._images_file, self._labels_file


def lay_out(
    target: SteadyFile, sha256: atomic_files.StreamingSha256, plan: DatasetConfig, shard: Shard
) -> tuple[Any, dict[str, Column]]:
    """Create a shard's file with all its datasets and attributes, but no data.

    Returns the open file of h5py, and how values get into each dataset.
    """
    import h5py

    file = h5py.File(target, "w", libver=LIBRARY_BOUNDS)
    file.attrs.update(
        {
            "format_version": plan.format_version,
            "generator_version": plan.generator_version,
            "fingerprint": plan.fingerprint,
            "start": shard.start,
            "recipe": canonical_json(plan.recipe),
        }
    )
    made: dict[str, Column] = {}
    for name, (tail, kind) in columns(plan).items():
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        shape = (shard.count, *tail)
        if is_chunked(plan, name):
            rows = chunk_rows(shard)
            options = {"chunks": (rows, *tail), "maxshape": shape, "compression": DEFLATE_LEVEL}
            dataset = file.create_dataset(name, shape, kind, dcpl=properties, **options)
            made[name] = InChunks(dataset, rows)
        else:
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            dataset = file.create_dataset(name, shape, kind, dcpl=properties)
            made[name] = InPlace(target.fileno(), dataset.id.get_offset(), sha256)
    file.flush()
    return file, made


class Layout(NamedTuple):
    """What is known of a shard's file: which one it is, and where each field lies in it."""

    identity: tuple[int, ...]
    places: dict[str, Place]


def open_shard(
    folder: Path, plan: DatasetConfig, shard: Shard, layout: Layout | None = None
) -> Hdf5Reader:
    """Return a reader of a shard. Raises `DatasetError` where it is not what the plan says.

    Given the `layout` of an earlier reader, it asks HDF5 again only if the file has changed.
    """
    name = image_file(shard)
    with untrusted_files.open_untrusted(folder, name) as file:
        mapped = MappedFile(file, folder / name)
        if layout is None or layout.identity != mapped.identity:
            found = locate(file, folder / name, expected(plan, shard))
            places = {FIELD_OF.get(dataset, dataset): place for dataset, place in found.items()}
            layout = Layout(mapped.identity, places)
    return Hdf5Reader(mapped, layout)


class Hdf5Reader:
    """A shard open for reading: its layout was checked, its values are taken as they lie."""

    def __init__(self, mapped: MappedFile, layout: Layout) -> None:
        self.layout = layout
        self.check = mapped.check
        self._bytes = mapped.bytes
        self._values: dict[str, Callable[[int, int], memoryview]] = {}

    def values(self, field: str) -> Callable[[int, int], memoryview]:
        """Return what gives the bytes of rows [start, stop) of a field, all of one block."""
        if field not in self._values:
            self._values[field] = self.layout.places[field].values(self._bytes)
        return self._values[field]


def expected(plan: DatasetConfig, shard: Shard) -> dict[str, Expected]:
    """Return what each dataset of a shard is."""
    rows = chunk_rows(shard)
    return {
        name: Expected(
            (shard.count, *field.tail),
            field.dtype,
            (rows, *field.tail) if is_chunked(plan, name) else None,
        )
        for name, field in columns(plan).items()
    }
