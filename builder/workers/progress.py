"""Heartbeats of workers, and the monitor that reads them and ends workers that hang."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from builder.common.errors import DatasetError, log
from builder.storage.output_folder import HEARTBEATS, OutputFolder
from builder.workers.processes import Poller

INTERVAL = 0.5
"""Seconds between two heartbeats of a worker."""

HANG_FACTOR = 20
"""A worker may be silent for this many times the duration of the slowest shard."""


@dataclass(frozen=True)
class Heartbeat:
    """What a worker reported last: rendered samples of its shard, process number, host name."""

    samples: int
    process: int
    host: str


@contextmanager
def send_heartbeats(folder: OutputFolder, shard: str) -> Iterator[Callable[[int], None]]:
    """Send heartbeats for a shard in the body; yield a function of the samples rendered so far.

    A call writes a file at most every `INTERVAL` seconds. The first heartbeat comes before the
    body. The file is removed after the body, unless the process is killed. An error in writing
    stops no shard.
    """
    name = folder.staged(f"{HEARTBEATS}/{shard}")
    last = 0.0

    def send(samples: int) -> None:
        nonlocal last
        if samples and time.monotonic() - last < INTERVAL:
            return
        last = time.monotonic()
        with suppress(OSError):
            folder.write_staged(
                f"{HEARTBEATS}/{shard}", f"{samples} {os.getpid()} {platform.node()}"
            )

    send(0)
    try:
        yield send
    finally:
        with suppress(OSError):
            folder.remove(name)


def shards_in_progress(folder: OutputFolder) -> set[str]:
    """Return the names of shards with a heartbeat file: in progress, or left by a dead worker."""
    try:
        return {entry.name for entry in folder.entries(folder.staged(HEARTBEATS))}
    except OSError:
        return set()


def read_heartbeats(folder: OutputFolder, shards: Iterable[str]) -> dict[str, Heartbeat]:
    """Return the last heartbeat of those of the shards that are in progress, by shard name."""
    heartbeats = {}
    for shard in shards_in_progress(folder).intersection(shards):
        # a worker may remove or write the file at this moment
        with suppress(DatasetError, ValueError):
            text = folder.read_bytes(folder.staged(f"{HEARTBEATS}/{shard}"), 1000).decode()
            samples, process, host = text.split(" ", 2)
            heartbeats[shard] = Heartbeat(int(samples), int(process), host)
    return heartbeats


def remove_heartbeats(folder: OutputFolder, shards: Iterable[str]) -> None:
    """Remove the heartbeats of dead workers for the shards."""
    for shard in shards_in_progress(folder).intersection(shards):
        with suppress(OSError):
            folder.remove(folder.staged(f"{HEARTBEATS}/{shard}"))


@dataclass
class Monitor(Poller):
    """A thread that polls the heartbeats of shards and kills workers that hang.

    A worker hangs if its heartbeat stays the same for `hang_limit` watched seconds, or
    `HANG_FACTOR` times `slowest` if that is more. Only processes of this machine are killed; other
    workers that hang are logged.

    Args:
        folder: The output folder.
        shards: Names of the shards.
        hang_limit: Seconds above 0.
        report: Called at each poll with the samples rendered of all shards in progress.

    Attributes:
        hangs: For the name of each shard whose worker hangs, the reason.
        slowest: Seconds that the slowest shard has taken; set by the caller.
    """

    folder: OutputFolder
    shards: Iterable[str]
    hang_limit: float
    report: Callable[[int], None]
    hangs: dict[str, str] = field(default_factory=dict, init=False)
    slowest: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self._changes: dict[str, tuple[Heartbeat, float]] = {}

    def poll(self) -> None:
        """Read all heartbeats once, report the progress, and kill workers that hang."""
        heartbeats = read_heartbeats(self.folder, self.shards)
        self.report(sum(heartbeat.samples for heartbeat in heartbeats.values()))
        now = self.time.look()
        limit = max(self.hang_limit, HANG_FACTOR * self.slowest)
        changes, self._changes = self._changes, {}
        for shard, heartbeat in heartbeats.items():
            last, since = changes.get(shard, (None, now))
            since = since if heartbeat == last else now
            self._changes[shard] = heartbeat, since
            if now - since > limit and shard not in self.hangs:
                self.hangs[shard] = f"it made no progress for {limit:.0f} s"
                self._kill(shard, heartbeat)

    def _kill(self, shard: str, heartbeat: Heartbeat) -> None:
        """Log that a worker hangs, and kill it if it is another process of this machine."""
        process, host = heartbeat.process, heartbeat.host
        log.warning("%s: %s (process %d on %s)", shard, self.hangs[shard], process, host)
        if host == platform.node() and process != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
