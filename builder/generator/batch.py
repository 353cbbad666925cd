"""Batches and samples: images with labels and annotations, rendered or read back."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import Ints, Words
from builder.recipe import labels


@dataclass(frozen=True)
class Batch:
    """What comes of a block of B samples of up to L digits.

    `images` (B, 28, W) uint8, 0 is background. `labels` (B, L) int8, padded with -1;
    `lengths` (B,) uint8. `index` (B,) int64; `seeds` (B,) uint64. `glyphs` (B, L) int32:
    row of the source glyph in its MNIST file, padded with -1.

    Annotations, padded with 0: `boxes` (B, L, 4) float32, x0, y0, x1, y1 of the pixels >= 1
    of the digit drawn alone, half-open, clipped to the image, zeros where none. `quads`
    (B, L, 4, 2) float32, where the glyph frame's corners went, (x, y) from top left
    clockwise. `visible` (B, L) float32: the sum of the digit's grey values inside the image
    over that of its whole warp, 0 to 1. `masks` (B, 28, W) uint8: at each pixel the position,
    from 1, of the digit with the largest value there before effects, of equal ones the first;
    0 for background. Quads, visible and masks are None where they were not asked for or a
    dataset's format does not store them (PNG).
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int8]
    lengths: npt.NDArray[np.uint8]
    index: Ints
    seeds: Words
    glyphs: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    quads: npt.NDArray[np.float32] | None
    visible: npt.NDArray[np.float32] | None
    masks: npt.NDArray[np.uint8] | None

    @cached_property
    def texts(self) -> list[str]:
        """The labels as strings, such as '02139'."""
        return labels.texts(self.labels, self.lengths)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Sample:
        """Return the sample of one row of the batch, negative ones from the end."""
        number = operator.index(row)
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number} is not in this batch of {len(self)} samples")
        return Sample(self, number % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))


class LazyBatch(Batch):
    """A batch of stored samples, whose fields are read when they are first asked for.

    `read(name)` returns the field of a name, and others that came with it, by their names.
    """

    _size: int

    @classmethod
    def of(cls, size: int, read: Callable[[str], dict[str, Any]]) -> LazyBatch:
        """Return a batch of `size` samples, of which nothing is read yet."""
        batch = cls.__new__(cls)
        batch.__dict__.update(_size=size, _read=read)  # the base is frozen
        return batch

    def __getattr__(self, name: str) -> Any:
        if name not in FIELDS:
            raise AttributeError(f"a batch has no '{name}'; it has {', '.join(FIELDS)}, texts")
        for read, value in self._read(name).items():
            self.__dict__.setdefault(read, value)  # another thread may have been first
        return self.__dict__[name]

    def __len__(self) -> int:
        return self._size if "_size" in self.__dict__ else super().__len__()

    def __repr__(self) -> str:
        return f"<{len(self)} samples, read when asked for>"

    def __reduce__(self) -> Any:
        """Become a plain batch in another process: it takes values there, and no open files."""
        return Batch, tuple(getattr(self, name) for name in FIELDS)


FIELDS = tuple(item.name for item in fields(Batch))
"""The names of what a batch holds for each of its samples."""


class Sample:
    """One image with its label and annotations: a row of a `Batch`, without the padding.

    What has been stored is read when it is first asked for.
    """

    __slots__ = ("_batch", "_row")

    def __init__(self, batch: Batch, row: int) -> None:
        self._batch, self._row = batch, row

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The pixels, (28, W) uint8."""
        image: npt.NDArray[np.uint8] = self._batch.images[self._row]
        return image

    @property
    def text(self) -> str:
        """The label as a string, such as '02139'."""
        return self._batch.texts[self._row]

    @property
    def index(self) -> int:
        """The index of the sample, [0, 2**63)."""
        return int(self._batch.index[self._row])

    @property
    def seed(self) -> int:
        """The sample seed, [0, 2**64)."""
        return int(self._batch.seeds[self._row])

    @property
    def glyphs(self) -> npt.NDArray[np.int32]:
        """The row of each digit's glyph in its MNIST file, (n,) int32."""
        found: npt.NDArray[np.int32] = self._digits(self._batch.glyphs)
        return found

    @property
    def boxes(self) -> npt.NDArray[np.float32]:
        """The box of each digit, (n, 4) float32: x0, y0, x1, y1."""
        found: npt.NDArray[np.float32] = self._digits(self._batch.boxes)
        return found

    @property
    def quads(self) -> npt.NDArray[np.float32] | None:
        """The corners of each digit's frame, (n, 4, 2) float32, if they are there."""
        found: npt.NDArray[np.float32] | None = self._digits(self._batch.quads)
        return found

    @property
    def visible(self) -> npt.NDArray[np.float32] | None:
        """The share of each digit's ink that shows, (n,) float32, if it is there."""
        found: npt.NDArray[np.float32] | None = self._digits(self._batch.visible)
        return found

    @property
    def mask(self) -> npt.NDArray[np.uint8] | None:
        """The position, from 1, of each pixel's digit, (28, W) uint8, if it is there."""
        return None if self._batch.masks is None else self._batch.masks[self._row]

    def __reduce__(self) -> Any:
        """Travel to another process alone, without the rest of the batch or what is open."""
        rows = slice(self._row, self._row + 1)
        columns = {name: getattr(self._batch, name) for name in FIELDS if name != "images"}
        own: dict[str, Any] = {n: None if c is None else c[rows] for n, c in columns.items()}
        return Sample, (Batch(images=self.image[None], **own), 0)

    def _digits(self, values: Any) -> Any:
        """Return what is there for the sample's own digits, without padding."""
        return None if values is None else values[self._row, : self._batch.lengths[self._row]]

    def __repr__(self) -> str:
        return f"Sample(index={self.index}, text={self.text!r}, seed={self.seed:#x})"
