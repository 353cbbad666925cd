"""Attempts at shards, repeated until each shard is built or has failed too often."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from builder.common import signals
from builder.common.errors import BuilderError, BuildError, log
from builder.storage.output_folder import OutputFolder
from builder.workers import pool, progress
from builder.workers.options import BuildOptions
from builder.workers.progress import Monitor
from builder.workers.shard import ShardTask, build_shard, read_valid_record

MAX_ATTEMPTS = 3
"""Failed attempts after which a shard is given up. The last attempt runs alone, so that a crash
costs no other shard its worker and cannot be blamed on the wrong shard."""


@dataclass(frozen=True)
class Attempt:
    """The result of an attempt: the name of the shard, seconds, and the reason of a failure."""

    shard: str
    seconds: float = 0.0
    failure: str | None = None


def attempt_shard(function: Callable[[ShardTask], object], task: ShardTask) -> Attempt:
    """Run `function(task)` in a worker.

    `BuilderError` and `OSError` (a full disk, say) are raised, since another attempt would fail as
    well. Any other exception becomes part of the result.
    """
    started, failure = time.monotonic(), None
    try:
        function(task)
    except (BuilderError, OSError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"in {Path(frame.filename).name}, line {frame.lineno}"
        failure = f"{type(error).__name__}: {error} ({place})"
    return Attempt(task.shard.name, time.monotonic() - started, failure)


def build_with_retries(
    tasks: Iterable[ShardTask], options: BuildOptions, bar: pool.ProgressBar
) -> None:
    """Build every shard, in rounds of attempts.

    Raises:
        BuildError: Shards failed `MAX_ATTEMPTS` times. The text names each with its last reason.
            All other shards are built.
    """
    pending = {task.shard.name: task for task in tasks}
    failures = dict.fromkeys(pending, 0)
    given_up = []
    while pending:
        group = [task for name, task in pending.items() if failures[name] < MAX_ATTEMPTS - 1]
        group = group or [next(iter(pending.values()))]
        isolated = any(failures[task.shard.name] for task in group)
        with closing(attempt_group(group, options, bar.show, isolated)) as attempts:
            for attempt in attempts:
                name, reason = attempt.shard, attempt.failure
                if reason is None:
                    images = pending.pop(name).shard.count
                    log.debug("%s: %d images", name, images)
                    bar.add(images)
                    continue
                failures[name] += 1
                log.warning("%s failed (%d of %d): %s", name, failures[name], MAX_ATTEMPTS, reason)
                if failures[name] == MAX_ATTEMPTS:
                    given_up.append(f"{name}: {reason}")
                    del pending[name]
    if given_up:
        raise BuildError(
            f"given up after {MAX_ATTEMPTS} attempts: {'; '.join(given_up)}; all other shards are "
            "kept, and the same call tries these again"
        )


def attempt_group(
    group: list[ShardTask], options: BuildOptions, report: Callable[[int], None], isolated: bool
) -> Generator[Attempt, None, None]:
    """Attempt each shard of a group once; yield the attempts as they end.

    If a worker dies, the attempts at shards that no worker has started are not yielded.

    Args:
        group: The tasks, at least one.
        options: How to build.
        report: Called twice a second with the samples rendered of all shards in progress.
        isolated: Whether the attempts must run in processes other than this one.
    """
    folder = group[0].folder
    running = {task.shard.name: task for task in group}
    names = list(running)
    timeout = options.task_limit(max(task.shard.count for task in group))
    if options.backend == "loky":
        timeout *= 2  # the monitor sees a worker that hangs in a shard sooner, and which one it is
    progress.remove_heartbeats(folder, names)  # of dead workers
    attempts = pool.map_unordered(
        partial(attempt_shard, build_shard), group, options, isolated=isolated, timeout=timeout
    )
    monitor = Monitor(folder, names, options.hang_limit, report)
    with monitor, closing(attempts):
        try:
            for attempt in attempts:
                signals.check()
                monitor.slowest = max(monitor.slowest, attempt.seconds)
                del running[attempt.shard]
                yield attempt
        except pool.WorkerError as error:
            yield from blame_shards(folder, running, monitor.hangs, str(error))


def blame_shards(
    folder: OutputFolder, running: dict[str, ShardTask], hangs: dict[str, str], reason: str
) -> Generator[Attempt, None, None]:
    """Blame the death of workers on shards: on those that hang, else those in progress.

    Where nothing is known of either, all shards are blamed, so that rounds end. A shard that is
    built, but whose result was lost, has succeeded.
    """
    built = [n for n, task in running.items() if read_valid_record(folder, task.config, task.shard)]
    yield from (Attempt(name) for name in built)
    left = [name for name in running if name not in built]
    in_progress = progress.shards_in_progress(folder).intersection(left)
    blamed = {name: hangs[name] for name in left if name in hangs}
    blamed = blamed or dict.fromkeys(in_progress or left, reason)
    yield from (Attempt(name, failure=blamed[name]) for name in blamed)
