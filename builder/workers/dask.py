"""The connection to a dask cluster, and a check that its workers can build the dataset."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from builder.common.constants import GENERATOR_VERSION
from builder.common.errors import BuildError, UsageError
from builder.storage.output_folder import OutputFolder

if TYPE_CHECKING:
    from distributed import Client

SEEN = "seen"
"""A file in the staging folder that all workers must see."""

TIMEOUT = 10
"""Seconds that a scheduler has to answer."""

PROBE_TIMEOUT = 60
"""Seconds that all workers have to answer. A worker imports this program for that."""

Result = TypeVar("Result")


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
        import distributed  # noqa: F401  # sets the levels of its loggers
    except ImportError:
        raise UsageError("backend 'dask' needs dask: pip install '.[dask]'") from None
    with _silence_dask():
        yield from _connect(scheduler, folder)


@contextmanager
def _silence_dask() -> Iterator[None]:
    """Keep dask from logging tracebacks of the errors that it raises as well."""
    names = ("distributed", "distributed.client", "tornado.application", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _connect(scheduler: str, folder: OutputFolder) -> Iterator[None]:
    import distributed

    try:
        client = _within(TIMEOUT + 2, lambda: distributed.Client(scheduler, timeout=TIMEOUT))
    except Exception as error:  # dask raises many kinds, for addresses too
        reason = str(error) or type(error).__name__
        raise BuildError(f"scheduler {scheduler}: cannot be reached ({reason})") from None
    try:
        check_workers(client, scheduler, folder)
        yield
    except (asyncio.CancelledError, concurrent.futures.CancelledError):
        raise BuildError(
            f"scheduler {scheduler}: the connection to it was lost; finished shards are kept, and "
            "the same call goes on from there"
        ) from None
    finally:
        with suppress(Exception):  # what matters has happened by now
            _within(TIMEOUT, client.close)


def _within(seconds: float, function: Callable[[], Result]) -> Result:
    """Return what a function returns. Raises `TimeoutError` if that takes too long.

    A scheduler that accepts a connection and says nothing lets dask wait for ever.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return results[0]


def check_workers(client: Client, scheduler: str, folder: OutputFolder) -> None:
    """Raise `BuildError` unless each worker sees a new file and has the same generator version."""
    folder.write_staged(SEEN, "")
    try:
        answers = _within(
            PROBE_TIMEOUT,
            lambda: client.run(probe, folder, folder.staged(SEEN), on_error="return"),
        )
    except (OSError, TimeoutError) as error:
        raise BuildError(f"scheduler {scheduler}: its workers do not answer ({error})") from None
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
