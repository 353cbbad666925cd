"""Faults of a dataset, collected while it is checked."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
            repair leaves it alone.
    """

    shard: str | None
    text: str
    obstacle: str = ""

    def __str__(self) -> str:
        return one_line(f"{self.shard}: {self.text}" if self.shard else self.text)


@dataclass
class Findings:
    """Faults, and what a repair has to know of them.

    Attributes:
        faults: All faults so far.
        notes: What is odd and harmless.
        to_make: Numbers of the shards to be made again.
        foreign: Names of what is in the way and not of this program's making.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    to_make: set[int] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)

    def add(self, fault: Fault, shard: Shard | None = None) -> None:
        """Add a fault; `shard` is then to be made again, unless an obstacle is in the way."""
        self.faults.append(fault)
        if fault.obstacle:
            self.foreign.append(fault.obstacle)
        elif shard is not None:
            self.to_make.add(shard.number)

    def document(self, text: str) -> None:
        """Add a fault of plan, manifest or labels file."""
        self.add(Fault(None, text))

    def shard(self, shard: Shard, text: str) -> None:
        """Add a fault of a shard's files, for which the shard has to be made again."""
        self.add(Fault(shard.name, text), shard)

    @contextmanager
    def reading(self, shard: Shard) -> Iterator[None]:
        """Turn any exception of the body into a fault of a shard.

        Damaged bytes raise exceptions of many types in HDF5, pydantic and numpy.
        """
        try:
            yield
        except Exception as error:
            self.shard(shard, f"cannot be read ({said(error)})")


def said(error: Exception) -> str:
    """Return the message of an exception, or its type where it has none."""
    return str(error)[:300] or type(error).__name__


def kind_of(path: Path) -> str:
    """Return 'file', 'folder', 'symbolic link', 'special file', or '' for nothing there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "special file")
