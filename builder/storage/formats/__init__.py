"""Formats of shards. A new format is one new module of its name, and one name in `FormatName`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from builder.storage.formats.base import Format

FormatName = Literal["hdf5", "png"]
"""The formats. The module of each has the format's one instance as `FORMAT`."""


def format_of(name: FormatName) -> Format:
    """Return a format by its name; its module is imported at the first call."""
    instance: Format = import_module(f"builder.storage.formats.{name}").FORMAT
    return instance
