"""Signals that stop the program: deferred where an exception would do harm, checked between steps.

An exception raised by a signal inside a library's callback can crash the process, and Python
drops an exception raised inside a destructor. So the handler notes the signal, and `check` raises.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_noted: list[int] = []


class StopRequested(KeyboardInterrupt):
    """Signal `number` asked the process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def raise_on_signal(*, last: bool = False) -> Iterator[None]:
    """Make SIGINT and SIGTERM raise `StopRequested` in the body, at once or at the next `check`.

    If the body is the `last` work of the process, signals after it are ignored. What Python drops
    in a destructor is not printed: the next `check` raises it.
    """
    print_dropped = sys.unraisablehook

    def print_but_stops(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, StopRequested):
            print_dropped(dropped)

    sys.unraisablehook = print_but_stops
    with _handle_signals(_note_and_raise, signal.SIG_IGN if last else None):
        try:
            yield
        finally:
            _noted.clear()
            sys.unraisablehook = print_dropped


@contextmanager
def defer_signals() -> Iterator[None]:
    """Make signals raise `StopRequested` in the body at the next `check` only.

    A signal that no `check` has raised is sent again after the body, to the previous handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    caller_raises = any(signal.getsignal(number) is _note_and_raise for number in SIGNALS)
    try:
        with _handle_signals(_note):
            yield
    except StopRequested:
        if not caller_raises:  # the exception tells the caller; no later call may raise it again
            _noted.clear()
        raise
    if _noted:
        number = _noted[0]
        _noted.clear()
        signal.raise_signal(number)


@contextmanager
def block_interrupt() -> Iterator[None]:
    """Let SIGINT wait until the body ends. Processes that the body starts never get it.

    A terminal sends Ctrl-C to all processes of a command; the one that started them ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check() -> None:
    """Raise `StopRequested` if a signal has arrived."""
    if _noted:
        raise StopRequested(_noted[0])


@contextmanager
def _handle_signals(
    handler: Callable[[int, FrameType | None], None], after: signal.Handlers | None = None
) -> Iterator[None]:
    """Set `handler` for the signals in the body, except those that this process ignores.

    After the body the handlers are `after`, or those before it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [n for n in SIGNALS if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = [(n, signal.signal(n, handler)) for n in handled]
    try:
        yield
    finally:
        for number, previous in before:
            signal.signal(number, previous if after is None else after)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)


def _note_and_raise(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    if len(_noted) == 1:  # the first one unwinds the stack; another would cut that short
        raise StopRequested(number)
