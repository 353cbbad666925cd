"""The claim of a build on its output folder: checks, the lock, the log, the staging folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TextIO

from builder.common import atomic_files
from builder.common.errors import (
    BuilderError,
    BuildError,
    LogFile,
    UsageError,
    log_to,
    open_closed_streams,
)
from builder.storage.config import PLAN, DatasetConfig, Part
from builder.storage.folder_lock import LOCK, hold_folder, open_own_file, share_with_folder
from builder.storage.manifest import LABELS, LOG
from builder.storage.output_folder import HEARTBEATS, OutputFolder

ENDED = atomic_files.TEMPORARY + "ended-"
"""How the names of staging folders begin whose builds have ended."""


def check_folder(folder: OutputFolder, config: DatasetConfig) -> None:
    """Check that a folder is empty or holds a beginning of the dataset `config`.

    Raises:
        UsageError: It holds another dataset, a larger one, or other files.
    """
    if not folder.exists(PLAN):
        _check_empty(folder)
        return
    present = folder.read(PLAN, DatasetConfig)
    different = present.differences(config)
    if different:
        raise UsageError(
            f"{folder}: holds another dataset ({'; '.join(different)}); name another --out"
        )
    if present.count > config.count:
        raise UsageError(
            f"{folder}: holds a dataset of {present.count} images, more than {config.count}; "
            "a dataset can be extended, not cut; name another --out"
        )


def last_builder(folder: OutputFolder) -> int | None:
    """Return the process of this machine that held a folder last; None if none is known."""
    with suppress(OSError, ValueError, BuilderError):
        process, host = folder.read_bytes(LOCK, 300).decode().removeprefix("process ").split(" on ")
        return int(process) if host == os.uname().nodename else None
    return None


def _check_empty(folder: OutputFolder) -> None:
    if not folder.path.exists():
        return
    if not folder.path.is_dir():
        raise UsageError(f"{folder}: is a file, expected a folder for the dataset")
    for entry in folder.entries():
        if entry.name != LOG and not entry.name.startswith((LOCK, atomic_files.TEMPORARY)):
            raise UsageError(
                f"{folder}: holds {entry.name} and no {PLAN}, so it is not a dataset of this "
                "program; name an empty or new folder"
            )


@contextmanager
def claim(path: Path, part: Part | None = None, *, discard: bool = False) -> Iterator[OutputFolder]:
    """Hold an output folder, or one part of it; yield it with a staging folder for this build.

    The log of the body is copied to `build.log`. What other builds left in staging folders is
    removed at the start, and the staging folder of this build at the end.

    Args:
        path: The folder. It is created if need be.
        part: The part of the shards that the body builds (default: all of them).
        discard: Whether to remove a dataset that the body began and of which it finished no shard,
            with the folders created for it. It is never removed for a part.

    Raises:
        BuildError: The body raised `OSError`, such as for a full disk, or the folder was moved
            or removed meanwhile.
        BuilderError: Another build holds the folder or the part, or a link is in the way.
    """
    open_closed_streams()
    name = f"part-{part.number}-of-{part.of}" if part else None
    folder = OutputFolder(path, f"{_prefix(name)}{os.urandom(4).hex()}")
    created = [p for p in (path, *path.parents) if not p.exists()]
    try:
        _create_folders(created)
        begin = partial(_begin, folder, name)
        log_file = LogFile(path / LOG, partial(_open_log, folder))
        with hold_folder(path, folder.handle, name, begin), log_to(log_file):
            discard = discard and part is None and not folder.exists(PLAN)
            try:
                yield folder
            finally:
                with suppress(OSError):  # an error of the body matters more
                    _end(folder, discard)
            _require_in_place(folder)
    except (OSError, BuilderError) as error:
        _require_in_place(folder)
        if isinstance(error, BuilderError):
            raise
        kept = "finished shards are kept, and " if _has_finished_shards(folder) else ""
        place = Path(error.filename or path)
        if not place.is_relative_to(path):
            place = path / place  # a name in the folder, or any absolute one
        reason = f"{place}: {error.strerror or error}"
        raise BuildError(f"{reason}; {kept}the same call goes on once the cause is gone") from error
    finally:
        for made in created if _is_in_place(folder) and not folder.exists(PLAN) else []:
            with suppress(OSError):
                made.rmdir()


def _create_folders(missing: list[Path]) -> None:
    """Create folders, the innermost of which comes first, and sync the entry of each."""
    for path in reversed(missing):
        if path.is_symlink():
            raise BuildError(f"{path}: is a link to nothing; create what it names, or remove it")
        path.mkdir(exist_ok=True)
        with atomic_files.open_folder(path.parent) as parent:
            atomic_files.sync_folder(parent)


def _open_log(folder: OutputFolder) -> TextIO:
    flags = os.O_WRONLY | os.O_APPEND
    return os.fdopen(open_own_file(folder.path / LOG, folder.handle, flags), "a", encoding="utf-8")


def _prefix(part: str | None) -> str:
    """Return how the staging folders of builds of a part begin, or of the whole dataset."""
    return atomic_files.TEMPORARY + (f"{part}-" if part else "")


def _begin(folder: OutputFolder, part: str | None, present: list[str], alone: bool) -> None:
    """Take staging folders from builds that have ended, and make one.

    Args:
        folder: The folder.
        part: Name of the part that is held, None for the whole folder.
        present: Names of entries, among them all that ended builds have left.
        alone: Whether no other build holds a part.
    """
    ended = _prefix(None if alone else part)
    for name in present:
        if name.startswith(ended):
            with suppress(FileNotFoundError):
                gone = f"{ENDED}{os.urandom(4).hex()}"
                os.rename(name, gone, src_dir_fd=folder.handle, dst_dir_fd=folder.handle)
    for name in (folder.staging, folder.staged(HEARTBEATS)):
        os.mkdir(name, dir_fd=folder.handle)
        with atomic_files.open_folder(name, folder.handle) as handle:
            share_with_folder(handle, folder.handle)


def _end(folder: OutputFolder, discard: bool) -> None:
    """Remove staging folders, and with `discard` a dataset of which no shard is finished."""
    names = [entry.name for entry in folder.entries()]
    staging = [name for name in names if name.startswith((folder.staging, ENDED))]
    shards = [name for name in names if name.startswith("shard-")]
    if discard and not _has_finished_shards(folder):
        staging += [*shards, LABELS, PLAN] if PLAN in names else []
        staging += [LOG, LOCK]
    for name in staging:
        folder.remove(name)


def _has_finished_shards(folder: OutputFolder) -> bool:
    try:
        return any(fnmatch(entry.name, "shard-*.json") for entry in folder.entries())
    except OSError:
        return False


def _require_in_place(folder: OutputFolder) -> None:
    """Raise `BuildError` if the folder that was claimed no longer lies at its path."""
    if not _is_in_place(folder):
        raise BuildError(
            f"{folder}: was moved or removed while the dataset was built there; what was finished "
            "is where the folder is now"
        )


def _is_in_place(folder: OutputFolder) -> bool:
    """Return whether a folder lies at its path, or was not opened yet."""
    try:
        return "handle" not in vars(folder) or os.path.samestat(
            folder.path.stat(), os.fstat(folder.handle)
        )
    except OSError:
        return False
