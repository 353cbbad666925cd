"""A watch over workers: it moves the progress bar, and ends workers that make no progress."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from builder.common import atomic_files
from builder.common.errors import DatasetError
from builder.common.log import log
from builder.storage.output_folder import OutputFolder
from builder.workers import progress

SLOWER = 20
"""A shard hangs when nothing is heard of it for so many times the time that the slowest took."""


class Watch:
    """A thread that looks twice a second at what workers tell of the shards `names`.

    `moved` is called with the samples that they have done. A worker of which nothing new is
    heard for `limit` seconds, or for `SLOWER` times what the slowest shard took if that is
    more, is killed if it is a process of this machine. `hung` then has its shard's name, with
    the reason; of others the log tells.
    """

    def __init__(
        self, folder: OutputFolder, names: Iterable[str], limit: float, moved: Callable[[int], None]
    ) -> None:
        self.hung: dict[str, str] = {}
        self.slowest = 0.0
        self._folder, self._names = folder, frozenset(names)
        self._limit, self._moved = limit, moved
        self._heard: dict[str, tuple[progress.Told, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(progress.INTERVAL):
            self.look()

    def look(self) -> None:
        """Look once at what workers told last."""
        told = progress.told(self._folder, self._names)
        self._moved(sum(each.samples for each in told.values()))
        now = time.monotonic()
        limit = max(self._limit, SLOWER * self.slowest)
        for name in self._heard.keys() - told.keys():
            del self._heard[name]
        for name, each in told.items():
            before, since = self._heard.get(name, (None, now))
            self._heard[name] = each, since if each == before else now
            if now - self._heard[name][1] > limit and name not in self.hung:
                self._end(name, each, f"it made no progress for {limit:.0f} s")

    def _end(self, name: str, each: progress.Told, reason: str) -> None:
        self.hung[name] = reason
        log.warning("%s: %s (process %d on %s)", name, reason, each.process, each.host)
        if each.can_be_ended:
            with suppress(ProcessLookupError):
                os.kill(each.process, signal.SIGKILL)


FOLDER = atomic_files.TEMPORARY + "progress"
"""Where in an output folder the files lie, each under its shard's name."""

INTERVAL = 0.5
"""Seconds from one telling to the next."""


@dataclass(frozen=True)
class Told:
    """What a worker told last: samples done of its shard, its process, and its host's name."""

    samples: int
    process: int
    host: str

    @property
    def can_be_ended(self) -> bool:
        """Whether the worker can be ended from here: another process of this machine."""
        return self.host == platform.node() and self.process != os.getpid()


@contextmanager
def telling(folder: OutputFolder, name: str) -> Iterator[Callable[[int], None]]:
    """Tell that the shard `name` is begun; yield what is to be called with its samples done.

    A call costs nothing until an interval has passed. That the file cannot be written stops no
    shard; it is gone after the body, unless the process is killed.
    """
    path = f"{FOLDER}/{name}"
    told = 0.0

    def tell(samples: int) -> None:
        nonlocal told
        if samples and time.monotonic() - told < INTERVAL:
            return
        told = time.monotonic()
        with suppress(OSError):
            folder.write_text(path, f"{samples} {os.getpid()} {platform.node()}")

    tell(0)
    try:
        yield tell
    finally:
        with suppress(OSError):
            folder.remove(path)


def begun(folder: OutputFolder) -> set[str]:
    """Return the names of the shards that are being made, or whose workers died of them."""
    try:
        return {entry.name for entry in folder.entries(FOLDER)}
    except OSError:
        return set()


def told(folder: OutputFolder, names: Iterable[str]) -> dict[str, Told]:
    """Return what was told last of those of the shards `names` that are begun."""
    found = {}
    for name in begun(folder).intersection(names):
        with suppress(DatasetError, ValueError):  # just removed, or just being written
            samples, process, host = (
                folder.read_bytes(f"{FOLDER}/{name}", 1000).decode().split(" ", 2)
            )
            found[name] = Told(int(samples), int(process), host)
    return found


def forget(folder: OutputFolder, names: Iterable[str]) -> None:
    """Remove what dead workers told of the shards `names`."""
    for name in begun(folder).intersection(names):
        with suppress(OSError):
            folder.remove(f"{FOLDER}/{name}")
