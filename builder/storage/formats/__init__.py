"""Formats: one module for each, one table of all, imported when a dataset of it is met.

A format is a module with

    writer(folder, plan, shard): a context manager that yields a `ShardWriter` and
        publishes the shard's files when the body ends, or removes them when it raises;
    image_file(shard), labels_file(shard): the names of its files in the dataset's folder;
    fields(plan): shape and type of what it stores of samples, by the names of a batch's fields;
    block(plan): how many neighbouring samples of a shard are read for the price of one;
    open_shard(folder, plan, shard, layout): a `ShardReader`; `layout` is that of an earlier
        reader of the same shard, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from builder.generator.batch import Batch
from builder.storage.manifest import FileRecord

FORMATS = {
    "hdf5": "builder.storage.formats.hdf5",
    "png": "builder.storage.formats.png",
}


class ShardWriter(Protocol):
    """An open shard: takes its batches in order, and tells of its files once they are published."""

    def write(self, batch: Batch) -> None:
        """Add the next samples."""

    def files(self) -> tuple[FileRecord, FileRecord]:
        """Return the images' and the labels' file, after publishing."""


class ShardReader(Protocol):
    """A finished shard, open for reading; closed when nobody has it, or what it gave, any more."""

    layout: Any
    """What another reader of the shard need not find out again."""

    def check(self) -> None:
        """Raise `DatasetError` if the shard can no longer be read."""

    def values(self, field: str) -> Callable[[int, int], Any]:
        """Return what gives the bytes of rows [start, stop) of a field, all of one block."""


def format_of(name: str) -> ModuleType:
    """Return the module of a format."""
    return import_module(FORMATS[name])
