"""What is measured of glyphs: their ink, the width of their strokes, and which way they stand.

Sets of digits differ in how they lie in their files: EMNIST's are transposed, scanned ones are
black on white. The mean images of the classes tell, compared with those of the bundled digits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import as_file, files
from typing import Literal, TypeVar

import numpy as np

from builder.common.cache import Arrays
from builder.common.constants import (
    CLASSES,
    FRAME,
    MARGIN,
    PADDED,
    Float32s,
    Floats,
    Int16s,
    Ints,
    UInt8s,
)
from builder.common.errors import UsageError
from builder.recipe.digit_files import DigitFile, load_split

Orientation = Literal["auto", "upright", "transposed"]
"""How digits stand in their files; `auto` for what the pixels say."""

Polarity = Literal["auto", "white", "black"]
"""The colour of digits, on a background of the other; `auto` for what the pixels say."""

ORIENTATIONS: tuple[Literal["upright", "transposed"], ...] = ("upright", "transposed")
POLARITIES: tuple[Literal["white", "black"], ...] = ("white", "black")

FEWEST_GLYPHS = 20
"""Glyphs of a file that tell an orientation. Twenty zeros of MNIST, the class that is most like its
transpose, never seemed to be transposed in 400 draws; of ten, one draw in a hundred did."""

LEAST_ORIENTATION = 0.3
"""The least correlation of what transposing changes: 0.98 for MNIST, 0.5 to 0.6 for digits of
printed fonts, below 0.07 for noise and up to 0.22 for blots."""

LEAST_POLARITY = 0.2
"""The least correlation of class means: 0.99 for MNIST, 0.7 for printed digits, 0.17 for blots."""


def adjust_glyphs(
    decoded: dict[str, DigitFile], orientation: Orientation, polarity: Polarity
) -> dict[str, DigitFile]:
    """Return digits as MNIST has them: upright, white on black.

    Args:
        decoded: The glyphs of each file, as they are stored.
        orientation: How they stand.
        polarity: Their colour.

    Raises:
        UsageError: The pixels do not tell what is asked of them, or a value is none of these.
    """
    for name, value, known in (
        ("orientation", orientation, ORIENTATIONS),
        ("polarity", polarity, POLARITIES),
    ):
        if value not in ("auto", *known):
            raise UsageError(f"{name} is {value!r}, expected auto, {' or '.join(known)}")
    if polarity == "auto":
        polarity = _ask_pixels("polarity", decoded, _find_polarity)
    if polarity == "black":
        decoded = {name: file._replace(images=255 - file.images) for name, file in decoded.items()}
    if orientation == "upright":
        return decoded
    turned = {name: _transpose(file.images) for name, file in decoded.items()}
    if orientation == "auto":
        if all(np.array_equal(turned[name], file.images) for name, file in decoded.items()):
            return decoded  # squares and such: either is the other
        orientation = _ask_pixels("orientation", decoded, _find_orientation)
    if orientation == "transposed":
        return {name: file._replace(images=turned[name]) for name, file in decoded.items()}
    return decoded


def _transpose(images: UInt8s) -> UInt8s:
    return np.ascontiguousarray(images.swapaxes(1, 2))


def refuse_blanks(decoded: dict[str, DigitFile]) -> None:
    """Raise `UsageError` for images of one grey value: nothing is in them that could be drawn."""
    for split, (images, _) in decoded.items():
        blank = np.flatnonzero(images.max(axis=(1, 2)) == images.min(axis=(1, 2)))
        if blank.size:
            rows = ", ".join(map(str, blank[:10])) + (", ..." if blank.size > 10 else "")
            raise UsageError(
                f"{blank.size} of the {split} images are blank, those in rows {rows} (from 0): "
                "remove them and their labels"
            )


Answer = TypeVar("Answer", bound=str)


def _ask_pixels(
    name: str, decoded: dict[str, DigitFile], find: Callable[[DigitFile], Answer | None]
) -> Answer:
    """Return the one answer of all files that have any. Raises `UsageError` for none or two."""
    answers = {split: find(file) for split, file in decoded.items()}
    if len(sure := {answer for answer in answers.values() if answer is not None}) == 1:
        return sure.pop()
    told = ", ".join(f"{split}: {answer or 'unsure'}" for split, answer in answers.items())
    choices = " or ".join({"polarity": POLARITIES, "orientation": ORIENTATIONS}[name])
    raise UsageError(
        f"the {name} of the digits is not clear from their pixels ({told}): look at some, and say "
        f"--digits-{name} {choices} (in Python {name}=...)"
    )


def _class_means(file: DigitFile) -> Floats:
    """Return the mean image of each class, less its mean grey value; zeros for a class without.

    Returns:
        Images (10, 28, 28).
    """
    means = np.zeros((CLASSES, FRAME, FRAME))
    for c in np.unique(file.labels):
        mean = file.images[file.labels == c].mean(axis=0)
        means[c] = mean - mean.mean()
    return means


@cache
def _bundled_means() -> Floats:
    """Return the class means of the bundled test digits."""
    with as_file(files("builder") / "data") as folder:
        return _class_means(load_split(folder, "test"))


def _find_polarity(file: DigitFile) -> Literal["white", "black"] | None:
    correlation = _correlate(_class_means(file), _bundled_means())
    if abs(correlation) < LEAST_POLARITY:
        return None
    return "white" if correlation > 0 else "black"


def _find_orientation(file: DigitFile) -> Literal["upright", "transposed"] | None:
    """Return how digits stand, None where that is unsure or they are mirrored or rotated."""
    means, reference = _class_means(file), _bundled_means()
    transposed = means.swapaxes(1, 2)
    changed = _correlate(means - transposed, reference - reference.swapaxes(1, 2))
    if len(file.labels) < FEWEST_GLYPHS or abs(changed) < LEAST_ORIENTATION:
        return None
    ways = (means, transposed)
    best = max(_correlate(way, reference) for way in ways)
    flipped = [np.flip(way, axes) for way in ways for axes in (1, 2, (1, 2))]
    if best < max(_correlate(way, reference) for way in flipped):
        return None
    return "upright" if changed > 0 else "transposed"


def _correlate(means: Floats, reference: Floats) -> float:
    """Return the correlation of the class means of two sets, over the classes of the first."""
    reference = reference[means.any(axis=(1, 2))]
    means = means[means.any(axis=(1, 2))]
    size = np.sqrt((means * means).sum() * (reference * reference).sum())
    return float((means * reference).sum() / size) if size else 0.0


def derive_arrays(decoded: dict[str, DigitFile]) -> Arrays:
    """Return the arrays that a `DigitBank` is made of, for each file of a folder."""
    arrays: Arrays = {}
    for split, (images, labels) in decoded.items():
        padded = np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
        arrays[f"{split}-glyphs"] = padded.reshape(len(images), PADDED * PADDED)
        arrays[f"{split}-labels"] = labels
        arrays[f"{split}-ink"] = measure_ink(images)
        arrays[f"{split}-diagonals"] = measure_diagonals(images)
        arrays[f"{split}-strokes"] = measure_strokes(padded)
    return arrays


def measure_ink(images: UInt8s) -> Int16s:
    """Return half-open bounds x0, y0, x1, y1 of the pixels >= 1 of images (K, h, w).

    Returns:
        Bounds (K, 4), px, zeros where there are no such pixels.
    """
    (x0, x1), (y0, y1) = (_find_ends(images.max(axis=axis)) for axis in (1, 2))
    return _join_bounds(images, x0, y0, x1, y1)


def measure_diagonals(images: UInt8s) -> Int16s:
    """Return diagonal bounds of the pixels >= 1 of images (K, 28, 28).

    Returns:
        The least x + y and x - y of the corners of these pixels, and the largest, px, (K, 4);
        zeros where there are no such pixels.
    """
    side = images.shape[1]
    ends = []
    for turned in (images, images[:, ::-1]):
        # shearing by one pixel a row turns diagonals into columns
        columns = np.zeros((len(images), 2 * side), dtype=np.uint8)
        for row in range(side):
            columns[:, row : row + side] |= turned[:, row]
        ends.append(_find_ends(columns))
    (low, high), (left, right) = ends
    return _join_bounds(images, low, left - side, high + 1, right + 1 - side)


def _find_ends(values: UInt8s) -> tuple[Ints, Ints]:
    """Return the first column and the end of what is not 0 in each row (K, n)."""
    lit = values > 0
    return lit.argmax(axis=1), lit.shape[1] - lit[:, ::-1].argmax(axis=1)


def _join_bounds(images: UInt8s, *sides: Ints) -> Int16s:
    """Return four sides (K,) as bounds (K, 4), zeros for images without a pixel >= 1."""
    has_ink = images.max(axis=(1, 2))[:, None] > 0
    return np.where(has_ink, np.stack(sides, axis=1), 0).astype(np.int16)


def measure_strokes(images: UInt8s) -> Float32s:
    """Return the mean width of the strokes of images (K, h, w) with black edges, px, (K,).

    A stroke of length l and width w holds l w of ink and has two edges of length l. Across an
    edge the grey value rises from black to white, so the lengths of the gradients add up to 2 l.
    So w is twice the sum of values over the sum of the lengths of their gradients. The sums are of
    integers, so they do not depend on an order.
    """
    widths = np.zeros(len(images), dtype=np.float32)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000].astype(np.float64)
        across = part[:, :-1, 1:] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, 1:, :-1]
        down = part[:, 1:, :-1] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, :-1, 1:]
        gradients = np.floor(np.sqrt(across * across + down * down) * 128.0)
        edges = gradients.astype(np.int64).sum(axis=(1, 2))
        ink = images[start : start + 1000].sum(axis=(1, 2), dtype=np.int64)
        widths[start : start + 1000] = 512.0 * ink / np.maximum(edges, 1)
    return widths
