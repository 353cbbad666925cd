"""The tie of a worker process to its builder: when the builder is gone, the worker ends.

This module imports little, since a worker starts to watch once it is imported.
"""

from __future__ import annotations

import os
import select
import threading
from functools import cache
from multiprocessing.context import get_spawning_popen

INTERVAL = 500
"""Milliseconds between two checks of who the parent is."""


class Lifeline:
    """A pipe whose write end is open in one process alone, the builder.

    Handed to a worker that starts, it takes the read end along. Called in the worker, it begins to
    watch: the end of the file means that the builder is gone. A child that the builder forked may
    hold the write end, too, so the number of the parent is compared as well.
    """

    def __init__(self, builder: int, read_end: int) -> None:
        self.builder, self.read_end = builder, read_end

    def __reduce__(self) -> tuple[type[Lifeline], tuple[int, int]]:
        starting = get_spawning_popen()
        if starting is None:
            raise TypeError("a lifeline goes to a process that starts, and nowhere else")
        return Lifeline, (self.builder, starting.duplicate_for_child(self.read_end))

    def __call__(self) -> None:
        """Start the thread that watches, in a worker."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self.read_end, select.POLLIN)  # the end of the file is always reported
        while os.getppid() == self.builder and not poll.poll(INTERVAL):
            pass
        os._exit(1)


def lifeline() -> Lifeline:
    """Return the lifeline of this process. It is the same one for all workers that it starts."""
    return _open_lifeline(os.getpid())


@cache
def _open_lifeline(process: int) -> Lifeline:
    read_end, _write_end = os.pipe()  # which nobody closes: it is open as long as the process is
    return Lifeline(process, read_end)
