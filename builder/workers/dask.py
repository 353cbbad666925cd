"""A dask cluster that a build runs on: connected to, and found to be of use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from builder.common import atomic_files
from builder.common.constants import GENERATOR_VERSION
from builder.common.errors import BuildError, UsageError
from builder.storage.output_folder import OutputFolder

TIMEOUT = 10
"""Seconds that a scheduler has to answer."""


@contextmanager
def connect(scheduler: str, folder: OutputFolder) -> Iterator[None]:
    """Hold a connection to a cluster all of whose workers see `folder` and run this generator.

    Raises `UsageError` where dask is not installed, and `BuildError` where the scheduler does
    not answer, has no workers, or has one that will not do.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError("backend 'dask' needs dask: pip install '.[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise BuildError(f"scheduler {scheduler}: cannot be reached ({reason})") from None
    with client:
        _check(client, scheduler, folder)
        yield


def _check(client: Any, scheduler: str, folder: OutputFolder) -> None:
    """Raise `BuildError` unless each worker sees a file made here, and has the same version."""
    seen = f"{atomic_files.TEMPORARY}seen-{os.urandom(8).hex()}"
    folder.write_text(seen, "")
    try:
        found = client.run(look, folder, seen, on_error="return")
    finally:
        folder.remove(seen)
    if not found:
        raise BuildError(f"scheduler {scheduler}: has no workers; start some, and call again")
    faults = {worker: _fault(answer, folder) for worker, answer in found.items()}
    told = [f"{worker} {fault}" for worker, fault in sorted(faults.items()) if fault]
    if told:
        raise BuildError(f"scheduler {scheduler}: worker {'; worker '.join(told)}")


def look(folder: OutputFolder, seen: str) -> tuple[int, bool]:
    """Return the generator version of this process, and whether it sees a file."""
    return GENERATOR_VERSION, folder.exists(seen)


def _fault(answer: Any, folder: OutputFolder) -> str | None:
    """Return what is wrong with a worker, from its answer: what `look` returned, or an error."""
    if isinstance(answer, BaseException):
        return f"cannot run this program ({type(answer).__name__}: {answer}): install it there too"
    version, sees = answer
    if version != GENERATOR_VERSION:
        return f"has generator version {version}, not {GENERATOR_VERSION}: install the same there"
    return None if sees else f"does not see {folder}: name a folder that all machines share"
