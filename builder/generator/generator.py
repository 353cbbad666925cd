"""The generator: `generate(recipe, indices)`, the one definition of what a sample looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from builder.common import rng
from builder.common.constants import FRAME, Ints
from builder.generator.batch import Batch, Fields, Sample
from builder.generator.kernels import draw, elastic
from builder.generator.kernels.buffers import Drawn, Planned, work_for
from builder.planner.planner import Planner, Specs, planner_for
from builder.recipe.recipe import Recipe


def generate(recipe: Recipe, indices: Sequence[int] | Ints | range, masks: bool = False) -> Batch:
    """Return the samples of a recipe at `indices`, each a whole number in [0, 2**63).

    The same (recipe, index) gives the same bits always: alone or in a block, in any order,
    thread, process or machine. With `masks` the batch has masks, too; nothing else changes.

    >>> from builder import Recipe
    >>> generate(Recipe(seed=7, width=160), range(3)).images.shape
    (3, 28, 160)
    """
    planner = planner_for(recipe)
    return render(planner, planner.plan(indices), masks)


def regenerate(recipe: Recipe, seed: int) -> Sample:
    """Return the sample of a recipe whose 64-bit sample seed is `seed`.

    Raises `UsageError` for a seed that belongs to no index (see `builder.common.rng`).

    >>> from builder import Recipe
    >>> regenerate(Recipe(digits="350"), generate(Recipe(digits="350"), [41])[0].seed).index
    41
    """
    return generate(recipe, [rng.index_of_seed(recipe.seed, seed)])[0]


def render(planner: Planner, specs: Specs, masks: bool = False) -> Batch:
    """Return the batch of planned samples: pixels, and annotations from the same map."""
    samples, digits = specs.labels.shape
    width = planner.recipe.width
    words = np.empty((samples, FRAME, -(-width // 4)), dtype=np.uint32)
    drawn = Drawn(
        words=words,
        pixels=words.view(np.uint8),
        masks=np.zeros((samples if masks else 0, FRAME, width), dtype=np.uint8),
        boxes=np.zeros((samples, digits, 4), dtype=np.float32),
        quads=np.zeros((samples, digits, 4, 2), dtype=np.float32),
        visible=np.zeros((samples, digits), dtype=np.float32),
        width=width,
    )
    with np.errstate(over="ignore"):  # hashes wrap around; not compiled, numpy would warn of it
        _draw(planner, specs, drawn)
        images = np.ascontiguousarray(drawn.pixels[:, :, :width])
        for effect, numbers in specs.effects:
            effect.apply(images, numbers)
    fields = Fields(
        images=images,
        labels=specs.labels,
        lengths=specs.lengths.astype(np.uint8),
        index=specs.index,
        seeds=specs.seeds,
        glyphs=specs.glyphs,
        boxes=drawn.boxes,
        quads=drawn.quads,
        visible=drawn.visible,
        masks=drawn.masks if masks else None,
    )
    return Batch.from_fields(fields)


def _draw(planner: Planner, specs: Specs, drawn: Drawn) -> None:
    """Draw the digits of planned samples, with their annotations, into zeroed arrays."""
    digit_bank = planner.bank
    planned = Planned(
        lengths=specs.lengths,
        glyphs=specs.glyphs,
        warps=np.ascontiguousarray(np.moveaxis(specs.warp.numbers, 0, 2)),
        centres=specs.centres,
        growth=specs.growth,
        gain=specs.gain,
        keys=specs.warp.keys,
    )
    rms, correlation = specs.warp.elastic
    noise = elastic.scale_of(rms), elastic.steps_of(correlation)
    work = work_for(draw.most_nodes(planned, digit_bank.ink, noise), drawn.width)
    draw.draw_block(drawn, planned, (digit_bank.glyphs, digit_bank.ink), noise, work)
