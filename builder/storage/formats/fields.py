"""What is stored of each sample: the shape and type of every field of a batch."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from builder.common.constants import FRAME
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig


class Field(NamedTuple):
    """The shape of a field behind its first dimension, and its type."""

    tail: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def bytes(self) -> int:
        """The bytes of one sample's."""
        return math.prod(self.tail) * self.dtype.itemsize


def all_fields(plan: DatasetConfig) -> dict[str, Field]:
    """Return every field of `Batch` that samples of a plan have, by its name there."""
    recipe = Recipe.from_json(plan.recipe)
    digits, pixels = recipe.label_source.longest, (FRAME, recipe.width)
    stored: dict[str, tuple[tuple[int, ...], str]] = {
        "images": (pixels, "u1"),
        "labels": ((digits,), "i1"),
        "lengths": ((), "u1"),
        "index": ((), "<i8"),
        "seeds": ((), "<u8"),
        "glyphs": ((digits,), "<i4"),
        "boxes": ((digits, 4), "<f4"),
        "quads": ((digits, 4, 2), "<f4"),
        "visible": ((digits,), "<f4"),
    }
    if plan.storage.masks:
        stored["masks"] = (pixels, "u1")
    return {name: Field(tail, np.dtype(kind)) for name, (tail, kind) in stored.items()}
