"""The output folder of a build: everything that is written, listed or removed there."""

from __future__ import annotations

import io
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from builder.common import atomic_files, untrusted_files
from builder.storage import manifest
from builder.storage.folder_lock import share_with_folder
from builder.storage.manifest import Model

HEARTBEATS = "heartbeats"
"""Folder in the staging folder, in which workers report what they do."""


@dataclass(frozen=True)
class OutputFolder:
    """A folder in which a dataset is built. Files have names relative to it, parted by `/`.

    Every write, listing and removal of a build goes through this class. Tasks carry it to workers
    of any process, each of which opens the folder anew.

    A build writes in a staging folder of its own, and one rename gives a file its name. The next
    build to hold the folder renames that staging folder. So a worker that has outlived its build
    can publish nothing: what it would rename is not there, wherever it stands in its work.

    Args:
        path: The folder.
        staging: Name of the staging folder of the build that holds the folder. `claim` makes both;
            without, nothing can be written.
    """

    path: Path
    staging: str = ""

    def __str__(self) -> str:
        return str(self.path)

    def __reduce__(self) -> tuple[type[OutputFolder], tuple[Path, str]]:
        # workers may have another current folder
        return OutputFolder, (self.path.absolute(), self.staging)

    @cached_property
    def handle(self) -> int:
        """Descriptor of the folder, opened at first use and closed with this object."""
        handle = os.open(self.path, atomic_files.FOLDER_FLAGS)
        weakref.finalize(self, os.close, handle)
        return handle

    def staged(self, name: str) -> str:
        """Return the name of a file in the staging folder."""
        if not self.staging:
            raise RuntimeError(f"{self}: is not claimed")
        return f"{self.staging}/{name}"

    @contextmanager
    def publish_file(self, name: str) -> Iterator[io.FileIO]:
        """Yield a new file, open to read and write; sync it and give it its name at the end.

        Args:
            name: Name of the new file. A file of the name is replaced.

        Raises:
            OSError: The file system refuses. Nothing is left behind then, nor when the body raises.
        """
        with (
            self._temporary_name(name) as temporary,
            atomic_files.publish_file(self.handle, name, temporary) as file,
        ):
            yield file

    @contextmanager
    def publish_folder(self, name: str) -> Iterator[int]:
        """Yield the descriptor of a new folder; sync it and give it its name, as `publish_file`."""
        with (
            self._temporary_name(name) as temporary,
            atomic_files.publish_folder(self.handle, name, temporary) as handle,
        ):
            share_with_folder(handle, self.handle)
            yield handle

    @contextmanager
    def _temporary_name(self, name: str) -> Iterator[str]:
        """Yield a name in the staging folder; let errors of the body speak of the final one."""
        try:
            yield self.staged(f"{os.urandom(4).hex()}-{name}")
        except OSError as error:
            if error.filename is None or str(error.filename).startswith(atomic_files.TEMPORARY):
                error.filename, error.filename2 = str(self.path / name), None
            raise

    def publish_bytes(self, name: str, data: bytes) -> None:
        """Publish a small file."""
        with self.publish_file(name) as file:
            atomic_files.write_at(file.fileno(), data, 0)

    def publish_json(self, name: str, value: object) -> None:
        """Publish a value as JSON with sorted keys and line breaks."""
        self.publish_bytes(name, atomic_files.json_bytes(value))

    def write_staged(self, name: str, text: str) -> None:
        """Write a file in the staging folder that may be lost or half written, a heartbeat say."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.staged(name), flags, 0o666, dir_fd=self.handle)
        try:
            atomic_files.write_at(handle, text.encode(), 0)
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with its contents. A missing name is no error."""
        atomic_files.remove(name, self.handle)

    def exists(self, name: str) -> bool:
        """Return whether there is a file or folder of this name."""
        return (self.path / name).exists()

    def entries(self, name: str = "") -> list[os.DirEntry[str]]:
        """Return what lies in the folder, or in a folder `name` of it, sorted by name."""
        with os.scandir(self.path / name) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def size(self, name: str) -> int:
        """Return the bytes of a file, or of all files in a folder. A link has its own size."""
        status = (self.path / name).lstat()
        if not stat.S_ISDIR(status.st_mode):
            return status.st_size
        return sum(entry.stat(follow_symlinks=False).st_size for entry in self.entries(name))

    def read_bytes(self, name: str, limit: int) -> bytes:
        """Return the contents of a file. Raises `DatasetError` for more than `limit` bytes."""
        return untrusted_files.read_untrusted(self.path, name, limit)

    def read(self, name: str, model: type[Model]) -> Model:
        """Return a JSON file as a value of `model`. Raises `DatasetError` for anything else."""
        return manifest.read_model(self.path / name, model)
