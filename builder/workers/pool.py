"""The worker pool (joblib) and the progress bar (tqdm). No other module imports either."""

from __future__ import annotations

import multiprocessing.resource_tracker
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from functools import cache
from typing import Literal, TypeVar

from builder.common import signals
from builder.common.errors import BuildError, UsageError, log, open_closed_streams
from builder.common.validation import format_value
from builder.workers import processes
from builder.workers.options import BuildOptions

LINE_INTERVAL = 30
"""Seconds between two lines on the progress of a build whose standard error is no terminal."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    import joblib

    try:
        return int(joblib.cpu_count())
    except ValueError:
        name = "LOKY_MAX_CPU_COUNT"
        raise UsageError(
            f"the environment variable {name} is {format_value(os.environ.get(name))}, "
            "expected a whole number from 1; unset it for all cores"
        ) from None


def worker_count(options: BuildOptions, tasks: int) -> int:
    """Return how many workers to start for a number of tasks.

    It is at least 1, and at most the workers asked for, the usable cores and `tasks`. The size of
    a dask cluster can change, so one worker per task is assumed there.
    """
    cores = {"sequential": 1, "dask": tasks}.get(options.backend) or usable_cores()
    return max(1, min(options.workers or cores, cores, tasks))


def describe_workers(options: BuildOptions, tasks: int) -> str:
    """Return who builds the shards, for the log."""
    if options.scheduler:
        return f"workers: those of {options.scheduler}"
    workers = worker_count(options, tasks)
    asked = "" if options.workers in (None, workers) else f" of the {options.workers} asked for"
    return f"workers: {workers}{asked}; usable cores: {usable_cores()}"


class WorkerError(BuildError):
    """Workers died or hang; the results of their tasks are lost."""


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    options: BuildOptions,
    *,
    isolated: bool = False,
    timeout: float | None = None,
) -> Generator[Result, None, None]:
    """Yield `function(task)` for every task, in the order in which they end.

    One worker is this process itself. Each worker process runs numerical libraries with one
    thread. After an error no further task is started, and threads that run are waited for.

    Args:
        function: A function that worker processes can import.
        tasks: Arguments of the function, one for each call.
        options: The most workers, and how they run.
        isolated: Whether a single worker must be a process of its own ("loky" only).
        timeout: Seconds without any result after which worker processes are ended, or a cluster is
            left. Workers may hang before their first task, and a cluster may wait for ever for a
            task that kills its workers.

    Raises:
        WorkerError: A worker died, or `timeout` has passed.
        Exception: Whatever the function raises.
    """
    workers = worker_count(options, len(tasks))
    if options.backend == "dask":
        yield from _map_by_joblib(function, tasks, "dask", -1, timeout)
    elif options.backend == "loky" and (isolated or workers > 1):
        # joblib starts no process for one worker
        yield from _map_by_joblib(function, tasks, "loky", max(workers, 2), timeout)
    elif workers > 1:
        yield from _map_in_threads(function, tasks, workers)
    else:
        yield from map(function, tasks)


def _map_by_joblib(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    name: Literal["loky", "dask"],
    workers: int,
    timeout: float | None = None,
) -> Generator[Result, None, None]:
    """Use processes of this machine ("loky") or of a cluster ("dask")."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    open_closed_streams()
    late = f"no worker finished a shard for {timeout:.0f} s" if timeout else ""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # the caller learns of it by the exception
        warnings.filterwarnings("ignore", message=".*cancelled", module="joblib")
        # idle ones end, and are replaced
        warnings.filterwarnings("ignore", message="A worker stopped while", module="joblib")
        watch = processes.Watch(timeout if name == "loky" else None)
        try:
            with processes.start_environment():
                backend = _tied_backend() if name == "loky" else name
                stack.enter_context(joblib.parallel_config(backend=backend))
                parallel = joblib.Parallel(
                    n_jobs=workers,
                    return_as="generator_unordered",
                    batch_size=1,
                    pre_dispatch="2*n_jobs",
                    timeout=timeout if name == "dask" else None,
                )
                with signals.block_interrupt():
                    results = parallel(joblib.delayed(function)(task) for task in tasks)
            stack.enter_context(watch)
            stack.enter_context(closing(results))  # now, and not when an error is forgotten
            for result in results:
                watch.reset()
                yield result
        except BrokenProcessPool as error:
            codes = re.search(r"\{(.*)\}", str(error))
            reason = codes[1] if codes else "killed, or out of memory?"
            raise WorkerError(
                late if watch.ended else f"a worker process died ({reason})"
            ) from None
        except multiprocessing.TimeoutError:
            raise WorkerError(late) from None


def _tied_backend() -> object:
    """Return joblib's backend "loky" with workers that end with this process."""
    from joblib.externals.loky.backend import resource_tracker as own_tracker
    from joblib.parallel import LokyBackend

    _leave_pool_to_parents()
    for tracker in (own_tracker, multiprocessing.resource_tracker):
        tracker.ensure_running()  # each unblocks SIGINT in this process when it starts

    class TiedBackend(LokyBackend):  # type: ignore[misc]  # joblib has no types
        def configure(self, *arguments: object, **settings: object) -> object:
            return super().configure(*arguments, **settings, initializer=processes.lifeline())

    return TiedBackend(inner_max_num_threads=1)


@cache
def _leave_pool_to_parents() -> None:
    """Let processes that this one forks start a pool of their own: they cannot use this one's."""
    from joblib.externals.loky import reusable_executor

    def forget() -> None:  # no public way leaves the parent's workers alone
        reusable_executor._executor = None
        multiprocessing.process._children.clear()  # type: ignore[attr-defined]

    os.register_at_fork(after_in_child=forget)


def _map_in_threads(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Generator[Result, None, None]:
    """Use a pool that can be waited for; joblib neither joins nor stops threads after an error."""
    executor = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([executor.submit(function, task) for task in tasks]):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


class ProgressBar:
    """A progress bar on standard error, with images per second and the time left.

    Where standard error is no terminal, such as in the log of a batch system, the bar is a line of
    the log every `LINE_INTERVAL` seconds.

    Args:
        total: Images in all.
        done: Images that are there at the start.
        show: Whether the bar is drawn, or its lines are written.
    """

    def __init__(self, total: int, done: int, *, show: bool) -> None:
        from tqdm import tqdm

        draw = show and ("ipykernel" in sys.modules or (sys.stderr and sys.stderr.isatty()))
        self._total, self._done, self._shown = total, done, done
        self._start = self._last_line = time.monotonic()
        self._initial, self._lines = done, show and not draw
        self._bar = tqdm(
            total=total,
            initial=done,
            disable=not draw,
            unit=" images",
            smoothing=0.1,
            dynamic_ncols=True,
        )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.show(0)
        self._bar.close()

    def add(self, images: int) -> None:
        """Count finished images."""
        self._done += images

    def show(self, in_progress: int) -> None:
        """Show the finished images and those in progress. The bar never moves back."""
        images = min(self._done + in_progress, self._total)
        self._bar.update(max(0, images - self._shown))
        self._shown = max(self._shown, images)
        now = time.monotonic()
        if self._lines and now - self._last_line >= LINE_INTERVAL and images < self._total:
            self._last_line = now
            speed = (self._shown - self._initial) / (now - self._start)
            log.info("%d of %d images, %.0f images/s", self._shown, self._total, speed)
