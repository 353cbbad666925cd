"""What values the samples of a recipe can have: stored ones are held to it before they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import CLASSES, FRAME, PAD, Ints
from builder.recipe.recipe import Recipe

FARTHEST = 1 << 20
"""Px from the corner of an image that a corner of a glyph can have; a warp reaches some 20,000."""

Truths = npt.NDArray[np.bool_]
Values = dict[str, Any]
"""Fields of samples (B, ...) by their names, None for those that are not stored."""


def together(name: str) -> tuple[str, ...]:
    """Return the fields that are read with a field, to be held to each other; itself first."""
    return _HELD_TO.get(name, (name,))


def first_wrong(values: Values, index: Ints, recipe: Recipe) -> int | None:
    """Return the row of the first of some samples whose values it cannot have, None for none.

    `values` are fields of the samples at indices (B,), read as `together` says.
    """
    right = np.ones(len(index), dtype=np.bool_)
    for name in values.keys() & _CHECKS.keys():
        if values[name] is not None:
            right &= _CHECKS[name](values, index, recipe)
    return None if right.all() else int(np.argmin(right))


def _shown(values: Values, name: str) -> Truths:
    """Tell which positions (B, L) are of digits, by the lengths; the others are padding."""
    shown: Truths = np.arange(values[name].shape[1]) < values["lengths"][:, None]
    return shown


def _labels(values: Values, index: Ints, recipe: Recipe) -> Truths:
    """Digits, one or more, as many as the length says, then padding."""
    labels, lengths, shown = values["labels"], values["lengths"], _shown(values, "labels")
    digits = (labels >= 0) & (labels < CLASSES)
    whole = (digits == shown) & (shown | (labels == PAD))
    found: Truths = whole.all(axis=1) & (lengths > 0) & (lengths <= labels.shape[1])
    return found


def _index(values: Values, index: Ints, recipe: Recipe) -> Truths:
    found: Truths = values["index"] == index
    return found


def _glyphs(values: Values, index: Ints, recipe: Recipe) -> Truths:
    """Rows for the digits, then padding."""
    glyphs, shown = values["glyphs"], _shown(values, "glyphs")
    found: Truths = np.where(shown, glyphs >= 0, glyphs == PAD).all(axis=1)
    return found


def _boxes(values: Values, index: Ints, recipe: Recipe) -> Truths:
    """Corners inside the image, or zeros, as all of the padding."""
    x0, y0, x1, y1 = np.moveaxis(values["boxes"], 2, 0)
    inside = (x0 >= 0) & (x0 < x1) & (x1 <= recipe.width) & (y0 >= 0) & (y0 < y1) & (y1 <= FRAME)
    none = ~values["boxes"].any(axis=2)
    found: Truths = (none | (inside & _shown(values, "boxes"))).all(axis=1)
    return found


def _quads(values: Values, index: Ints, recipe: Recipe) -> Truths:
    """Corners near the image."""
    found: Truths = (np.abs(values["quads"]) < FARTHEST).all(axis=(1, 2, 3))
    return found


def _visible(values: Values, index: Ints, recipe: Recipe) -> Truths:
    found: Truths = ((values["visible"] >= 0) & (values["visible"] <= 1)).all(axis=1)
    return found


def _masks(values: Values, index: Ints, recipe: Recipe) -> Truths:
    """Positions of digits that are there."""
    found: Truths = values["masks"].max(axis=(1, 2), initial=0) <= values["lengths"]
    return found


_CHECKS: dict[str, Callable[[Values, Ints, Recipe], Truths]] = {
    "labels": _labels,
    "index": _index,
    "glyphs": _glyphs,
    "boxes": _boxes,
    "quads": _quads,
    "visible": _visible,
    "masks": _masks,
}
"""Tells of each sample whether a field's values can be its own. Pixels and seeds may be anything:
whether they are the right ones is for `regenerate` and `verify` to say."""

_HELD_TO = {
    "labels": ("labels", "lengths"),
    "lengths": ("lengths", "labels"),
    **{name: (name, "lengths") for name in ("glyphs", "boxes", "masks")},
}
"""Fields whose values depend on others."""
