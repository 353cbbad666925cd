"""What a format is: the files of a shard, and how they are written, read and checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from builder.common import atomic_files
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard
from builder.storage.faults import Fault, kind_of
from builder.storage.formats.fields import Field
from builder.storage.formats.hdf5_reader import FieldsLayout, Hdf5Reader
from builder.storage.manifest import FileRecord
from builder.storage.output_folder import OutputFolder


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
