"""The worker pool (joblib) and progress (tqdm): nothing else knows of either."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Literal, TypeVar, get_args

from builder.errors import BuildFailed
from builder.underway import INTERVAL

Backend = Literal["loky", "threads", "sequential"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
JOBLIB_NAMES = {"loky": "loky", "threads": "threading", "sequential": "sequential"}

Task = TypeVar("Task")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use, by affinity and container limits."""
    import joblib

    return int(joblib.cpu_count())


def processes_for(workers: int | None, tasks: int, backend: Backend) -> int:
    """Return how many workers run: at most `workers` (all cores if None), cores, and tasks."""
    cores = 1 if backend == "sequential" else usable_cores()
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
        """Call the function. Raises `BuildFailed` once another call has failed."""
        with self._changed:
            if self._failed:
                raise BuildFailed("not begun, since another shard failed")
            self._inside += 1
        try:
            return self._function(task)
        except BaseException as error:
            self._failed = True
            if isinstance(error, Exception):
                raise
            raise BuildFailed("stopped") from None  # joblib's threads know exceptions only
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def wait(self) -> None:
        """Let no thread in any more, and wait until none is inside: a block or a shard's time."""
        with self._changed:
            self._failed = True
            self._changed.wait_for(lambda: self._inside == 0)


def run(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, backend: Backend
) -> Iterator[Result]:
    """Yield `function(task)` of every task as it is done, in any order.

    One worker runs in the process itself, by the same path without a pool. A worker starts
    with one thread for each library. Raises `BuildFailed` where a worker dies; what a task
    raises comes through as it is.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    name = JOBLIB_NAMES["sequential" if workers == 1 else backend]
    threaded = Threaded(function)
    function = threaded if name == "threading" else function
    threads = {"inner_max_num_threads": 1} if name == "loky" else {}
    with joblib.parallel_config(backend=name, **threads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cancelled", module="joblib")  # known by then
        parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )
        try:
            yield from parallel(joblib.delayed(function)(task) for task in tasks)
        except TerminatedWorkerError:
            raise BuildFailed(
                "a worker process died (killed, or out of memory?); the same call goes on from "
                "the shards that are finished"
            ) from None
        finally:
            threaded.wait()


@contextmanager
def progress(
    total: int, before: int, show: bool, under_way: Callable[[], int]
) -> Iterator[Callable[[int], None]]:
    """Show images per second and time left on standard error; yield what counts images done.

    `total` images are to be, `before` were there at the start. `under_way` is asked twice a
    second how many are done besides those counted, and is not always exact: what is shown
    never goes back.
    """
    from tqdm import tqdm

    done, ended = before, threading.Event()

    def count(images: int) -> None:
        nonlocal done
        done += images

    with tqdm(
        total=total, initial=before, disable=not show, unit=" images",
        smoothing=0.1, dynamic_ncols=True,
    ) as bar:  # fmt: skip

        def follow() -> None:
            while not ended.wait(INTERVAL):
                bar.update(max(0, min(done + under_way(), total) - bar.n))

        follower = threading.Thread(target=follow, daemon=True)
        if show:
            follower.start()
        try:
            yield count
        finally:
            ended.set()
            if show:
                follower.join()
            bar.update(done - bar.n)
