"""Worker processes of this machine: how they start, and when they end.

This module imports little, since a worker starts to watch its builder once it is imported.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import shutil
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.context import get_spawning_popen
from pathlib import Path

INTERVAL = 0.5
"""Seconds between two looks at workers, or at their builder."""


class Lifeline:
    """A pipe whose write end is open in one process alone, the builder.

    Handed to a worker that starts, it takes the read end along. Called in the worker, it begins to
    watch: the end of the file means that the builder is gone. A child that the builder forked may
    hold the write end, too, so the number of the parent is compared as well.
    """

    def __init__(self, builder: int, read_end: int) -> None:
        self.builder, self.read_end = builder, read_end

    def __reduce__(self) -> tuple[type[Lifeline], tuple[int, int]]:
        starting = get_spawning_popen()
        if starting is None:
            raise TypeError("a lifeline goes to a process that starts, and nowhere else")
        return Lifeline, (self.builder, starting.duplicate_for_child(self.read_end))

    def __call__(self) -> None:
        """Start the thread that watches, in a worker."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self.read_end, select.POLLIN)  # the end of the file is always reported
        while os.getppid() == self.builder and not poll.poll(1000 * INTERVAL):
            pass
        os._exit(1)


def lifeline() -> Lifeline:
    """Return the lifeline of this process. It is the same one for all workers that it starts."""
    return _open_lifeline(os.getpid())


@cache
def _open_lifeline(process: int) -> Lifeline:
    read_end, _write_end = os.pipe()  # which nobody closes: it is open as long as the process is
    return Lifeline(process, read_end)


def remove_shared_memory(process: int) -> None:
    """Remove what joblib has left in shared memory for a process of this machine that was killed.

    Semaphores and folders have the number of the process in their names. Those of a process that
    lives are left alone, whatever it is.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, 0)
        return
    shared = Path("/dev/shm")
    for path in shared.glob(f"sem.loky-{process}-*"):
        with suppress(OSError):  # of another user, or gone by now
            path.unlink()
    for path in shared.glob(f"joblib_memmapping_folder_{process}_*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def start_environment() -> Iterator[None]:
    """Let Python processes that the body starts import nothing from the current folder.

    Python 3.10 has no setting for that, so files are refused there that would be imported.

    Raises:
        UsageError: Such a file has the name of a module of Python.
    """
    if sys.version_info < (3, 11):
        _require_no_shadow(Path.cwd())
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


def _require_no_shadow(folder: Path) -> None:
    from builder.common.errors import UsageError

    for path in folder.iterdir():
        if path.stem in sys.stdlib_module_names and (path.suffix == ".py" or path.is_dir()):
            raise UsageError(
                f"{path}: has the name of a module of Python, and Python {sys.version_info[0]}."
                f"{sys.version_info[1]} would import it in workers; rename it, or call from "
                "another folder"
            )


class WatchedTime:
    """Seconds in which this process ran and looked, from the first look on.

    Between two looks count twice `INTERVAL` at most: a process that was suspended has seen nothing
    of its workers, which were suspended too.
    """

    def __init__(self) -> None:
        self._seconds, self._last = 0.0, time.monotonic()

    def look(self) -> float:
        """Return the seconds watched so far."""
        now = time.monotonic()
        self._seconds += min(now - self._last, 2 * INTERVAL)
        self._last = now
        return self._seconds


class Poller(ABC):
    """A thread that calls `poll` every `INTERVAL` seconds from when it is entered to its exit.

    Attributes:
        time: The time that it has watched.
    """

    def __init__(self) -> None:
        self.time, self._stop = WatchedTime(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.poll()

    @abstractmethod
    def poll(self) -> None:
        """Look once, and act."""


class Watch(Poller):
    """A thread that ends all worker processes when too long nothing has come from any.

    Args:
        limit: Watched seconds without a call of `reset`; None for no limit.

    Attributes:
        ended: Whether the workers were ended.
    """

    def __init__(self, limit: float | None) -> None:
        super().__init__()
        self._limit, self._since, self.ended = limit, 0.0, False

    def reset(self) -> None:
        """Start to count again."""
        self._since = self.time.look()

    def poll(self) -> None:
        """End the workers if the limit has passed."""
        seconds = self.time.look() - self._since
        if self.ended or self._limit is None or seconds <= self._limit:
            return
        self.ended = True
        for process in multiprocessing.active_children():
            if "loky" in type(process).__module__ and process.pid:  # a worker of joblib
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
