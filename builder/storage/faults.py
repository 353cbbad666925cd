"""A fault of a dataset, the kind of what lies at a path, and errors as faults."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.common.errors import one_line
from builder.storage.config import Shard


@dataclass(frozen=True)
class Fault:
    """One fault of a dataset.

    Attributes:
        shard: Name of the shard, None for a fault of the dataset as a whole.
        text: One line: the value and what was expected.
        obstacle: Name of a link, folder or file in the way that this program did not make. A
            repair leaves it alone. "" if there is none.
    """

    shard: str | None
    text: str
    obstacle: str = ""

    def __str__(self) -> str:
        return one_line(f"{self.shard}: {self.text}" if self.shard else self.text)


def kind_of(path: Path) -> str:
    """Return 'file', 'folder', 'symbolic link', 'special file', or '' if nothing is there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def catch_errors(shard: Shard, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield faults, and an exception of the check as a fault of the shard.

    Damaged bytes raise exceptions of many types in HDF5, pydantic and numpy.
    """
    try:
        yield from faults
    except Exception as error:
        yield Fault(shard.name, f"cannot be read ({describe_error(error)})")


def describe_error(error: Exception) -> str:
    """Return the message of an exception, or its type if it has none."""
    return str(error)[:300] or type(error).__name__
