"""The output folder of a build: everything that is written, listed or removed there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from builder.common import atomic_files, untrusted_files
from builder.common.errors import BuilderError, BuildError, LogFile, UsageError, log_to
from builder.storage import manifest
from builder.storage.config import PLAN, DatasetConfig, Part
from builder.storage.manifest import LABELS, LOG, Model

LOCK = ".lock"
"""How the names of lock files begin."""


@dataclass(frozen=True)
class OutputFolder:
    """A folder in which a dataset is built. Files have names relative to it, parted by `/`.

    Every write, listing and removal of a build goes through this class. It holds nothing but the
    path, so tasks carry it to workers of any process.

    Args:
        path: The folder. `claim` creates it.

    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def publish(self, name: str) -> Iterator[Path]:
        """Yield a temporary path; sync and rename what the body creates there.

        Args:
            name: Name of the new file or folder. What has the name is replaced.

        Raises:
            OSError: The file system refuses. Nothing is left behind then, nor when the body raises.

        """
        with atomic_files.publish(self.path / name) as temporary:
            yield temporary

    def publish_bytes(self, name: str, data: bytes) -> None:
        """Publish a small file."""
        atomic_files.publish_bytes(self.path / name, data)

    def publish_json(self, name: str, value: object) -> None:
        """Publish a value as JSON with sorted keys and line breaks."""
        self.publish_bytes(name, atomic_files.json_bytes(value))

    def write_unsynced(self, name: str, text: str) -> None:
        """Write a file that may be lost or half written after a crash, such as a heartbeat."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with its contents. A missing name is no error."""
        atomic_files.remove(self.path / name)

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

    def check(self, config: DatasetConfig) -> None:
        """Check that the folder is empty or holds a beginning of the dataset `config`.

        Raises:
            UsageError: It holds another dataset, a larger one, or other files.

        """
        if not self.exists(PLAN):
            self._check_empty()
            return
        present = self.read(PLAN, DatasetConfig)
        different = present.differences(config)
        if different:
            raise UsageError(
                f"{self}: holds another dataset ({'; '.join(different)}); name another --out"
            )
        if present.count > config.count:
            raise UsageError(
                f"{self}: holds a dataset of {present.count} images, more than {config.count}; "
                "a dataset can be extended, not cut; name another --out"
            )

    def _check_empty(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UsageError(f"{self}: is a file, expected a folder for the dataset")
        for entry in self.entries():
            if entry.name != LOG and not entry.name.startswith((LOCK, atomic_files.TEMPORARY)):
                raise UsageError(
                    f"{self}: holds {entry.name} and no {PLAN}, so it is not a dataset of this "
                    "program; name an empty or new folder"
                )

    @contextmanager
    def claim(self, part: Part | None = None) -> Iterator[None]:
        """Hold the folder, or one part of it, and copy the log of the body to `build.log`.

        Temporary files are removed at the start and at the end. A dataset that the body began
        and of which it finished no shard is removed as well, with the folders created for it.
        Builds of different parts share the folder, so they remove nothing.

        Args:
            part: The part of the shards that the body builds (default: all of them).

        Raises:
            BuildError: The body raised `OSError`, such as for a full disk.
            BuilderError: Another build holds the folder or the part.

        """
        created: list[Path] = []
        try:
            created += [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            part_lock = (
                self.lock(f"{LOCK}-part-{part.number}-of-{part.of}") if part else nullcontext()
            )
            with self.lock(shared=bool(part)), part_lock, log_to(LogFile(self.path / LOG)):
                begun_before = self.exists(PLAN)
                if part is None:
                    self._remove_temporary_files()
                try:
                    yield
                finally:
                    if part is None:
                        with suppress(OSError):  # an error of the body matters more
                            self._remove_unfinished(begun_before)
        except OSError as error:
            raise BuildError(
                f"{error.filename or self}: {error.strerror or error}; finished shards are kept, "
                "and the same call goes on once the cause is gone"
            ) from error
        finally:
            for path in [] if self.exists(PLAN) else created:
                with suppress(OSError):
                    path.rmdir()

    @contextmanager
    def lock(self, name: str = LOCK, shared: bool = False) -> Iterator[None]:
        """Hold a lock of the folder, alone or shared with others.

        Args:
            name: Name of the lock file.
            shared: Whether others may hold the lock too if they share it.

        Raises:
            BuilderError: Another build holds the lock.

        """
        path = self.path / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 200).decode("utf-8", "replace") or "unknown"
                raise BuilderError(
                    f"{self}: another build is writing here ({holder}); wait for it, or end it"
                ) from None
            # a build that leaves nothing behind removes its lock file, perhaps this one
            if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
                raise BuilderError(f"{self}: another build has just ended here; call again")
            with suppress(OSError):  # on a full disk, the lock holds without a name in it
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
            yield
        finally:
            os.close(handle)

    def _remove_unfinished(self, begun_before: bool) -> None:
        """Remove temporary files, and a dataset begun by this call if no shard is finished."""
        self._remove_temporary_files()
        names = [entry.name for entry in self.entries()]
        shards = [name for name in names if name.startswith("shard-")]
        if begun_before or any(name.endswith(".json") for name in shards):
            return
        begun = [*shards, LABELS, PLAN] if PLAN in names else []
        for name in (*begun, LOG, LOCK):
            self.remove(name)

    def _remove_temporary_files(self) -> None:
        for entry in self.entries():
            if entry.name.startswith(atomic_files.TEMPORARY):
                self.remove(entry.name)
