"""A watch over workers: it moves the progress bar, and ends workers that make no progress."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from builder import underway
from builder.logs import log

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
        self, folder: Path, names: Iterable[str], limit: float, moved: Callable[[int], None]
    ) -> None:
        self.hung: dict[str, str] = {}
        self.slowest = 0.0
        self._folder, self._names = folder, frozenset(names)
        self._limit, self._moved = limit, moved
        self._heard: dict[str, tuple[underway.Told, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(underway.INTERVAL):
            self.look()

    def look(self) -> None:
        """Look once at what workers told last."""
        told = underway.told(self._folder, self._names)
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

    def _end(self, name: str, each: underway.Told, reason: str) -> None:
        self.hung[name] = reason
        log.warning("%s: %s (process %d on %s)", name, reason, each.process, each.host)
        if each.can_be_ended:
            with suppress(ProcessLookupError):
                os.kill(each.process, signal.SIGKILL)
