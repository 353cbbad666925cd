"""The worker pool (joblib) and the progress bar (tqdm). No other module imports either."""

from __future__ import annotations

import multiprocessing
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Literal, TypeVar

from builder.common.errors import BuildError
from builder.workers.lifeline import lifeline
from builder.workers.options import BuildOptions

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    import joblib

    return int(joblib.cpu_count())


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
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in the order in which they end.

    One worker is this process itself. Each worker process runs numerical libraries with one
    thread. After an error no further task is started, and threads that run are waited for.

    Args:
        function: A function that worker processes can import.
        tasks: Arguments of the function, one for each call.
        options: The most workers, and how they run.
        isolated: Whether a single worker must be a process of its own ("loky" only).
        timeout: Seconds without any result after which a cluster is taken to hang. A cluster may
            wait for ever for a task that kills its workers.

    Raises:
        WorkerError: A worker died, or `timeout` has passed.
        Exception: Whatever the function raises.
    """
    workers = worker_count(options, len(tasks))
    if options.backend == "dask":
        yield from _map_by_joblib(function, tasks, "dask", -1, timeout)
    elif options.backend == "loky" and (isolated or workers > 1):
        # joblib starts no process for one worker
        yield from _map_by_joblib(function, tasks, "loky", max(workers, 2))
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
) -> Iterator[Result]:
    """Use processes of this machine ("loky") or of a cluster ("dask")."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    backend = _tied_backend() if name == "loky" else name
    with joblib.parallel_config(backend=backend), warnings.catch_warnings():
        # the caller learns of it by the exception
        warnings.filterwarnings("ignore", message=".*cancelled", module="joblib")
        parallel = joblib.Parallel(
            n_jobs=workers,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2*n_jobs",
            timeout=timeout,
        )
        try:
            yield from parallel(joblib.delayed(function)(task) for task in tasks)
        except BrokenProcessPool as error:
            codes = re.search(r"\{(.*)\}", str(error))
            reason = codes[1] if codes else "killed, or out of memory?"
            raise WorkerError(f"a worker process died ({reason})") from None
        except multiprocessing.TimeoutError:
            raise WorkerError(f"no worker finished a shard for {timeout:.0f} s") from None


def _tied_backend() -> object:
    """Return joblib's backend "loky" with workers that end with this process."""
    from joblib.parallel import LokyBackend

    class TiedBackend(LokyBackend):  # type: ignore[misc]  # joblib has no types
        def configure(self, *arguments: object, **settings: object) -> object:
            return super().configure(*arguments, **settings, initializer=lifeline())

    return TiedBackend(inner_max_num_threads=1)


def _map_in_threads(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Iterator[Result]:
    """Use a pool that can be waited for; joblib neither joins nor stops threads after an error."""
    executor = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([executor.submit(function, task) for task in tasks]):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


class ProgressBar:
    """A progress bar on standard error, with images per second and the time left.

    Args:
        total: Images in all.
        done: Images that are there at the start.
        show: Whether the bar is drawn.
    """

    def __init__(self, total: int, done: int, *, show: bool) -> None:
        from tqdm import tqdm

        self._done = done
        self._bar = tqdm(
            total=total,
            initial=done,
            disable=not show,
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
        """Draw the finished images and those in progress. The bar never moves back."""
        images = min(self._done + in_progress, self._bar.total)
        self._bar.update(max(0, images - self._bar.n))
