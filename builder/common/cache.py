"""The user's cache folder: derived arrays under the digest of what they were derived from.

An entry is a folder of `.npy` files that appears by one rename, so it is whole or absent.
It is mapped read-only by every process of a build, which share the memory of it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

Arrays = dict[str, npt.NDArray[Any]]


@cache
def cache_folder() -> Path:
    """Return a folder of this user's that can be written: the cache folder, or a temporary one.

    `DIGITSEQ_CACHE` names another place. The fallback has the same path in every process of
    the user, so workers find there what their parent stored.
    """
    named = os.environ.get("DIGITSEQ_CACHE")
    wanted = Path(named) if named else Path(platformdirs.user_cache_dir("digitseq"))
    for folder in (wanted, Path(tempfile.gettempdir()) / f"digitseq-{os.getuid()}"):
        if _is_ours(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="digitseq-"))


def _is_ours(folder: Path) -> bool:
    """Tell whether `folder` is (or can be made) writable and belongs to this user."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def check_sha256(name: str, text: str) -> None:
    """Raise `ValueError` unless `text` is 64 hex digits: it becomes a part of a path here."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{name} is '{text[:70]}', expected 64 hex digits")


def load(entry: str, names: Iterable[str]) -> Arrays | None:
    """Return the named arrays of an entry, memory-mapped read-only, or None where it is not there.

    An entry that does not read as these arrays (a truncated file, say) counts as not there.
    """
    folder = cache_folder() / entry
    try:
        return {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in names
        }
    except (OSError, ValueError, EOFError):
        return None


def store(entry: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """Write an entry, taking the place of what stands there, and return it as `load` does."""
    folder = cache_folder() / entry
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=cache_folder()))
    try:
        for name, array in arrays.items():
            np.save(made / f"{name}.npy", array, allow_pickle=False)
        if load(entry, arrays) is None:  # else another process has stored the same meanwhile
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # as above, just now
                made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    stored = load(entry, arrays)
    return stored if stored is not None else dict(arrays)
