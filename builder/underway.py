"""How far workers are with their shards: each tells it twice a second, through a small file.

The files lie in the output folder, so a worker on any machine that builds there is heard. One
that a worker leaves behind tells which shard it died of.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from builder import files

FOLDER = files.TEMPORARY + "progress"
"""Where in an output folder the files lie, each under its shard's name."""

INTERVAL = 0.5
"""Seconds from one telling to the next."""


@dataclass(frozen=True)
class Told:
    """What a worker told last: samples done of its shard, its process, and its host's name."""

    samples: int
    process: int
    host: str

    @property
    def can_be_ended(self) -> bool:
        """Whether the worker can be ended from here: another process of this machine."""
        return self.host == platform.node() and self.process != os.getpid()


@contextmanager
def telling(folder: Path, name: str) -> Iterator[Callable[[int], None]]:
    """Tell that the shard `name` is begun; yield what is to be called with its samples done.

    A call costs nothing until an interval has passed. That the file cannot be written stops no
    shard; it is gone after the body, unless the process is killed.
    """
    path = folder / FOLDER / name
    told = 0.0

    def tell(samples: int) -> None:
        nonlocal told
        if samples and time.monotonic() - told < INTERVAL:
            return
        told = time.monotonic()
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{samples} {os.getpid()} {platform.node()}")

    tell(0)
    try:
        yield tell
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def begun(folder: Path) -> set[str]:
    """Return the names of the shards that are being made, or whose workers died of them."""
    try:
        return {path.name for path in (folder / FOLDER).iterdir()}
    except OSError:
        return set()


def told(folder: Path, names: Iterable[str]) -> dict[str, Told]:
    """Return what was told last of those of the shards `names` that are begun."""
    found = {}
    for name in begun(folder).intersection(names):
        with suppress(OSError, ValueError):  # just removed, or just being written
            samples, process, host = (folder / FOLDER / name).read_text().split(" ", 2)
            found[name] = Told(int(samples), int(process), host)
    return found


def forget(folder: Path, names: Iterable[str]) -> None:
    """Remove what dead workers told of the shards `names`."""
    for name in begun(folder).intersection(names):
        with suppress(OSError):
            files.remove(folder / FOLDER / name)
