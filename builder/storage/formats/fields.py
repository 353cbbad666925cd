"""The fields of a sample as they are stored, whatever the format."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from builder.common.constants import FRAME
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig

CHUNK = 16
"""Images in a gzipped chunk: what a random read must inflate. 16 take 170 us, 256 2.4 ms."""

Rows = Callable[[int, int], "bytes | memoryview"]
"""Returns the bytes of rows [start, stop) of a field, all of one block."""


DATASET_NAMES = {"seeds": "seed"}
"""Names of HDF5 datasets that are not the names of the batch's fields."""


class Field(NamedTuple):
    """A field of a batch as it is stored.

    Attributes:
        tail: Shape of one sample's values.
        dtype: Type of the values, little-endian.
        chunk_rows: Samples in a deflated chunk; 0 for values in one piece.
    """

    tail: tuple[int, ...]
    dtype: np.dtype[np.generic]
    chunk_rows: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of one sample's values."""
        return math.prod(self.tail) * self.dtype.itemsize

    def shape(self, count: int) -> tuple[int, ...]:
        """Return the shape of the dataset of `count` samples."""
        return (count, *self.tail)

    def chunk(self, count: int) -> tuple[int, ...] | None:
        """Return the shape of its chunks, which are not larger than it; None in one piece."""
        return self.shape(min(self.chunk_rows, count)) if self.chunk_rows else None


def fields_of(config: DatasetConfig) -> dict[str, Field]:
    """Return every field that the samples of a dataset have, by its name in `Batch`."""
    recipe, storage = Recipe.from_json(config.recipe), config.storage
    digits, pixels = recipe.label_source.longest, (FRAME, recipe.width)
    chunk_rows = CHUNK if storage.compression == "gzip" else 0
    fields = {
        "images": Field(pixels, np.dtype("u1"), chunk_rows),
        "labels": Field((digits,), np.dtype("i1")),
        "lengths": Field((), np.dtype("u1")),
        "index": Field((), np.dtype("<i8")),
        "seeds": Field((), np.dtype("<u8")),
        "glyphs": Field((digits,), np.dtype("<i4")),
        "boxes": Field((digits, 4), np.dtype("<f4")),
        "quads": Field((digits, 4, 2), np.dtype("<f4")),
        "visible": Field((digits,), np.dtype("<f4")),
    }
    return fields | ({"masks": fields["images"]} if storage.masks else {})
