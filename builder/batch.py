"""Batches and samples: images with labels and annotations, rendered or read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from builder import labels
from builder.streams import Ints, Words


@dataclass(frozen=True)
class Sample:
    """One image with its label and annotations: `Batch`, without the first axis and the padding."""

    image: npt.NDArray[np.uint8]
    text: str
    index: int
    seed: int
    glyphs: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    quads: npt.NDArray[np.float32] | None
    visible: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.uint8] | None


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
    masks: npt.NDArray[np.uint8] | None = None

    @cached_property
    def texts(self) -> list[str]:
        """The labels as strings, such as '02139'."""
        return labels.texts(self.labels, self.lengths)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Sample:
        """Return the sample of one row of the batch."""
        n = self.lengths[row]
        return Sample(
            image=self.images[row],
            text=self.texts[row],
            index=int(self.index[row]),
            seed=int(self.seeds[row]),
            glyphs=self.glyphs[row, :n],
            boxes=self.boxes[row, :n],
            quads=None if self.quads is None else self.quads[row, :n],
            visible=None if self.visible is None else self.visible[row, :n],
            mask=None if self.masks is None else self.masks[row],
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))

    def reversed(self) -> Batch:
        """Return the samples in the opposite order."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        turned: dict[str, Any] = {n: None if c is None else c[::-1] for n, c in columns.items()}
        return Batch(**turned)

    @classmethod
    def concatenated(cls, batches: Sequence[Batch]) -> Batch:
        """Return one batch of the samples of several, in order."""
        columns = {f.name: [getattr(batch, f.name) for batch in batches] for f in fields(cls)}
        return cls(**{name: _concatenated(parts) for name, parts in columns.items()})


def _concatenated(parts: list[Any]) -> Any:
    return None if any(part is None for part in parts) else np.concatenate(parts)
