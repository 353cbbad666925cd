"""The worker pool (joblib) and the progress bar (tqdm). No other module imports either."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Generic, Literal, TypeVar, get_args

from builder.common.errors import BuildError

Backend = Literal["loky", "threads", "sequential", "dask"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

PARENT_INTERVAL = 0.5
"""Seconds between two checks of a worker that its parent is alive."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    import joblib

    return int(joblib.cpu_count())


def worker_count(workers: int | None, tasks: int, backend: Backend) -> int:
    """Return how many workers to start.

    The size of a dask cluster can change, so one worker per task is assumed there.

    Args:
        workers: The most workers (default: all usable cores).
        tasks: Number of tasks.
        backend: How the workers run.

    Returns:
        At least 1, and at most `workers`, the usable cores and `tasks`.
    """
    cores = {"sequential": 1, "dask": tasks}.get(backend) or usable_cores()
    return max(1, min(workers or cores, cores, tasks))


class WorkerError(BuildError):
    """Workers died or hang; the results of their tasks are lost."""


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    backend: Backend,
    isolated: bool = False,
    timeout: float | None = None,
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in the order in which they end.

    One worker is this process itself, by the same path without a pool. Each worker process runs
    numerical libraries with one thread.

    Args:
        function: A function that worker processes can import.
        tasks: Arguments of the function, one for each call.
        workers: Number of workers, from 1.
        backend: How the workers run.
        isolated: Whether a single worker must be a process of its own ("loky" only).
        timeout: Seconds without any result after which a cluster is taken to hang. A cluster may
            wait for ever for a task that kills its workers.

    Raises:
        WorkerError: A worker died, or `timeout` has passed.
        Exception: Whatever the function raises.
    """
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    if backend == "dask":
        workers = -1
    elif isolated and backend == "loky":
        workers = max(workers, 2)  # joblib starts no process for one worker
    name = "sequential" if workers == 1 else backend.replace("threads", "threading")
    guard = ThreadGuard(function)
    options = {"inner_max_num_threads": 1} if name == "loky" else {}
    with joblib.parallel_config(backend=name, **options), warnings.catch_warnings():
        # the caller learns of it by the exception
        warnings.filterwarnings("ignore", message=".*cancelled", module="joblib")
        parallel = joblib.Parallel(
            n_jobs=workers,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2*n_jobs",
            timeout=timeout if name == "dask" else None,
        )
        call = joblib.delayed(guard if name == "threading" else function)
        try:
            yield from parallel(call(task) for task in tasks)
        except BrokenProcessPool as error:
            codes = re.search(r"\{(.*)\}", str(error))
            reason = codes[1] if codes else "killed, or out of memory?"
            raise WorkerError(f"a worker process died ({reason})") from None
        except multiprocessing.TimeoutError:
            raise WorkerError(f"no worker finished a shard for {timeout:.0f} s") from None
        finally:
            guard.close()


class ThreadGuard(Generic[Task, Result]):
    """A function for threads, which joblib neither joins nor stops after an error.

    It counts the threads that run it. After the first error it refuses further calls.
    """

    def __init__(self, function: Callable[[Task], Result]) -> None:
        self._function = function
        self._running, self._closed = 0, False
        self._changed = threading.Condition()

    def __call__(self, task: Task) -> Result:
        """Call the function. Raises `BuildError` if another call has failed."""
        with self._changed:
            if self._closed:
                raise BuildError("not started, since another shard failed")
            self._running += 1
        try:
            return self._function(task)
        except BaseException as error:
            self._closed = True
            if isinstance(error, Exception):
                raise
            raise BuildError("stopped") from None  # joblib's threads handle only `Exception`
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Refuse further calls, and wait for those that run: a block or a shard's time."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._running == 0)


class ProgressBar:
    """A progress bar on standard error, with images per second and the time left.

    Args:
        total: Images in all.
        done: Images that are there at the start.
        show: Whether the bar is drawn.
    """

    def __init__(self, total: int, done: int, *, show: bool) -> None:
        from tqdm import tqdm

        self._total, self._done = total, done
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
        shown = min(self._done + in_progress, self._total)
        self._bar.update(max(0, shown - self._bar.n))


@cache
def exit_with_parent(parent: int) -> None:
    """End this process soon after its parent has ended.

    The workers of a killed parent get no message and would wait for minutes. The first call starts
    a thread that watches the parent. Nothing is watched where process `parent` is not the parent
    of this one: for threads and other machines.
    """
    if os.getppid() == parent:
        threading.Thread(target=_wait_for_parent, args=(parent,), daemon=True).start()


def _wait_for_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_INTERVAL)
    os._exit(1)
