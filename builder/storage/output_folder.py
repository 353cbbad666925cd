"""The output folder: what may be built in it, and what stays in it when a build ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.common import atomic_files
from builder.common.errors import BuildError, UsageError
from builder.common.log import LogFile, log_to
from builder.storage.config import PLAN, DatasetConfig, Part
from builder.storage.manifest import LABELS, LOG, read


def check(folder: Path, plan: DatasetConfig) -> None:
    """Raise `UsageError` where `folder` holds anything but this dataset, or a beginning of it."""
    if not (folder / PLAN).exists():
        _check_empty(folder)
        return
    standing = read(folder / PLAN, DatasetConfig)
    different = standing.differences(plan)
    if different:
        raise UsageError(
            f"{folder}: holds another dataset ({'; '.join(different)}); name another --out"
        )
    if standing.count > plan.count:
        raise UsageError(
            f"{folder}: holds a dataset of {standing.count} images, more than {plan.count}; "
            "a dataset can be extended, not cut; name another --out"
        )


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, expected a folder for the dataset")
    names = sorted(path.name for path in folder.glob("*"))
    others = [
        n
        for n in names
        if n != LOG and not n.startswith((atomic_files.LOCK, atomic_files.TEMPORARY))
    ]
    if others:
        raise UsageError(
            f"{folder}: holds {others[0]} and no {PLAN}, so it is not a dataset of this program; "
            "name an empty or new folder"
        )


@contextmanager
def claimed(folder: Path, part: Part | None = None) -> Iterator[None]:
    """Hold the output folder, or a part of it; at the end remove what is unfinished.

    Where nothing of a dataset is finished that this call began, the folder goes too. Whoever
    holds a part shares the folder with other parts, and leaves everything else alone.
    """
    made = _make_folders(folder)
    try:
        with _locked(folder, part), log_to(LogFile(folder / LOG)):
            begun_before = (folder / PLAN).exists()
            if part is None:
                _remove_leftovers(folder)
            try:
                yield
            finally:
                if part is None:
                    with suppress(OSError):  # what ended the body matters more
                        _remove_unfinished(folder, begun_before)
    except OSError as error:
        raise BuildError(_told(error, folder)) from error
    finally:
        for path in [] if (folder / PLAN).exists() else reversed(made):
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _locked(folder: Path, part: Part | None) -> Iterator[None]:
    if part is None:
        with atomic_files.lock(folder):
            yield
        return
    own = f"{atomic_files.LOCK}-part-{part.number}-of-{part.of}"
    with atomic_files.lock(folder, shared=True), atomic_files.lock(folder, own):
        yield


def _make_folders(folder: Path) -> list[Path]:
    """Make `folder` and its parents; return those that were not there, outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(_told(error, folder)) from error
    return missing


def _remove_unfinished(folder: Path, begun_before: bool) -> None:
    """Remove temporary files, and all of a dataset that this call began if no shard is finished."""
    _remove_leftovers(folder)
    if begun_before or any(folder.glob("shard-*.json")):
        return
    if (folder / PLAN).exists():
        for started in folder.glob("shard-*"):
            atomic_files.remove(started)
        for name in (LABELS, PLAN):
            atomic_files.remove(folder / name)
    for name in (LOG, atomic_files.LOCK):
        atomic_files.remove(folder / name)


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(f"{atomic_files.TEMPORARY}*"):
        atomic_files.remove(leftover)


def _told(error: OSError, folder: Path) -> str:
    place = error.filename or folder
    return (
        f"{place}: {error.strerror or error}; finished shards are kept, "
        "and the same call goes on once the cause is gone"
    )
