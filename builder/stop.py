"""Being told to stop: signals noted, raised, and looked for once more where work allows it.

Python drops an exception that a signal raises inside a destructor or a library's callback.
So the signal is noted too, and long work calls `check` between its parts.
"""

from __future__ import annotations

import signal
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


def check() -> None:
    """Raise `Stopped` if a signal was noted while listening."""
    if _noted:
        raise Stopped(_noted[0])


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    raise Stopped(number)
