"""What users are told: the one family of errors, each with an exit code of its own, and the log."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


def one_line(text: str) -> str:
    """Return a text as one line that moves no cursor: what is not printable is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _format_on_one_line(record: logging.LogRecord) -> bool:
    record.msg, record.args = one_line(record.getMessage()), ()
    return True


log = logging.getLogger("builder")
"""The program's log. Each record is one line, whoever handles it."""

log.addFilter(_format_on_one_line)


class BuilderError(Exception):
    """Anything that goes wrong for a reason a user can act on.

    The text is one line: what was given, what was expected, what to do. The
    command line prints it without a traceback and ends with `exit_code`.
    """

    exit_code = 1

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class UsageError(BuilderError, ValueError):
    """The call was wrong: a value out of range, a bad file, a folder in use."""

    exit_code = 2


class BuildError(BuilderError):
    """The call was right, but the run could not be finished (a full disk, a dead worker)."""


class DatasetError(BuilderError):
    """A dataset on disk is incomplete, damaged, or not of this program's making."""


def open_closed_streams() -> None:
    """Open the null device in place of standard streams of this process that are closed.

    Their numbers must not become those of files that are opened later, and worker processes need
    them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # where it was closed when Python started
            null = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(null, "w", encoding="utf-8", errors="backslashreplace"))


class LogFile(logging.FileHandler):
    """A log file with times and the host's name, opened by the first line that it gets.

    Errors in opening and writing it are ignored.

    Args:
        path: The file.
        open_file: Opens it.
    """

    def __init__(self, path: Path, open_file: Callable[[], TextIO]) -> None:
        super().__init__(path, delay=True)
        self._open_file = open_file
        self.setFormatter(logging.Formatter(f"%(asctime)s {platform.node()} %(message)s"))

    def _open(self) -> TextIO:  # type: ignore[override]
        return self._open_file()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        with suppress(OSError):  # of opening; those of writing go to `handleError`
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop the line. A full disk is reported by the writers of the dataset."""


@contextmanager
def log_to(handler: logging.Handler, level: int = logging.INFO) -> Iterator[None]:
    """Send log lines of the body to `handler`, from `level` on. Other handlers may get more."""
    previous = log.level
    handler.setLevel(level)
    log.setLevel(min(previous or level, level))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(previous)
        handler.close()
