"""What a format is, and what is stored of each sample whatever the format."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np

from builder.common import atomic_files
from builder.common.constants import FRAME
from builder.generator.batch import Batch
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig, Shard
from builder.storage.faults import Fault, kind_of
from builder.storage.manifest import FileRecord
from builder.storage.output_folder import OutputFolder

if TYPE_CHECKING:
    from builder.storage.formats.hdf5_reader import FieldsLayout, Hdf5Reader

CHUNK = 16
"""Images in a gzipped chunk: what a random read must inflate. 16 take 170 us, 256 2.4 ms."""

Rows = Callable[[int, int], "bytes | memoryview"]
"""Returns the bytes of rows [start, stop) of a field, all of one block."""


DATASET_NAMES = {"seeds": "seed"}
"""Names of HDF5 datasets that are not the names of the batch's fields."""


class Field(NamedTuple):
    """A field of a batch as it is stored.

    Attributes:
        tail: Shape of one sample's values.
        dtype: Type of the values, little-endian.
        chunk_rows: Samples in a deflated chunk; 0 for values in one piece.
    """

    tail: tuple[int, ...]
    dtype: np.dtype[np.generic]
    chunk_rows: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of one sample's values."""
        return math.prod(self.tail) * self.dtype.itemsize

    def shape(self, count: int) -> tuple[int, ...]:
        """Return the shape of the dataset of `count` samples."""
        return (count, *self.tail)

    def chunk(self, count: int) -> tuple[int, ...] | None:
        """Return the shape of its chunks, which are not larger than it; None in one piece."""
        return self.shape(min(self.chunk_rows, count)) if self.chunk_rows else None


def fields_of(config: DatasetConfig) -> dict[str, Field]:
    """Return every field that the samples of a dataset have, by its name in `Batch`."""
    recipe, storage = Recipe.from_json(config.recipe), config.storage
    digits, pixels = recipe.label_source.longest, (FRAME, recipe.width)
    chunk_rows = CHUNK if storage.compression == "gzip" else 0
    fields = {
        "images": Field(pixels, np.dtype("u1"), chunk_rows),
        "labels": Field((digits,), np.dtype("i1")),
        "lengths": Field((), np.dtype("u1")),
        "index": Field((), np.dtype("<i8")),
        "seeds": Field((), np.dtype("<u8")),
        "glyphs": Field((digits,), np.dtype("<i4")),
        "boxes": Field((digits, 4), np.dtype("<f4")),
        "quads": Field((digits, 4, 2), np.dtype("<f4")),
        "visible": Field((digits,), np.dtype("<f4")),
    }
    return fields | ({"masks": fields["images"]} if storage.masks else {})


class FileWriter(Protocol):
    """A file, or folder, of a shard that is being written."""

    def write(self, batch: Batch) -> None:
        """Add what the file has of the next samples."""

    def close(self) -> tuple[int, str]:
        """Complete the file; return its size in bytes and its sha256."""

    def abandon(self) -> None:
        """Close what is open. An error in that is dropped: it must not hide an earlier one."""


class ShardWriter:
    """An open shard. It takes the samples in order.

    Attributes:
        files: The files of the shard, once it is closed.
    """

    def __init__(self, writers: Mapping[str, FileWriter]) -> None:
        self._writers = writers
        self.files: tuple[FileRecord, ...] = ()

    def write(self, batch: Batch) -> None:
        """Add the next samples."""
        for writer in self._writers.values():
            writer.write(batch)

    def close(self) -> None:
        """Complete all files. Raises `DatasetError` if samples are missing."""
        for name, writer in self._writers.items():
            size, sha256 = writer.close()
            self.files += (FileRecord(name=name, bytes=size, sha256=sha256),)


class Format(ABC):
    """A way to store shards: the one place that knows its files.

    A shard is a fields file, `shard-NNNNNN.h5`, and whatever else the format makes of it.
    """

    suffixes: ClassVar[Mapping[str, str]]
    """What the name of the default folder ends with, by each compression that the format has."""

    def check_labels(self, longest: int) -> None:  # noqa: B027  # most formats store all labels
        """Raise `UsageError` where labels of up to `longest` digits cannot be stored."""

    def block(self, config: DatasetConfig) -> int:
        """Return how many neighbouring samples are read for the price of one."""
        return 1

    @abstractmethod
    def files(self, shard: Shard) -> tuple[str, ...]:
        """Return the names of a shard's files and folders in the dataset's folder."""

    @abstractmethod
    def create(self, path: Path, name: str, config: DatasetConfig, shard: Shard) -> FileWriter:
        """Create the file or folder `name` of a shard at `path`, and return its writer."""

    @contextmanager
    def writer(
        self, folder: OutputFolder, config: DatasetConfig, shard: Shard
    ) -> Iterator[ShardWriter]:
        """Yield the writer of a shard.

        Its files are published when the body ends, and removed when it raises.
        """
        with ExitStack() as stack:
            writers = {}
            for name in self.files(shard):
                path = stack.enter_context(folder.publish(name))
                writers[name] = self.create(path, name, config, shard)
                stack.callback(writers[name].abandon)
            writer = ShardWriter(writers)
            yield writer
            writer.close()

    @abstractmethod
    def open_shard(
        self, folder: Path, fields: Mapping[str, Field], shard: Shard, layout: FieldsLayout | None
    ) -> Hdf5Reader:
        """Return a reader of a shard.

        Args:
            folder: The dataset's folder.
            fields: All fields of the dataset's samples, as `fields_of` returns them.
            shard: The shard.
            layout: That of an earlier reader of the same shard, None for the first.

        Raises:
            DatasetError: The shard is not what the configuration implies.
        """

    def check_files(
        self, folder: Path, shard: Shard, files: Sequence[FileRecord]
    ) -> Iterator[Fault]:
        """Yield a fault for each file that is not there, or not of its kind and size.

        Args:
            folder: The dataset's folder.
            shard: The shard.
            files: The files that are recorded of it, named as in `files`.
        """
        for file in files:
            yield from check_entry(folder, shard, file.name, "file")
            if kind_of(folder / file.name) == "file":
                yield from check_size(shard, file, (folder / file.name).lstat().st_size)

    def sha256(self, folder: Path, name: str) -> str:
        """Return the sha256 of a shard's file. Raises `DatasetError` for a link, or no file."""
        return atomic_files.sha256_untrusted(folder, name)


def check_entry(folder: Path, shard: Shard, name: str, expected: str) -> Iterator[Fault]:
    """Yield a fault where an entry of a dataset's folder is not there or of another kind."""
    kind = kind_of(folder / name)
    if not kind:
        yield Fault(shard.name, f"{name} is not there")
    elif kind != expected:
        yield Fault(shard.name, f"{name}: is a {kind}, expected a {expected}", obstacle=name)


def check_size(shard: Shard, file: FileRecord, size: int) -> Iterator[Fault]:
    """Yield a fault where a file of a shard has another size than is recorded."""
    if size != file.bytes:
        yield Fault(shard.name, f"{file.name} has {size} bytes, expected {file.bytes}")
