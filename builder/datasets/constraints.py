"""Constraints on the values of stored samples, checked before the values are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import CLASSES, FRAME, PAD, Ints
from builder.recipe.recipe import Recipe

MAX_CORNER = 1 << 20
"""Largest coordinate of a quad, px; a warp reaches some 20,000."""

Bools = npt.NDArray[np.bool_]
Values = Mapping[str, Any]
"""Arrays (B, ...) by field name, None for a field that is not stored."""

_PARTNERS = {"labels": "lengths", "lengths": "labels"} | dict.fromkeys(
    ("glyphs", "boxes", "masks"), "lengths"
)
"""The field that a field is checked against."""


def checked_fields(name: str) -> tuple[str, ...]:
    """Return the fields to read for a check of one field: itself, then the one it depends on."""
    return (name, _PARTNERS[name]) if name in _PARTNERS else (name,)


def find_violation(values: Values, index: Ints, recipe: Recipe) -> int | None:
    """Return the first row whose values no sample of the recipe can have.

    Pixels and seeds can have any value; `verify` compares them with the recipe.

    Args:
        values: Fields of the samples, read as `checked_fields` says.
        index: Indices (B,) int64 of the samples.
        recipe: Recipe of the dataset.

    Returns:
        A row in [0, B), or None if all rows are valid.
    """
    valid = np.ones(len(index), dtype=np.bool_)
    for name in values.keys() & _CHECKS.keys():
        if values[name] is not None:
            valid &= _CHECKS[name](values, index, recipe)
    return None if valid.all() else int(np.argmin(valid))


def _is_digit(values: Values, name: str) -> Bools:
    """Return which positions (B, L) of a field hold digits; the others are padding."""
    return np.arange(values[name].shape[1]) < values["lengths"][:, None]


def _check_labels(values: Values, index: Ints, recipe: Recipe) -> Bools:
    """At least one digit, as many as the length says, then padding."""
    labels, lengths, is_digit = values["labels"], values["lengths"], _is_digit(values, "labels")
    in_range = (labels >= 0) & (labels < CLASSES)
    valid = (in_range == is_digit) & (is_digit | (labels == PAD))
    return valid.all(axis=1) & (lengths > 0) & (lengths <= labels.shape[1])


def _check_index(values: Values, index: Ints, recipe: Recipe) -> Bools:
    return values["index"] == index


def _check_glyphs(values: Values, index: Ints, recipe: Recipe) -> Bools:
    """Rows of glyphs, then padding."""
    glyphs = values["glyphs"]
    return np.where(_is_digit(values, "glyphs"), glyphs >= 0, glyphs == PAD).all(axis=1)


def _check_boxes(values: Values, index: Ints, recipe: Recipe) -> Bools:
    """Corners inside the image, or zeros; zeros in the padding."""
    x0, y0, x1, y1 = np.moveaxis(values["boxes"], 2, 0)
    inside = (x0 >= 0) & (x0 < x1) & (x1 <= recipe.width) & (y0 >= 0) & (y0 < y1) & (y1 <= FRAME)
    empty = ~values["boxes"].any(axis=2)
    return (empty | (inside & _is_digit(values, "boxes"))).all(axis=1)


def _check_quads(values: Values, index: Ints, recipe: Recipe) -> Bools:
    return (np.abs(values["quads"]) < MAX_CORNER).all(axis=(1, 2, 3))


def _check_visible(values: Values, index: Ints, recipe: Recipe) -> Bools:
    return ((values["visible"] >= 0) & (values["visible"] <= 1)).all(axis=1)


def _check_masks(values: Values, index: Ints, recipe: Recipe) -> Bools:
    """No position after the last digit."""
    return values["masks"].max(axis=(1, 2), initial=0) <= values["lengths"]


_CHECKS: dict[str, Callable[[Values, Ints, Recipe], Bools]] = {
    "labels": _check_labels,
    "index": _check_index,
    "glyphs": _check_glyphs,
    "boxes": _check_boxes,
    "quads": _check_quads,
    "visible": _check_visible,
    "masks": _check_masks,
}
"""Each returns which rows (B,) are valid."""
