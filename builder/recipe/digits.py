"""Digit banks: the glyphs of one split, grouped by class, ready for the kernel.

A source is known by the digest of its decoded arrays. What is derived from them (padded
glyphs, ink bounds) lies in the user's cache folder under that digest, so a worker needs
the digest alone to map the same memory as its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from builder.common import cache
from builder.common.constants import CLASSES, FRAME, MARGIN, PADDED
from builder.common.errors import BuilderError, UsageError
from builder.recipe import idx
from builder.recipe.glyph_metrics import diagonal_bounds, ink_bounds, stroke_widths

Split = Literal["train", "test", "validation", "fit"]
SPLITS: tuple[Split, ...] = get_args(Split)

OF_GLYPHS = ("glyphs", "ink", "diagonals", "strokes")
"""What is derived from each glyph of a file: see `DigitBank`."""

ARRAYS = tuple(f"{file}-{what}" for file in ("train", "test") for what in (*OF_GLYPHS, "labels"))
"""What a cache entry of a source holds: see `_derived`."""

MNIST_LICENCE = "MNIST, copyright Yann LeCun and Corinna Cortes, CC BY-SA 3.0"


@dataclass(frozen=True)
class Source:
    """What a recipe says of its digits: known by content, never by place or name.

    `digest` is the sha256 over shape and bytes of the four decoded arrays; `ink_width` the
    width of the widest glyph's ink, px, by which a recipe knows its longest strip.
    """

    digest: str
    ink_width: int

    def __post_init__(self) -> None:
        cache.check_sha256("digest", self.digest)
        if not 0 <= self.ink_width <= FRAME:
            raise ValueError(f"ink_width is {self.ink_width}, expected 0 to {FRAME} px")

    @property
    def licence(self) -> str:
        """Who holds the rights in these digits, as far as is known here."""
        return MNIST_LICENCE if self == MNIST else "that of the digits given by the user"

    def __str__(self) -> str:
        return "MNIST (bundled)" if self == MNIST else f"digits {self.digest[:12]}"


MNIST = Source(
    digest="e9a1e513d16b5ff8ac8e90cc648aab2420d7e7e53b7330da3ad746588c129c26",
    ink_width=20,
)
"""The bundled digits. The digest saves decoding 55 MB at each start; a test recomputes it."""


@dataclass(frozen=True)
class DigitBank:
    """All glyphs of one split.

    `glyphs` (K, 1024) uint8: every image of the split's MNIST file, padded to 32 x 32 and
    flat. `ink` (K, 4) int16: x0, y0, x1, y1, the half-open bounds of pixels >= 1 in the
    28 x 28 frame, zeros for a blank glyph. `diagonals` (K, 4) int16: the least x + y and x - y
    of the corners of these pixels, and the largest: with the bounds, eight sides around the
    ink. `strokes` (K,) float32: the mean width of a glyph's
    strokes, px, 0 for a blank one. `members` (M,) int32: the rows of the split,
    sorted by class and then by row; class c owns `members[starts[c]:starts[c + 1]]`.
    """

    source: Source
    split: Split
    glyphs: npt.NDArray[np.uint8]
    ink: npt.NDArray[np.int16]
    diagonals: npt.NDArray[np.int16]
    strokes: npt.NDArray[np.float32]
    members: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    @property
    def class_sizes(self) -> npt.NDArray[np.int64]:
        """How many glyphs each class has, (10,) int64."""
        return np.diff(self.starts)

    def digits(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return the split's own images, (M, 28, 28) uint8, sorted by class, and classes (M,)."""
        frame = slice(MARGIN, MARGIN + FRAME)
        padded = self.glyphs.reshape(-1, PADDED, PADDED)
        images = padded[self.members][:, frame, frame]
        return np.ascontiguousarray(images), np.repeat(np.arange(CLASSES), self.class_sizes)

    def require(self, classes: Iterable[int]) -> None:
        """Raise `UsageError` unless each of `classes` has a glyph in this split."""
        empty = [c for c in sorted(set(classes)) if self.class_sizes[c] == 0]
        if empty:
            there = [c for c in range(CLASSES) if self.class_sizes[c]]
            raise UsageError(
                f"the labels need digit {empty[0]}, but split '{self.split}' of {self.source} has "
                f"no glyph of it; it has glyphs of {there or 'no digit'}"
            )


def register(folder: str | Path) -> Source:
    """Load the IDX files of a folder, keep what is derived from them, and return their source.

    After this call every process of the user can open the source by its digest alone.
    Raises `UsageError` for a missing, truncated, swapped or otherwise bad file.
    """
    folder = Path(folder)
    decoded = idx.load_folder(folder)
    digest = _digest(decoded)
    if digest == MNIST.digest:
        return MNIST
    entry = _entry(digest)
    arrays = cache.load(entry, ARRAYS) or cache.store(entry, _derived(decoded))
    return Source(digest, _widest(arrays))


@lru_cache(maxsize=8)
def open_bank(source: Source, split: Split) -> DigitBank:
    """Return the bank of one split, mapped from the cache; the bundled digits are stored first.

    Raises `BuilderError` for a source that is neither bundled nor registered by this user.
    """
    arrays = _stored(source)
    if _widest(arrays) != source.ink_width:
        raise BuilderError(
            f"{source} claim an ink width of {source.ink_width} px, but its glyphs "
            f"have {_widest(arrays)}: the recipe was edited; make it anew from the digits"
        )
    file = "test" if split == "test" else "train"
    labels = arrays[f"{file}-labels"]
    rows = np.arange(len(labels))[_rows_of(split, len(labels))]
    members = rows[np.argsort(labels[rows], kind="stable")].astype(np.int32)
    starts = np.searchsorted(labels[members], np.arange(CLASSES + 1)).astype(np.int64)
    of_glyphs: dict[str, Any] = {name: np.asarray(arrays[f"{file}-{name}"]) for name in OF_GLYPHS}
    return DigitBank(source, split, members=members, starts=starts, **of_glyphs)


def _rows_of(split: Split, count: int) -> slice:
    """Return the rows of a split in its file: `validation` is the last tenth of the train file."""
    cut = count - count // 10
    return {"fit": slice(0, cut), "validation": slice(cut, count)}.get(split, slice(0, count))


def _entry(digest: str) -> str:
    return f"digits-2-{digest[:32]}"


def _stored(source: Source) -> cache.Arrays:
    arrays = cache.load(_entry(source.digest), ARRAYS)
    if arrays is not None:
        return arrays
    if source.digest != MNIST.digest:
        raise BuilderError(
            f"{source} are not known on this machine: name their folder with --dataset-dir, "
            "or in Python with builder.register"
        )
    with as_file(files("builder") / "data") as folder:
        return cache.store(_entry(source.digest), _derived(idx.load_folder(folder)))


def _digest(decoded: dict[str, idx.DigitFile]) -> str:
    digest = hashlib.sha256()
    for split in sorted(decoded):
        for array in (decoded[split].images, decoded[split].labels):
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _derived(decoded: dict[str, idx.DigitFile]) -> cache.Arrays:
    arrays: cache.Arrays = {}
    for split, digits in decoded.items():
        images = digits.images
        padded = np.zeros((len(images), PADDED, PADDED), dtype=np.uint8)
        padded[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = images
        arrays[f"{split}-glyphs"] = padded.reshape(len(images), PADDED * PADDED)
        arrays[f"{split}-labels"] = digits.labels
        arrays[f"{split}-ink"] = ink_bounds(images)
        arrays[f"{split}-diagonals"] = diagonal_bounds(images)
        arrays[f"{split}-strokes"] = stroke_widths(padded)
    return arrays


def _widest(arrays: cache.Arrays) -> int:
    inks = (arrays["train-ink"], arrays["test-ink"])
    return max((int((ink[:, 2] - ink[:, 0]).max()) for ink in inks if len(ink)), default=0)
