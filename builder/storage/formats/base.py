"""What a format is: the files of a shard, and how they are written, read and checked."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from builder.common import atomic_files
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats.hdf5_reader import Hdf5Reader
from builder.storage.manifest import FileRecord
from builder.storage.manifest_check import Fault, kind_of
from builder.storage.output_folder import OutputFolder


class FileWriter(Protocol):
    """A file, or folder, of a shard that is being written."""

    def write(self, batch: Batch) -> None:
        """Add what the file has of the next samples."""

    def close(self) -> tuple[int, str]:
        """Complete the file; return its size in bytes and its sha256.

        Raises `DatasetError` if samples are missing.
        """

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


class Format(ABC):
    """A way to store shards: how their files are written, read and checked.

    A shard is a fields file, `shard-NNNNNN.h5`, and whatever else the format makes of it:
    `FORMAT_FACTS` has the names.
    """

    reader: ClassVar[type[Hdf5Reader]] = Hdf5Reader
    """Opens a shard for reading."""

    @abstractmethod
    def create(  # five parameters and self
        self, stack: ExitStack, folder: OutputFolder, name: str, config: DatasetConfig, shard: Shard
    ) -> FileWriter:
        """Create the file or folder `name` of a shard, and return its writer.

        It is published when the stack is closed.
        """

    @abstractmethod
    def labels_name(self, shard: Shard) -> str:
        """Return where in the dataset's folder the Parquet file with a shard's labels is."""

    @abstractmethod
    def image_names(self, shard: Shard, batch: Batch) -> Sequence[str]:
        """Return the name of the file with the image of each sample, as the labels give it."""

    @contextmanager
    def writer(
        self, folder: OutputFolder, config: DatasetConfig, shard: Shard
    ) -> Iterator[ShardWriter]:
        """Yield the writer of a shard.

        Its files are published when the body ends, and removed when it raises.
        """
        with ExitStack() as stack:
            writers = {}
            for name in config.file_names(shard):
                writers[name] = self.create(stack, folder, name, config, shard)
                stack.callback(writers[name].abandon)
            shard_writer = ShardWriter(writers)
            yield shard_writer
            for name, writer in writers.items():
                size, sha256 = writer.close()
                shard_writer.files += (FileRecord(name=name, bytes=size, sha256=sha256),)

    def check_files(
        self, folder: Path, shard: Shard, files: Sequence[FileRecord]
    ) -> Iterator[Fault]:
        """Yield a fault for each file or folder that is not there, or not of its kind and size.

        Args:
            folder: The dataset's folder.
            shard: The shard.
            files: The files that are recorded of it, named as the configuration implies.
        """
        for file in files:
            kind = kind_of(folder / file.name)
            expected = "folder" if file.name == shard.name else "file"
            if not kind:
                yield Fault(shard.name, f"{file.name} is not there")
            elif kind != expected:
                text = f"{file.name}: is a {kind}, expected a {expected}"
                yield Fault(shard.name, text, obstacle=file.name)
            else:
                if kind == "folder":
                    yield from self.check_folder(folder, shard)
                size = OutputFolder(folder).size(file.name)
                if size != file.bytes:
                    yield Fault(shard.name, f"{file.name} has {size} bytes, expected {file.bytes}")

    def check_folder(self, folder: Path, shard: Shard) -> Iterable[Fault]:
        """Return a fault for what is missing from the folder of a shard, or not part of it."""
        return ()


def sha256_of(folder: Path, name: str) -> str:
    """Return the sha256 of a shard's file, or of a folder as `FileRecord` says.

    Raises `DatasetError` for a link, or no file.
    """
    if kind_of(folder / name) != "folder":
        return atomic_files.sha256_untrusted(folder, name)
    lines = []
    for entry in OutputFolder(folder).entries(name):
        size = entry.stat(follow_symlinks=False).st_size
        sha256 = atomic_files.sha256_untrusted(folder, f"{name}/{entry.name}")
        lines.append(f"{entry.name} {size} {sha256}\n")
    return sha256_of_lines(lines)


def sha256_of_lines(lines: Iterable[str]) -> str:
    """Return the sha256 of a folder, by the lines `name size sha256` of its files."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
