"""How far workers are with their shards: each tells it twice a second, through a small file.

The files lie in the output folder, so a worker on any machine that builds there is heard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder import files

FOLDER = files.TEMPORARY + "progress"
"""Where in an output folder the files lie, each under its shard's name."""

INTERVAL = 0.5
"""Seconds from one telling to the next."""


@contextmanager
def telling(folder: Path, name: str) -> Iterator[Callable[[int], None]]:
    """Yield what is to be called with the number of samples done of the shard `name`.

    A call costs nothing until an interval has passed. That the file cannot be written stops no
    shard; it is gone after the body.
    """
    path = folder / FOLDER / name
    told = time.monotonic()

    def tell(samples: int) -> None:
        nonlocal told
        if time.monotonic() - told < INTERVAL:
            return
        told = time.monotonic()
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(samples))

    try:
        yield tell
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def samples(folder: Path) -> int:
    """Return how many samples are done of the shards that are being made."""
    done = 0
    with suppress(OSError), os.scandir(folder / FOLDER) as entries:
        for entry in entries:
            with suppress(OSError, ValueError):  # just removed, or just being written
                done += int(Path(entry.path).read_text())
    return done
