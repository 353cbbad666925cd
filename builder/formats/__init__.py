"""Formats: one module for each, one table of all, imported when a dataset of it is met.

A format is a module with

    writer(folder, plan, shard): a context manager that yields a `ShardWriter` and
        publishes the shard's files when the body ends, or removes them when it raises;
    image_file(shard), labels_file(shard): the names of its files in the dataset's folder;
    open_shard(folder, plan, shard): a `ShardReader`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from builder.batch import Batch
from builder.records import FileRecord

FORMATS = {
    "hdf5": "builder.formats.hdf5",
    "png": "builder.formats.png",
}


class ShardWriter(Protocol):
    """An open shard: takes its batches in order, and tells of its files once they are published."""

    def write(self, batch: Batch) -> None:
        """Add the next samples."""

    def files(self) -> tuple[FileRecord, FileRecord]:
        """Return the images' and the labels' file, after publishing."""


class ShardReader(Protocol):
    """A finished shard, open for reading."""

    def read(self, rows: Any) -> Batch:
        """Return the samples of increasing rows, an array (B,) int64."""

    def close(self) -> None:
        """Give back what is open."""


def format_of(name: str) -> ModuleType:
    """Return the module of a format."""
    return import_module(FORMATS[name])
