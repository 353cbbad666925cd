"""Formats of shards. A new format is one new module, and a line here and in `FORMAT_FACTS`."""

from __future__ import annotations

from collections.abc import Mapping

from builder.storage.config import FormatName
from builder.storage.formats.base import Format
from builder.storage.formats.hdf5 import Hdf5Format
from builder.storage.formats.png import PngFormat

FORMATS: Mapping[FormatName, Format] = {"hdf5": Hdf5Format(), "png": PngFormat()}
