"""Being told to stop: signals noted, raised, and looked for once more where work allows it.

Python drops an exception that a signal raises inside a destructor or a library's callback.
So the signal is noted too, and long work calls `check` between its parts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_noted: list[int] = []


class Stopped(BaseException):
    """The process was told to stop, by signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def listening() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `Stopped` in the body; give their handling back after it."""
    before = [(number, signal.signal(number, _note)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        _noted.clear()


@contextmanager
def deferred() -> Iterator[None]:
    """Hold signals back while a library runs that an exception in a callback would crash.

    They are raised after the body, in the way that stood before it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    held: list[int] = []
    before = [(n, signal.signal(n, lambda number, _: held.append(number))) for n in SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        for noted in held[:1]:
            signal.raise_signal(noted)


def check() -> None:
    """Raise `Stopped` if a signal was noted while listening."""
    if _noted:
        raise Stopped(_noted[0])


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    raise Stopped(number)
