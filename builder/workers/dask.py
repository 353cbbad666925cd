"""The connection to a dask cluster, and a check that its workers can build the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.common.constants import GENERATOR_VERSION
from builder.common.errors import BuildError, UsageError
from builder.storage.output_folder import OutputFolder

if TYPE_CHECKING:
    from distributed import Client

SEEN = "seen"
"""A file in the staging folder that all workers must see."""

TIMEOUT = 10
"""Seconds that a scheduler has to answer."""


@contextmanager
def connect(scheduler: str, folder: OutputFolder) -> Iterator[None]:
    """Hold a connection to a cluster whose workers see `folder` and run this generator.

    Args:
        scheduler: Address of the scheduler, such as `tcp://host:8786`.
        folder: The output folder, with an absolute path.

    Raises:
        UsageError: dask is not installed.
        BuildError: The scheduler does not answer, or `check_workers` fails.
    """
    try:
        import distributed
    except ImportError:
        raise UsageError("backend 'dask' needs dask: pip install '.[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise BuildError(f"scheduler {scheduler}: cannot be reached ({reason})") from None
    with client:
        check_workers(client, scheduler, folder)
        yield


def check_workers(client: Client, scheduler: str, folder: OutputFolder) -> None:
    """Raise `BuildError` unless each worker sees a new file and has the same generator version."""
    folder.write_staged(SEEN, "")
    answers = client.run(probe, folder, folder.staged(SEEN), on_error="return")
    if not answers:
        raise BuildError(f"scheduler {scheduler}: has no workers; start some, and call again")
    faults = [
        f"worker {worker} {fault}"
        for worker, answer in sorted(answers.items())
        if (fault := _find_fault(answer, folder))
    ]
    if faults:
        raise BuildError(f"scheduler {scheduler}: {'; '.join(faults)}")


def probe(folder: OutputFolder, name: str) -> tuple[int, bool]:
    """Return the generator version of this process, and whether it sees a file."""
    return GENERATOR_VERSION, folder.exists(name)


def _find_fault(answer: tuple[int, bool] | Exception, folder: OutputFolder) -> str | None:
    """Return what is wrong with a worker that answered with the result of `probe` or an error."""
    if isinstance(answer, Exception):
        return f"cannot run this program ({type(answer).__name__}: {answer}): install it there too"
    version, sees_file = answer
    if version != GENERATOR_VERSION:
        return f"has generator version {version}, not {GENERATOR_VERSION}: install the same there"
    return None if sees_file else f"does not see {folder}: name a folder that all machines share"
