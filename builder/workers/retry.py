"""Shards made round by round, whatever becomes of workers, until each is made or given up."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from builder.common import signals
from builder.common.errors import BuilderError, BuildError
from builder.common.log import log
from builder.storage.output_folder import OutputFolder
from builder.workers import pool, progress
from builder.workers.options import BuildOptions
from builder.workers.progress import Watch
from builder.workers.shard import ShardTask, build_shard, finished

TRIES = 3
"""Failures after which a shard is given up. After one less it is made alone, so that it costs no
other shard its worker, and is not blamed for another."""

LEAST_SPEED = 100
"""Images a second that a worker of a cluster makes at least: it is waited for so long."""


@dataclass(frozen=True)
class Attempt:
    """What came of trying to make a shard: seconds that it took, and what it failed of."""

    number: int
    seconds: float
    failure: str | None = None


class Trying:
    """What workers run: a function that makes a shard, its errors results where a try may help.

    `builder` is the process that workers are to end with.
    """

    def __init__(self, function: Callable[[ShardTask], object], builder: int) -> None:
        self._function, self._builder = function, builder

    def __call__(self, task: ShardTask) -> Attempt:
        """Make a shard. What another try would meet again (a full disk, say) is raised."""
        pool.end_with(self._builder)
        began = time.monotonic()
        try:
            self._function(task)
        except (BuilderError, OSError):
            raise
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"in {Path(at.filename).name}, line {at.lineno}"
            failure = f"{type(error).__name__}: {error} ({where})"
            return Attempt(task.number, time.monotonic() - began, failure)
        return Attempt(task.number, time.monotonic() - began)


def make_all(tasks: Iterable[ShardTask], run: BuildOptions, bar: pool.Bar) -> None:
    """Make every shard.

    Raises `BuildError` that names each shard that failed three times and what of, when all
    others are made.
    """
    waiting = {task.number: task for task in tasks}
    failures: dict[int, list[str]] = {number: [] for number in waiting}
    given_up = {}
    while waiting:
        trusted = [task for n, task in waiting.items() if len(failures[n]) < TRIES - 1]
        group = trusted or [next(iter(waiting.values()))]
        apart = any(failures[task.number] for task in group)
        for number, reason in _round(group, run, bar, apart, waiting.pop).items():
            failures[number].append(reason)
            name = waiting[number].shard.name
            log.warning("%s failed (%d of %d): %s", name, len(failures[number]), TRIES, reason)
            if len(failures[number]) == TRIES:
                given_up[name] = reason
                del waiting[number]
    if given_up:
        told = "; ".join(f"{name}: {reason}" for name, reason in given_up.items())
        raise BuildError(
            f"given up after {TRIES} tries: {told}; all other shards are kept, and the same call "
            "tries these again"
        )


def _round(
    group: list[ShardTask],
    run: BuildOptions,
    bar: pool.Bar,
    apart: bool,
    made: Callable[[int], ShardTask],
) -> dict[int, str]:
    """Try to make each shard of a group once, and call `made` with the number of each that is.

    Returns why others failed. One that was not begun is neither made nor failed.
    """
    folder, names = group[0].folder, {task.shard.name: task for task in group}
    failed: dict[int, str] = {}
    waiting = {task.number: task for task in group}

    def count(number: int) -> None:
        shard = waiting.pop(number).shard
        made(number)
        log.debug("%s: %d images", shard.name, shard.count)
        bar.count(shard.count)

    trying = Trying(build_shard, os.getpid())
    workers = pool.processes_for(run.workers, len(group), run.backend)
    patience = max(run.hang_limit, max(task.shard.count for task in group) / LEAST_SPEED)
    progress.forget(folder, names)
    with Watch(folder, names, run.hang_limit, bar.show) as watch:
        try:
            for attempt in pool.run(trying, group, workers, run.backend, apart, patience):
                signals.check()
                watch.slowest = max(watch.slowest, attempt.seconds)
                if attempt.failure is None:
                    count(attempt.number)
                else:
                    failed[attempt.number] = attempt.failure
                    del waiting[attempt.number]
        except pool.WorkersDied as died:
            for task in list(waiting.values()):  # some were made, and their results lost
                if finished(folder, task.plan, task.shard):
                    count(task.number)
            failed |= _blamed(folder, waiting, watch.hung, str(died))
    progress.forget(folder, names)
    return failed


def _blamed(
    folder: OutputFolder, waiting: dict[int, ShardTask], hung: dict[str, str], reason: str
) -> dict[int, str]:
    """Return the shards to blame for workers that died, each with the reason.

    Those that hung, or else those that were begun, or else all: one at least, so rounds end.
    """
    of_names = {task.shard.name: number for number, task in waiting.items()}
    told = {of_names[name]: why for name, why in hung.items() if name in of_names}
    begun = progress.begun(folder)
    suspects = [number for name, number in of_names.items() if name in begun]
    return told or dict.fromkeys(suspects or waiting, reason)
