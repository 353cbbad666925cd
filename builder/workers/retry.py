"""Attempts at shards, repeated until each shard is built or has failed too often."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from builder.common import signals
from builder.common.errors import BuilderError, BuildError
from builder.common.log import log
from builder.workers import pool, progress
from builder.workers.options import BuildOptions
from builder.workers.progress import Monitor
from builder.workers.shard import ShardTask, build_shard, find_record

MAX_ATTEMPTS = 3
"""Failed attempts after which a shard is given up. The last attempt runs alone, so that a crash
costs no other shard its worker and cannot be blamed on the wrong shard."""

MIN_SPEED = 100
"""Images per second: the least speed expected of a cluster's worker. It sets the timeout."""


@dataclass(frozen=True)
class Attempt:
    """The result of an attempt: the name of the shard, seconds, and the reason of a failure."""

    shard: str
    seconds: float
    failure: str | None = None


def attempt_shard(function: Callable[[ShardTask], object], parent: int, task: ShardTask) -> Attempt:
    """Run `function(task)` in a worker, which exits with the process `parent`.

    `BuilderError` and `OSError` (a full disk, say) are raised, since another attempt would fail as
    well. Any other exception becomes part of the result.
    """
    pool.exit_with_parent(parent)
    started = time.monotonic()
    failure = None
    try:
        function(task)
    except (BuilderError, OSError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"in {Path(frame.filename).name}, line {frame.lineno}"
        failure = f"{type(error).__name__}: {error} ({place})"
    return Attempt(task.shard.name, time.monotonic() - started, failure)


def build_shards(tasks: Iterable[ShardTask], options: BuildOptions, bar: pool.ProgressBar) -> None:
    """Build every shard, in rounds of attempts.

    Raises:
        BuildError: Shards failed `MAX_ATTEMPTS` times. The text names each with its last reason.
            All other shards are built.
    """
    pending = {task.shard.name: task for task in tasks}
    attempts = dict.fromkeys(pending, 0)
    given_up = {}
    while pending:
        group = [task for name, task in pending.items() if attempts[name] < MAX_ATTEMPTS - 1]
        group = group or [next(iter(pending.values()))]
        isolated = any(attempts[task.shard.name] for task in group)
        built, failed = Round(group, options, bar).run(isolated)
        for name in built:
            del pending[name]
        for name, reason in failed.items():
            attempts[name] += 1
            log.warning("%s failed (%d of %d): %s", name, attempts[name], MAX_ATTEMPTS, reason)
            if attempts[name] == MAX_ATTEMPTS:
                given_up[name] = reason
                del pending[name]
    if given_up:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in given_up.items())
        raise BuildError(
            f"given up after {MAX_ATTEMPTS} attempts: {reasons}; all other shards are kept, and "
            "the same call tries these again"
        )


class Round:
    """One attempt at each shard of a group."""

    def __init__(
        self, group: list[ShardTask], options: BuildOptions, bar: pool.ProgressBar
    ) -> None:
        self._group, self._options, self._bar = group, options, bar
        self._folder = group[0].folder
        self._pending = {task.shard.name: task for task in group}
        self._built: list[str] = []
        self._failures: dict[str, str] = {}

    def run(self, isolated: bool) -> tuple[list[str], dict[str, str]]:
        """Attempt the shards, in processes other than this one if `isolated`.

        Returns:
            The names of the built shards, and the reason of each failure by shard name. A shard
            that no worker has started is in neither.
        """
        names, hang_limit = list(self._pending), self._options.hang_limit
        progress.remove_heartbeats(self._folder, names)
        with Monitor(self._folder, names, hang_limit, self._bar.show) as monitor:
            try:
                for attempt in self._attempts(isolated):
                    signals.check()
                    monitor.slowest = max(monitor.slowest, attempt.seconds)
                    if attempt.failure is None:
                        self._count(attempt.shard)
                    else:
                        self._fail(attempt.shard, attempt.failure)
            except pool.WorkerError as error:
                self._blame(monitor.hangs, str(error))
        progress.remove_heartbeats(self._folder, names)
        return self._built, self._failures

    def _attempts(self, isolated: bool) -> Iterator[Attempt]:
        """Run the pool; yield each attempt as it ends."""
        workers, backend = self._options.workers, self._options.backend
        largest = max(task.shard.count for task in self._group)
        return pool.map_unordered(
            partial(attempt_shard, build_shard, os.getpid()),
            self._group,
            workers=pool.worker_count(workers, len(self._group), backend),
            backend=backend,
            isolated=isolated,
            timeout=max(self._options.hang_limit, largest / MIN_SPEED),
        )

    def _count(self, name: str) -> None:
        """Count a built shard."""
        shard = self._pending.pop(name).shard
        self._built.append(name)
        log.debug("%s: %d images", name, shard.count)
        self._bar.add(shard.count)

    def _fail(self, name: str, reason: str) -> None:
        """Note that an attempt has failed."""
        del self._pending[name]
        self._failures[name] = reason

    def _blame(self, hangs: dict[str, str], reason: str) -> None:
        """Blame the death of workers on shards: on those that hang, else those in progress.

        Where nothing is known of either, all pending shards are blamed, so that rounds end.
        """
        for name, task in list(self._pending.items()):
            if find_record(self._folder, task.config, task.shard):  # built, but the result was lost
                self._count(name)
        blamed = {name: hangs[name] for name in self._pending if name in hangs}
        if not blamed:
            started = progress.shards_in_progress(self._folder).intersection(self._pending)
            blamed = dict.fromkeys(started or self._pending, reason)
        for name in blamed:
            self._fail(name, blamed[name])
