"""The program's log, and handlers that receive it for a while."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("builder")


class LogFile(logging.FileHandler):
    """A log file with times and the host's name. Errors in writing it are ignored."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, delay=True, encoding="utf-8")
        self.setFormatter(logging.Formatter(f"%(asctime)s {platform.node()} %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop the line. A full disk is reported by the writers of the dataset."""


@contextmanager
def log_to(handler: logging.Handler, level: int = logging.INFO) -> Iterator[None]:
    """Send log lines of the body to `handler`, from `level` or a lower level set already."""
    previous = log.level
    log.setLevel(min(previous or level, level))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(previous)
        handler.close()
