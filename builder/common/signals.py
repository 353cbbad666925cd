"""Being told to stop: signals held back where they would do harm, and looked for between steps.

An exception that a signal raises inside a library's callback can crash the process, and Python
drops one raised inside a destructor. So a signal is noted, and `check` raises it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_noted: list[int] = []


class StopRequested(KeyboardInterrupt):
    """The process was told to stop, by signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `StopRequested` in the body, at once or at the next `check`."""
    with _handled(_note_and_raise):
        try:
            yield
        finally:
            _noted.clear()


@contextmanager
def defer_signals() -> Iterator[None]:
    """Let signals raise `StopRequested` in the body at the next `check` only.

    One that no `check` has met is raised again after the body, for whoever handled it before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    listened = any(signal.getsignal(number) is _note_and_raise for number in SIGNALS)
    try:
        with _handled(_note):
            yield
    except StopRequested:
        if not listened:  # told whoever called; no later work is to stop for it
            _noted.clear()
        raise
    if _noted:
        number = _noted[0]
        _noted.clear()
        signal.raise_signal(number)


def check() -> None:
    """Raise `StopRequested` if a signal was noted."""
    if _noted:
        raise StopRequested(_noted[0])


@contextmanager
def _handled(handler: object) -> Iterator[None]:
    """Give the signals to `handler` in the body, but those that this process ignores."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [n for n in SIGNALS if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = [(n, signal.signal(n, handler)) for n in heard]  # type: ignore[arg-type]  # ours
    try:
        yield
    finally:
        for number, standing in before:
            signal.signal(number, standing)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)


def _note_and_raise(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    raise StopRequested(number)
