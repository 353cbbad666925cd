"""Files that are complete or absent: written under a temporary name, synced and renamed.

Names are relative to an open folder. Where that folder was moved, they go with it. Where it was
removed, every step fails.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from builder.common import untrusted_files
from builder.common.errors import log

TEMPORARY = ".tmp-"
"""How temporary names begin. A build removes such entries of earlier builds."""

UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}
"""The errors of a file system that has no such call: NFS, CIFS and FUSE lack some."""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def open_folder(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """Yield the descriptor of a folder. In a folder `parent`, a link is not followed."""
    flags = FOLDER_FLAGS | (0 if parent is None else os.O_NOFOLLOW)
    handle = os.open(path, flags, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)


def create_file(name: str, folder: int) -> io.FileIO:
    """Create a file in an open folder, and open it to read and write."""
    return io.FileIO(os.open(name, CREATE_FLAGS, 0o666, dir_fd=folder), "r+")


@contextmanager
def publish_file(folder: int, name: str, temporary: str) -> Iterator[io.FileIO]:
    """Yield a new file; sync it and give it its name when the body ends.

    It is synced while the body's descriptor is open, so that no error of an earlier write is
    missed. Nothing is left behind if the body raises.

    Args:
        folder: Descriptor of an open folder.
        name: Name of the file. What has the name is replaced, unless it is a folder.
        temporary: Name of the file until then, in the same file system.
    """
    try:
        with create_file(temporary, folder) as file:
            yield file
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        sync_folder(folder)
    except BaseException:
        with suppress(OSError):  # the error that came first matters more
            remove(temporary, folder)
        raise


@contextmanager
def publish_folder(folder: int, name: str, temporary: str) -> Iterator[int]:
    """Yield the descriptor of a new folder; sync it and give it its name when the body ends.

    It is synced with its whole file system: 27 us a file, against 250 us when each file is
    synced alone. An older folder of the name is moved aside first, by one rename, and removed.
    """
    older = f"{temporary}-older"
    try:
        os.mkdir(temporary, dir_fd=folder)
        with open_folder(temporary, folder) as handle:
            yield handle
            sync_all(handle)
        with suppress(FileNotFoundError):
            os.replace(name, older, src_dir_fd=folder, dst_dir_fd=folder)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        sync_folder(folder)
        remove(older, folder)
    except BaseException:
        with suppress(OSError):
            remove(temporary, folder)
        raise


def publish_bytes(path: Path, data: bytes) -> None:
    """Publish a small file."""
    temporary = f"{TEMPORARY}{os.urandom(4).hex()}-{path.name}"
    try:
        with (
            open_folder(path.parent) as folder,
            publish_file(folder, path.name, temporary) as file,
        ):
            write_at(file.fileno(), data, 0)
    except OSError as error:
        error.filename = str(path)  # the name that the user knows
        raise


def sync_folder(handle: int) -> None:
    """Sync the entries of an open folder. Where that is not supported, the log says so."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _log_unsupported("fsync of folders", error.strerror)


def sync_all(handle: int) -> None:
    """Sync an open folder and its files, with the whole file system where `syncfs` is there.

    The descriptor must be older than the writes, for their errors to be reported.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is not None:
        if syncfs(handle) == 0:
            return
        code = ctypes.get_errno()
        if code not in UNSUPPORTED:
            raise OSError(code, os.strerror(code))
        _log_unsupported("syncfs", os.strerror(code))
    for name in os.listdir(handle):  # of a descriptor
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    sync_folder(handle)


@cache
def _log_unsupported(call: str, reason: str) -> None:
    """Log once a process what the file system cannot do."""
    log.warning("the file system has no %s (%s): a power failure may lose files", call, reason)


def remove(name: str, folder: int) -> None:
    """Remove a file, or a folder with its contents, of an open folder. A link is not followed."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError) as error:  # macOS says the latter of a folder
        try:
            with open_folder(name, folder) as inner:
                for entry in os.listdir(inner):  # noqa: PTH208  # of a descriptor
                    remove(entry, inner)
        except NotADirectoryError:
            raise error from None
        os.rmdir(name, dir_fd=folder)


def json_bytes(value: object) -> bytes:
    """Return a value as JSON with sorted keys and line breaks: one text for each value."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def sha256_untrusted(folder: Path, name: str) -> str:
    """Return the sha256 of a file of a dataset. Raises `DatasetError` for a link or none."""
    with untrusted_files.open_untrusted(folder, name) as file:
        return StreamingSha256(file.fileno()).hexdigest()


class StreamingSha256:
    """The sha256 of an open file, fed with blocks as they are written and with the file's bytes.

    An image costs 3.3 us when it is hashed right after rendering, and 4.2 us when read back.

    Args:
        handle: Descriptor of the file, open for reading.
    """

    def __init__(self, handle: int) -> None:
        self._handle, self._digest, self._end = handle, hashlib.sha256(), 0

    def read_to(self, end: float = math.inf) -> None:
        """Read and hash the file up to offset `end` (default: its end)."""
        while block := os.pread(self._handle, int(min(1 << 20, end - self._end)), self._end):
            self._digest.update(block)
            self._end += len(block)

    def update(self, data: bytes | memoryview, offset: int) -> None:
        """Hash bytes just written at an offset, if they follow the bytes hashed so far."""
        if offset == self._end:
            self._digest.update(data)
            self._end += len(data)

    def hexdigest(self) -> str:
        """Return the sha256 of the whole file, 64 hex digits."""
        self.read_to()
        return self._digest.hexdigest()


def write_at(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Write a whole buffer at an offset of an open file. A single write may stop short."""
    view = memoryview(data).cast("B")
    while view:
        done = os.pwrite(handle, view, offset)
        view, offset = view[done:], offset + done
