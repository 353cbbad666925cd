"""The generator: `generate(recipe, indices)`, the one definition of what a sample looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from builder import bank, streams
from builder.augment.warp import Warp
from builder.batch import Batch, Sample
from builder.planner import HALF, Planner, Specs, planner_for
from builder.recipe import Recipe
from builder.streams import Ints

HEIGHT = bank.FRAME
"""Image height, px."""


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
