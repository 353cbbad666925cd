"""What is wrong with a dataset: faults, collected while it is looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builder.common.errors import one_line
from builder.storage.config import Shard
from builder.storage.output_folder import OutputFolder


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: the name of the shard, None for the dataset's own, and one line.

    The line says what was found and what was expected.
    """

    shard: str | None
    text: str

    def __str__(self) -> str:
        return one_line(f"{self.shard}: {self.text}" if self.shard else self.text)


@dataclass
class Findings:
    """The faults found so far, and what a repair has to know of them.

    `to_make` has the numbers of the shards to be made again; `foreign` the names of what is in
    the way and not of this program's making, which no repair touches; `notes` are no faults.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    to_make: set[int] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)

    def document(self, text: str) -> None:
        """Add a fault of plan, manifest or labels file."""
        self.faults.append(Fault(None, text))

    def shard(self, shard: Shard, text: str) -> None:
        """Add a fault of a shard's files, for which it has to be made again."""
        self.faults.append(Fault(shard.name, text))
        self.to_make.add(shard.number)

    def stranger(self, name: str, text: str, shard: Shard | None = None) -> None:
        """Add what does not belong where it is."""
        self.faults.append(Fault(shard.name if shard else None, f"{name}: {text}"))
        self.foreign.append(name)

    @contextmanager
    def reading(self, shard: Shard) -> Iterator[None]:
        """Take whatever the body raises for a fault of a shard.

        Damaged bytes raise what they will in HDF5, Parquet, pydantic and numpy.
        """
        try:
            yield
        except Exception as error:
            self.shard(shard, f"cannot be read ({said(error)})")


def said(error: Exception) -> str:
    """Return an error in words: its type where it has none."""
    return str(error)[:300] or type(error).__name__


def kind_of(path: Path) -> str:
    """Return 'file', 'folder', 'symbolic link', 'special file', or '' for nothing there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name."""
    return OutputFolder(folder).entries()
