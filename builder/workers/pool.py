"""The worker pool (joblib) and progress (tqdm): nothing else knows of either."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, Literal, TypeVar, get_args

from builder.common.errors import BuildError

Backend = Literal["loky", "threads", "sequential", "dask"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
JOBLIB_NAMES = {"loky": "loky", "threads": "threading", "sequential": "sequential", "dask": "dask"}

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    import joblib

    return int(joblib.cpu_count())


def processes_for(workers: int | None, tasks: int, backend: Backend) -> int:
    """Return how many workers run: at most `workers` (all cores if None), cores, and tasks.

    Of a cluster's nobody knows how many cores there will be: as many as there are tasks.
    """
    cores = {"sequential": 1, "dask": tasks}.get(backend) or usable_cores()
    return max(1, min(workers or cores, cores, tasks))


class Threaded(Generic[Task, Result]):
    """A function for threads, which joblib neither waits for nor ends after an error.

    It counts the threads inside, and after the first error lets no other in.
    """

    def __init__(self, function: Callable[[Task], Result]) -> None:
        self._function = function
        self._inside, self._failed = 0, False
        self._changed = threading.Condition()

    def __call__(self, task: Task) -> Result:
        """Call the function. Raises `BuildError` once another call has failed."""
        with self._changed:
            if self._failed:
                raise BuildError("not begun, since another shard failed")
            self._inside += 1
        try:
            return self._function(task)
        except BaseException as error:
            self._failed = True
            if isinstance(error, Exception):
                raise
            raise BuildError("stopped") from None  # joblib's threads know exceptions only
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        """Let no thread in any more, and wait until none is inside: a block or a shard's time."""
        with self._changed:
            self._failed = True
            self._changed.wait_for(lambda: self._inside == 0)


class WorkersDied(BuildError):
    """The pool broke, and whatever its workers were doing is lost. The text says what happened."""


def run(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    backend: Backend,
    apart: bool = False,
    patience: float | None = None,
) -> Iterator[Result]:
    """Yield `function(task)` of every task as it is done, in any order.

    One worker runs in the process itself, by the same path without a pool, unless it must run
    `apart` (and can: backend "loky"). A worker process starts with one thread for each library.
    Raises `WorkersDied` where one dies, or where a cluster, which may never say that, has
    finished no task for `patience` seconds; what a task raises comes through as it is.
    """
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    if backend == "dask":
        workers = -1
    elif apart and backend == "loky":
        workers = max(workers, 2)  # joblib makes no process for one
    name = JOBLIB_NAMES["sequential" if workers == 1 else backend]
    threaded = Threaded(function)
    function = threaded if name == "threading" else function
    threads = {"inner_max_num_threads": 1} if name == "loky" else {}
    with joblib.parallel_config(backend=name, **threads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cancelled", module="joblib")  # known by then
        parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1,
            pre_dispatch="2*n_jobs", timeout=patience if name == "dask" else None,
        )  # fmt: skip
        try:
            yield from parallel(joblib.delayed(function)(task) for task in tasks)
        except BrokenProcessPool as error:
            codes = re.search(r"\{(.*)\}", str(error))
            how = codes[1] if codes else "killed, or out of memory?"
            raise WorkersDied(f"a worker process died ({how})") from None
        except multiprocessing.TimeoutError:
            raise WorkersDied(f"no worker finished a shard for {patience:.0f} s") from None
        finally:
            threaded.wait()


class Bar:
    """A progress bar: images per second and time left, on standard error."""

    def __init__(self, bar: Any, total: int) -> None:
        self._bar, self._total, self._done = bar, total, int(bar.n)

    def count(self, images: int) -> None:
        """Count images that are done."""
        self._done += images

    def show(self, under_way: int) -> None:
        """Show those counted and, roughly, what is under way. What is shown never goes back."""
        self._bar.update(max(0, min(self._done + under_way, self._total) - self._bar.n))


@contextmanager
def progress(total: int, before: int, show: bool) -> Iterator[Bar]:
    """Yield a bar, shown if asked for: `total` images are to be, `before` are there."""
    from tqdm import tqdm

    with tqdm(
        total=total, initial=before, disable=not show, unit=" images",
        smoothing=0.1, dynamic_ncols=True,
    ) as shown:  # fmt: skip
        bar = Bar(shown, total)
        try:
            yield bar
        finally:
            bar.show(0)


INTERVAL = 0.5
"""Seconds from one look at the parent to the next."""


@cache
def end_with(parent: int) -> None:
    """End this process soon after its parent, process `parent`, has ended.

    A parent that was killed tells its workers nothing, and they would wait for it for minutes.
    The first call begins to watch; where `parent` is another process than this one's parent
    (threads, other machines), none is watched.
    """
    if os.getppid() == parent:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
