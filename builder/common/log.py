"""The program's log, and places where it is written for a while."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("builder")


class LogFile(logging.FileHandler):
    """A log file with times and the host's name. That it cannot be written stops nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, delay=True, encoding="utf-8")
        self.setFormatter(logging.Formatter(f"%(asctime)s {platform.node()} %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Let the line go: a full disk is told of where it matters."""


@contextmanager
def log_to(handler: logging.Handler, level: int = logging.INFO) -> Iterator[None]:
    """Send the body's log lines to `handler`, from `level` on if not more were asked for."""
    standing = log.level
    log.setLevel(min(standing or level, level))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(standing)
        handler.close()
