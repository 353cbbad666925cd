"""The user's cache folder: derived arrays under the digest of their source.

An entry is a folder of `.npy` files, and of their checksums, which are published last. Each process
compares them when it opens an entry, so it never works with arrays that were damaged. All
processes of a build map the same files read-only, and share their memory.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs
from xxhash import xxh3_128

from builder.common.atomic_files import publish_bytes
from builder.common.constants import AnyArray
from builder.common.errors import BuilderError, log, open_closed_streams
from builder.common.validation import local_path

Arrays = dict[str, AnyArray]

VARIABLE = "DIGITSEQ_CACHE"
"""The environment variable that names another cache folder."""

SUMS = "checksums.txt"
"""The file of an entry that has a line for each array: XXH3-128 of its file, entry and name."""

BLOCK = 1 << 20
"""Bytes that are read and hashed at a time; an entry of MNIST, 72 MB, takes 16 ms."""


@cache
def cache_folder() -> Path:
    """Return a writable folder of this user: the cache folder, or else a temporary one.

    The environment variable `DIGITSEQ_CACHE` names another cache folder. Compiled code is loaded
    from it, so a folder in which other users can write is passed over. Workers of this process get
    the same folder.
    """
    fallback = Path(tempfile.gettempdir()) / f"digitseq-{os.getuid()}"
    folders = [*_preferred_folders(), fallback]
    usable = (folder for folder in folders if _is_usable(folder, may_be_link=folder != fallback))
    folder = next(usable, None) or Path(tempfile.mkdtemp(prefix="digitseq-"))
    if folder != folders[0]:
        log.info("the cache folder is %s; %s names another", folder, VARIABLE)
        os.environ[VARIABLE] = str(folder)
    return folder


def _preferred_folders() -> list[Path]:
    """Return the cache folder that is named or usual, absolute; none for a user without a home."""
    if named := os.environ.get(VARIABLE):
        return [local_path(named).absolute()]
    try:
        folder = Path(platformdirs.user_cache_dir("digitseq"))
    except RuntimeError:
        return []
    return [] if folder.parts[:1] == ("~",) else [folder.absolute()]  # older versions return "~"


def _is_usable(folder: Path, may_be_link: bool) -> bool:
    """Tell whether `folder` is (or can be made) writable for this user, and for nobody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat() if may_be_link else folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            log.warning("%s: is no folder of this user, so it is not used as cache", folder)
            return False
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            log.warning("%s: others can write in it, so it is not used as cache", folder)
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        log.info("%s: cannot be the cache folder (%s)", folder, error.strerror)
        return False


def load(entry: str, names: Collection[str]) -> Arrays | None:
    """Return the named arrays of an entry, memory-mapped read-only, or None if it is missing.

    An entry whose files are not those that were stored counts as missing, and the log says so.
    """
    open_closed_streams()  # the files stay open
    folder = cache_folder() / entry
    if not os.path.lexists(folder / SUMS):
        return None
    try:
        sums = (folder / SUMS).read_bytes().splitlines()
        for name in names:
            if _sum_line(folder, name, _file_digest(_path(folder, name))) not in sums:
                raise ValueError(f"{name}.npy is not what was stored")
        return {
            name: np.load(_path(folder, name), mmap_mode="r", allow_pickle=False) for name in names
        }
    except (OSError, ValueError) as error:
        log.warning("%s: is damaged (%s); it is dropped, to be made again", folder, error)
        return None


def store(entry: str, arrays: Mapping[str, AnyArray]) -> Arrays:
    """Write an entry, in place of a damaged one, and return it as `load` does.

    Files are replaced one by one, so processes may store the same entry at once, and those that
    have mapped a file keep it.

    Raises:
        BuilderError: It cannot be written, or not read back. The text names the folder.
    """
    folder = cache_folder() / entry
    try:
        folder.mkdir(exist_ok=True)
        sums = []
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            publish_bytes(_path(folder, name), buffer.getvalue())
            sums.append(_sum_line(folder, name, bytes_digest(buffer.getvalue()).hex()))
        publish_bytes(folder / SUMS, b"\n".join([*sums, b""]))
    except OSError as error:
        raise cannot_store(folder, error) from None
    stored = load(entry, arrays)
    if stored is None:
        raise BuilderError(f"{folder}: is damaged as soon as it is written; is the disk sound?")
    return stored


def cannot_store(path: Path, error: OSError) -> BuilderError:
    """Return the error that says why a file or folder of the cache could not be written."""
    return BuilderError(
        f"cache {path}: cannot be written ({error.strerror or error}): make room, "
        f"or name a folder for the cache in the environment variable {VARIABLE}"
    )


def bytes_digest(data: bytes) -> bytes:
    """Return XXH3-128 of some bytes, 16 bytes."""
    return xxh3_128(data).digest()


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _file_digest(path: Path) -> str:
    digest = xxh3_128()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sum_line(folder: Path, name: str, digest: str) -> bytes:
    """Return the line of an array, as `xxhsum -c` reads it."""
    return f"{digest}  {folder.name}/{name}.npy".encode()
