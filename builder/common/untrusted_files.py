"""Files of somebody else: opened without following links, read within limits.

A dataset's folder may come from anybody. So every file of one is opened here: by a name that
the plan implies, step by step from the folder, and only if it is a regular file. The folder
itself is the user's word and may be a link.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from builder.common.errors import DatasetError

PLACE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without `O_NONBLOCK` a FIFO would block for ever: its writer never comes."""

BYTES_PER_VALUE = 16
"""Bytes of a large JSON file for each value in it, at the least; manifests have some 30. Python
takes 60 bytes and more for a value, so a file of `{},{},{}` would take twenty times its size."""

FREE_VALUES = 100_000


def open_untrusted(folder: Path, name: str, most: int | None = None) -> io.BufferedReader:
    """Return a file below `folder`, open for reading.

    `name` has its folders before it, parted by `/`. Raises `DatasetError` for one that is not
    there, for links anywhere in `name`, for anything but a regular file, and for more than
    `most` bytes. Nobody can exchange what was checked for something else: it is open by then.
    """
    path = folder / name
    *folders, last = name.split("/")
    if not all(part and part.strip(".") for part in (*folders, last)):
        raise DatasetError(f"{path}: is no name of a dataset's file")
    place = -1
    try:
        place = os.open(folder, PLACE)
        for part in folders:
            outer, place = place, os.open(part, PLACE | os.O_NOFOLLOW, dir_fd=place)
            os.close(outer)
        handle = os.open(last, FILE, dir_fd=place)
    except OSError as error:
        raise DatasetError(f"{path}: {_why(error)}") from None
    finally:
        if place >= 0:
            os.close(place)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and (most is None or found.st_size <= most):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError(f"{path}: is no regular file, expected one")
    raise DatasetError(f"{path}: has {found.st_size} bytes, expected at most {most}")


def _why(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "is not there"
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is not followed in a dataset: put the file in its place"
    if error.errno == errno.ENOTDIR:
        return "a folder of its name is no folder, or a symbolic link, which is not followed"
    return f"cannot be opened ({error.strerror})"


def read_untrusted(folder: Path, name: str, most: int) -> bytes:
    """Return the bytes of a file below `folder`, of which there are at most `most`."""
    with open_untrusted(folder, name, most) as file:
        data = file.read(os.fstat(file.fileno()).st_size + 1)
    if len(data) > most:
        raise DatasetError(f"{folder / name}: grew beyond {most} bytes while it was read")
    return data


def read_maybe_gzipped(file: io.BufferedReader, most: int) -> bytes:
    """Return what a plain or gzipped file holds, but no more than `most` + 1 bytes of it.

    Who gets one byte more than `most` knows that there is more.
    """
    packed = file.peek(2)[:2] == b"\x1f\x8b"
    return gzip.GzipFile(fileobj=file).read(most + 1) if packed else file.read(most + 1)


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text. Raises `ValueError` or `RecursionError` for anything else.

    It is UTF-8 without NaN, infinities, a key twice in an object, or half a character.
    """
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > FREE_VALUES + len(data) // BYTES_PER_VALUE:
        raise ValueError(f"{values} values in {len(data)} bytes")
    value = json.loads(data.decode("utf-8"), parse_constant=_refused, object_pairs_hook=_once)
    if re.search(rb"\\u[dD][89a-fA-F]", data):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses half a character
    return value


def _refused(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds the key '{double[:60]}' twice")
    return values
