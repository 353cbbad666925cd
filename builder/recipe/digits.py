"""Digit banks: the glyphs of one split, grouped by class, ready for the kernel.

A source is identified by the digest of its decoded arrays. The arrays derived from them (padded
glyphs, ink bounds, ...) lie in the user's cache folder under that digest, so a worker needs the
digest alone to map the same memory as the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from builder.common import cache
from builder.common.constants import (
    CLASSES,
    FRAME,
    MARGIN,
    PADDED,
    Float32s,
    Int16s,
    Int32s,
    Ints,
    UInt8s,
)
from builder.common.errors import BuilderError, UsageError
from builder.common.validation import FrozenModel, Sha256, WholeNumber, local_path
from builder.recipe.digit_files import DigitFile, load_digits
from builder.recipe.glyph_metrics import (
    ORIENTATIONS,
    POLARITIES,
    Orientation,
    Polarity,
    adjust_glyphs,
    derive_arrays,
    refuse_blanks,
)

Split = Literal["train", "test", "validation", "fit"]

GLYPH_ARRAYS = ("glyphs", "ink", "diagonals", "strokes")
"""The arrays derived from the glyphs of a file: see `DigitBank`."""

ARRAYS = tuple(f"{file}-{what}" for file in ("train", "test") for what in (*GLYPH_ARRAYS, "labels"))
"""The arrays of a cache entry: see `derive_arrays`."""

MNIST_LICENCE = "MNIST, copyright Yann LeCun and Corinna Cortes, CC BY-SA 3.0"


class Source(FrozenModel):
    """The identity of the digits of a recipe: their content, never a path or name.

    Attributes:
        digest: The sha256 over shape and bytes of the four decoded arrays, 64 hex digits.
        ink_width: The width of the widest glyph's ink, px, which bounds the longest strip.
    """

    digest: Sha256
    ink_width: WholeNumber = Field(ge=0, le=FRAME)

    @property
    def licence(self) -> str:
        """Who holds the rights in these digits."""
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

    Attributes:
        source: The source of the digits.
        split: The name of the split.
        glyphs: Every image of the split's MNIST file, padded to 32 x 32 and flat, (K, 1024).
        ink: x0, y0, x1, y1, the half-open bounds of pixels >= 1 in the 28 x 28 frame, zeros for
            a blank glyph, (K, 4).
        diagonals: The least x + y and x - y of the corners of these pixels, and the largest: with
            `ink`, eight sides around it, (K, 4).
        strokes: The mean width of a glyph's strokes, px, 0 for a blank one, (K,).
        members: The rows of the split, sorted by class and then by row, (M,).
        starts: Class c has `members[starts[c]:starts[c + 1]]`, (11,).
    """

    source: Source
    split: Split
    glyphs: UInt8s
    ink: Int16s
    diagonals: Int16s
    strokes: Float32s
    members: Int32s
    starts: Ints

    @property
    def class_sizes(self) -> Ints:
        """How many glyphs each class has, (10,)."""
        return np.diff(self.starts)

    def digits(self) -> tuple[UInt8s, Ints]:
        """Return the images of the split, (M, 28, 28), sorted by class, and their classes (M,)."""
        padded = self.glyphs[self.members].reshape(-1, PADDED, PADDED)
        images = padded[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.ascontiguousarray(images), np.repeat(np.arange(CLASSES), self.class_sizes)

    def require(self, classes: Iterable[int]) -> None:
        """Raise `UsageError` unless each of `classes` has a glyph in this split."""
        empty = [c for c in sorted(set(classes)) if self.class_sizes[c] == 0]
        if empty:
            present = [c for c in range(CLASSES) if self.class_sizes[c]]
            raise UsageError(
                f"the labels need digit {empty[0]}, but split '{self.split}' of {self.source} has "
                f"no glyph of it; it has glyphs of {present or 'no digit'}"
            )


def register(
    folder: str | Path, orientation: Orientation = "auto", polarity: Polarity = "auto"
) -> Source:
    """Load digits from a folder of IDX files, such as those of MNIST, for `Recipe(source=...)`.

    Arrays derived from them are cached: after this call every process of the user can open the
    source by its digest alone.

    Args:
        folder: A folder with images and labels of a train and a test set, plain or gzipped; or a
            `.npz` file of these four arrays.
        orientation: How digits stand in the files: "upright", "transposed" as in EMNIST, or "auto"
            (default) for what their pixels say.
        polarity: The colour of the digits: "white", "black", or "auto" (default).

    Returns:
        The source. That of the bundled digits equals the default of `Recipe`.

    Raises:
        UsageError: A file is missing, truncated, swapped or otherwise wrong, an image is blank, or
            orientation or polarity is not clear from the pixels.
    """
    decoded = load_digits(local_path(folder))
    if _digest(decoded) == MNIST.digest and (orientation, polarity) == ("auto", "auto"):
        return MNIST
    try:
        refuse_blanks(decoded)
        return _store(adjust_glyphs(decoded, orientation, polarity))
    except UsageError as error:
        raise UsageError(f"{folder}: {error}") from None


def register_expected(folder: str | Path, expected: Source) -> None:
    """Register the digits of a folder, which must be those of a recipe, however they lie in files.

    Raises:
        UsageError: They are others. The text names the folder.
    """
    decoded = load_digits(local_path(folder))
    for orientation, polarity in product(ORIENTATIONS, POLARITIES):
        adjusted = adjust_glyphs(decoded, orientation, polarity)
        if _digest(adjusted) == expected.digest:
            _store(adjusted)
            return
    found = Source(digest=_digest(decoded), ink_width=0)
    raise UsageError(f"{folder}: holds {found}, but the recipe is of {expected}")


def _store(decoded: dict[str, DigitFile]) -> Source:
    """Cache what is derived from digits, and return their source."""
    digest = _digest(decoded)
    entry = _cache_entry(digest)
    arrays = cache.load(entry, ARRAYS) or cache.store(entry, derive_arrays(decoded))
    return Source(digest=digest, ink_width=_widest_ink(arrays))


@lru_cache(maxsize=8)
def open_bank(source: Source, split: Split) -> DigitBank:
    """Return the bank of one split, mapped from the cache, where bundled digits are stored first.

    Raises:
        BuilderError: The source is neither bundled nor registered by this user.
    """
    arrays = _load_arrays(source)
    if _widest_ink(arrays) != source.ink_width:
        raise BuilderError(
            f"{source} claim an ink width of {source.ink_width} px, but its glyphs "
            f"have {_widest_ink(arrays)}: the recipe was edited; make it anew from the digits"
        )
    file = "test" if split == "test" else "train"
    labels = arrays[f"{file}-labels"]
    cut = len(labels) - len(labels) // 10
    part = {"fit": slice(cut), "validation": slice(cut, None)}.get(split, slice(None))
    rows = np.arange(len(labels))[part]
    members = rows[np.argsort(labels[rows], kind="stable")].astype(np.int32)
    starts = np.searchsorted(labels[members], np.arange(CLASSES + 1)).astype(np.int64)
    of_glyphs: cache.Arrays = {n: np.asarray(arrays[f"{file}-{n}"]) for n in GLYPH_ARRAYS}
    return DigitBank(source, split, members=members, starts=starts, **of_glyphs)


def _cache_entry(digest: str) -> str:
    return f"digits-3-{digest[:32]}"


def _load_arrays(source: Source) -> cache.Arrays:
    entry = _cache_entry(source.digest)
    arrays = cache.load(entry, ARRAYS)
    if arrays is not None:
        return arrays
    if source.digest != MNIST.digest:
        raise BuilderError(
            f"{source} are not known on this machine: name their folder with --dataset-dir, "
            "or in Python with builder.register"
        )
    with as_file(files("builder") / "data") as folder:
        return cache.store(entry, derive_arrays(load_digits(folder)))


def _digest(decoded: dict[str, DigitFile]) -> str:
    digest = hashlib.sha256()
    for split in sorted(decoded):
        for array in decoded[split]:
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _widest_ink(arrays: cache.Arrays) -> int:
    inks = (arrays["train-ink"], arrays["test-ink"])
    return max((int((ink[:, 2] - ink[:, 0]).max()) for ink in inks if len(ink)), default=0)
