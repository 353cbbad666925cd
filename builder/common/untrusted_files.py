"""Files that anybody may have written: opened without following links, read within limits.

A dataset's folder may come from anybody. So this module opens every file of one: by a name that
the plan implies, folder by folder, and only if it is a regular file. The folder of the dataset
itself is named by the user and may be a link.
"""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import json
import os
import re
import resource
import stat
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from builder.common.errors import DatasetError, UsageError

FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without `O_NONBLOCK` opening a FIFO that nobody writes to would block for ever."""

BYTES_PER_VALUE = 16
"""A large JSON file must have this many bytes for each of its values; manifests have some 30.
Python takes 60 bytes or more for a value, so a file of `{},{},{}` would take twenty times its
size in memory."""

READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a damaged or missing file raises, plain or gzipped."""

FREE_VALUES = 100_000
"""Up to this many values a JSON file may have whatever its size."""

TOO_MANY = (errno.EMFILE, errno.ENFILE)
"""Error numbers of too many open files, of a process or of the machine."""

KEPT_SHARE, MAX_KEPT = 3, 1024
"""Files that may be kept open: one of so many that the process may open, and so many at most. The
usual limit of 1,024 gives 341. A shuffled batch of 256 samples of 1,000 shards then opens some 170
of them again, at 45 us each."""

T = TypeVar("T")


def open_untrusted(folder: Path, name: str, most: int | None = None) -> io.BufferedReader:
    """Open a file below a folder for reading.

    It is opened before it is checked, so nobody can exchange it in between.

    Args:
        folder: The folder, which may be a link.
        name: The path from the folder to the file, with `/`.
        most: The largest size of the file, bytes; None for any size.

    Raises:
        DatasetError: The file is missing, larger, or no regular file, or a part of `name` is a
            link.
    """
    path = folder / name
    *folders, last = name.split("/")
    if not all(part and part.strip(".") for part in (*folders, last)):
        raise DatasetError(f"{path}: is no name of a dataset's file")
    try:
        handle = with_free_handles(lambda: _open_below(folder, folders, last))
    except OSError as error:
        raise DatasetError(f"{path}: {_describe(error)}") from None
    try:
        return _regular_file(handle, most)
    except OSError as error:
        raise DatasetError(f"{path}: {error}") from None


def _open_below(folder: Path, folders: list[str], last: str) -> int:
    """Return the descriptor of a file, which is found folder by folder."""
    parent = os.open(folder, FOLDER_FLAGS)
    try:
        for part in folders:
            outer, parent = parent, os.open(part, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
            os.close(outer)
        return os.open(last, FILE_FLAGS, dir_fd=parent)
    finally:
        os.close(parent)


def open_named(path: Path, most: int | None = None) -> io.BufferedReader:
    """Open a file that the user names, which may be a link, for reading.

    Devices never end, and a FIFO may wait for ever: neither is read.

    Raises:
        OSError: It cannot be opened, is no regular file, or has more than `most` bytes.
    """
    return _regular_file(os.open(path, FILE_FLAGS & ~os.O_NOFOLLOW), most)


def _regular_file(handle: int, most: int | None) -> io.BufferedReader:
    """Return the file of a descriptor, or close it and raise `OSError`."""
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and (most is None or status.st_size <= most):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory and " if stat.S_ISDIR(status.st_mode) else ""
        raise OSError(f"is {kind}no regular file, expected one")
    raise OSError(f"has {status.st_size} bytes, expected at most {most}")


def _describe(error: OSError) -> str:
    """Return why a file could not be opened."""
    if error.errno == errno.ENOENT:
        return "is not there"
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is not followed in a dataset: put the file in its place"
    if error.errno == errno.ENOTDIR:
        return "a folder of its name is no folder, or a symbolic link, which is not followed"
    more = "; raise the limit of open files (ulimit -n)" if error.errno in TOO_MANY else ""
    return f"cannot be opened ({error.strerror}{more})"


def keep_open(holder: object, close: Callable[[], object]) -> None:
    """Count an object that keeps a file open for as long as it lives.

    All datasets of a process together keep `max_kept()` files open. Beyond that, the objects that
    were counted first are closed.

    Args:
        holder: The object.
        close: Drops it, from whatever uses it later. It must not refer to the object.
    """
    while len(_kept) >= max_kept():
        _close_oldest()
    number = next(_numbers)
    _kept[number] = weakref.ref(holder, lambda _: _kept.pop(number, None)), close


def max_kept() -> int:
    """Return how many files may be kept open: a share of the limit of this process, from 1."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_KEPT if limit < 0 else max(1, min(MAX_KEPT, limit // KEPT_SHARE))


def with_free_handles(call: Callable[[], T]) -> T:
    """Return what a call returns that opens files.

    If there are too many open files, those kept open are closed, the oldest half at a time, and
    the call is made again.
    """
    while True:
        try:
            return call()
        except OSError as error:
            if error.errno not in TOO_MANY or not _kept:
                raise
            for _ in range(1 + len(_kept) // 2):
                _close_oldest()


def _close_oldest() -> None:
    """Close the object that was counted first. Several threads may do so without a lock."""
    with suppress(KeyError):  # another thread was faster
        _, close = _kept.popitem(last=False)[1]
        close()


_kept: OrderedDict[int, tuple[weakref.ref[object], Callable[[], object]]] = OrderedDict()
"""What keeps a file open, until it ceases to be: each with its reference and what closes it."""

_numbers = itertools.count()


def read_untrusted(folder: Path, name: str, most: int) -> bytes:
    """Return the bytes of a file below a folder, at most `most`; see `open_untrusted`."""
    with open_untrusted(folder, name, most) as file:
        data = file.read(os.fstat(file.fileno()).st_size + 1)
    if len(data) > most:
        raise DatasetError(f"{folder / name}: grew beyond {most} bytes while it was read")
    return data


def unzip(file: io.BufferedReader) -> io.BufferedIOBase:
    """Return the contents of a plain or gzipped file, as a file; reading raises `READ_ERRORS`."""
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def read_json(path: Path, most: int) -> dict[str, Any]:
    """Return the JSON object in a file that the user names, of at most `most` bytes.

    Raises:
        UsageError: It cannot be read, or is anything else.
    """
    try:
        with open_named(path, most) as file:
            if not file.peek().lstrip().startswith((b"{", b"[")):  # before a large file is read
                raise ValueError("it begins with no bracket")
            values = parse_json(file.read(most))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: holds {type(values).__name__}, expected a JSON object")
    return values


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON in UTF-8, or holds NaN, an infinity, a key twice in an object,
            or half a character, or too many values for its size.
        RecursionError: Its values are nested too deeply.
    """
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > FREE_VALUES + len(data) // BYTES_PER_VALUE:
        raise ValueError(f"{values} values in {len(data)} bytes")
    value = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
    )
    if re.search(rb"\\u[dD][89a-fA-F]", data):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses half a character
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"it holds the key '{name[:60]}' twice")
        values[name] = value
    return values
