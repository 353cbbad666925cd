"""The generator: `generate(recipe, indices)`, the one definition of what a sample looks like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from builder import bank, labels, streams
from builder.augment.warp import Warp
from builder.planner import HALF, Planner, Specs, planner_for
from builder.recipe import Recipe
from builder.streams import Ints, Words

HEIGHT = bank.FRAME
"""Image height, px."""


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
    over that of its whole warp, 0 to 1. Quads and visible are None where a dataset's format
    does not store them (PNG).
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


def generate(recipe: Recipe, indices: Sequence[int] | Ints | range) -> Batch:
    """Return the samples of a recipe at `indices`, each a whole number in [0, 2**63).

    The same (recipe, index) gives the same bits always: alone or in a block, in any order,
    thread, process or machine.

    >>> from builder import Recipe
    >>> generate(Recipe(seed=7, width=160), range(3)).images.shape
    (3, 28, 160)
    """
    planner = planner_for(recipe)
    return render(planner, planner.plan(indices))


def regenerate(recipe: Recipe, seed: int) -> Sample:
    """Return the sample of a recipe whose 64-bit sample seed is `seed`.

    Raises `UsageError` for a seed that belongs to no index (see `builder.streams`).

    >>> from builder import Recipe
    >>> regenerate(Recipe(digits="350"), generate(Recipe(digits="350"), [41])[0].seed).index
    41
    """
    return generate(recipe, [streams.index_of_seed(recipe.seed, seed)])[0]


def render(planner: Planner, specs: Specs) -> Batch:
    """Return the batch of planned samples: pixels, and annotations from the same map."""
    from builder.kernels import mesh

    samples, digits = specs.labels.shape
    digit_bank, warp = planner.bank, Warp(specs.warps)
    images = np.empty((samples, HEIGHT, planner.recipe.width), dtype=np.uint8)
    boxes = np.zeros((samples, digits, 4), dtype=np.float32)
    visible = np.zeros((samples, digits), dtype=np.float32)
    shown = np.arange(digits) < specs.lengths[:, None]
    reach = _reach(warp, digit_bank.ink[specs.glyphs], specs.centres) * shown[..., None]
    mesh.draw_block(
        images,
        (digit_bank.glyphs, digit_bank.ink),
        specs.glyphs,
        specs.lengths,
        np.ascontiguousarray(np.moveaxis(specs.warps, 0, 2)),
        specs.centres,
        reach,
        boxes,
        visible,
        mesh.work_for(int((reach[..., 2] - reach[..., 0]).max(initial=0))),
    )
    return Batch(
        images=images,
        labels=specs.labels,
        lengths=specs.lengths.astype(np.uint8),
        index=specs.index,
        seeds=specs.seeds,
        glyphs=specs.glyphs,
        boxes=boxes,
        quads=_quads(warp, specs.centres) * shown[..., None, None],
        visible=visible,
    )


def _reach(warp: Warp, ink: npt.NDArray[np.int16], centres: npt.NDArray[np.float64]) -> Ints:
    """Return the pixels that each digit's ink can touch, x0, y0, x1, y1, (B, L, 4) int64.

    Bilinear sampling spreads a pixel half its size beyond its edges.
    """
    left, top, right, bottom = np.moveaxis(ink.astype(np.float64), 2, 0)
    x0, y0, x1, y1 = warp.bounds(
        left - 0.5 - centres, top - 0.5 - HALF, right + 0.5 - centres, bottom + 0.5 - HALF
    )
    reach = np.stack([np.floor(x0), np.floor(y0), np.ceil(x1), np.ceil(y1)], axis=-1)
    return reach.astype(np.int64)


def _quads(warp: Warp, centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return where the frame's corners went, (B, L, 4, 2) float32: x, y from top left clockwise."""
    left, right = -centres, bank.FRAME - centres
    x, y = warp.project(
        np.stack([left, right, right, left]), np.array([-HALF, -HALF, HALF, HALF])[:, None, None]
    )
    return np.stack([x, y], axis=-1).transpose(1, 2, 0, 3).astype(np.float32)
