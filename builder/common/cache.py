"""The user's cache folder: derived arrays under the digest of their source.

An entry is a folder of `.npy` files that appears by one rename, so it is whole or absent. Every
process of a build maps it read-only, and they share its memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs

from builder.common.constants import AnyArray

Arrays = dict[str, AnyArray]


@cache
def cache_folder() -> Path:
    """Return a writable folder of this user: the cache folder, or else a temporary one.

    The environment variable `DIGITSEQ_CACHE` names another cache folder. The temporary folder has
    the same path in every process of the user, so workers find there what their parent stored.
    """
    named = os.environ.get("DIGITSEQ_CACHE")
    preferred = Path(named) if named else Path(platformdirs.user_cache_dir("digitseq"))
    for folder in (preferred, Path(tempfile.gettempdir()) / f"digitseq-{os.getuid()}"):
        if _is_usable(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="digitseq-"))


def _is_usable(folder: Path) -> bool:
    """Tell whether `folder` is (or can be made) writable and belongs to this user."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def load(entry: str, names: Iterable[str]) -> Arrays | None:
    """Return the named arrays of an entry, memory-mapped read-only, or None if it is missing.

    An entry that cannot be read as these arrays, such as a truncated file, counts as missing.
    """
    folder = cache_folder() / entry
    try:
        return {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in names
        }
    except (OSError, ValueError, EOFError):
        return None


def store(entry: str, arrays: Mapping[str, AnyArray]) -> Arrays:
    """Write an entry, in place of an unreadable one, and return it as `load` does."""
    folder = cache_folder() / entry
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=cache_folder()))
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        if load(entry, arrays) is None:  # another process may have stored it meanwhile
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    stored = load(entry, arrays)
    return stored if stored is not None else dict(arrays)
