"""The generator: `generate(recipe, indices)`, the one definition of what a sample looks like."""

from __future__ import annotations

import numpy as np

from builder.common import rng
from builder.common.constants import FRAME
from builder.generator.batch import Batch, Fields, Sample
from builder.generator.kernels import draw
from builder.generator.kernels.buffers import STEP, make_buffers
from builder.generator.kernels.canvas import Canvas
from builder.planner.planner import Indices, Planner, open_planner
from builder.planner.specs import Specs
from builder.recipe.recipe import Recipe


def generate(recipe: Recipe, indices: Indices, masks: bool = False) -> Batch:
    """Generate the samples of a recipe at some indices.

    The same (recipe, index) always gives the same bits: alone or in a block, in any order,
    thread, process or machine.

    Args:
        recipe: The recipe, which decides pixels and labels.
        indices: Indices of B samples, each a whole number in [0, 2**63), in any order.
        masks: Whether the batch has masks. Nothing else depends on it.

    Returns:
        The B samples in the order of `indices`: images (B, 28, W) uint8, labels, annotations.

    Raises:
        UsageError: An index is no whole number or not in [0, 2**63), or the split has no glyph
            of a digit that the labels need.

    >>> from builder import Recipe, generate
    >>> batch = generate(Recipe(seed=7, digits="350", width=160), range(3))
    >>> batch.images.shape, batch.texts
    ((3, 28, 160), ['350', '350', '350'])
    """
    planner = open_planner(recipe)
    return render(planner, planner.draw_specs(indices), masks)


def regenerate(recipe: Recipe, seed: int) -> Sample:
    """Generate one sample of a recipe again, from its sample seed alone.

    Args:
        recipe: The recipe of the sample.
        seed: Sample seed, as `Sample.seed` and stored datasets give it, in [0, 2**64).

    Returns:
        The sample, equal in every bit to the one that had this seed.

    Raises:
        UsageError: The seed is not in [0, 2**64), or it belongs to no index of the recipe: half
            of all 64-bit numbers do not.

    >>> from builder import Recipe, generate, regenerate
    >>> recipe = Recipe(seed=7, digits="350")
    >>> seed = generate(recipe, [41])[0].seed
    >>> regenerate(recipe, seed).index
    41
    """
    return generate(recipe, [rng.index_of_seed(recipe.seed, seed)])[0]


def render(planner: Planner, specs: Specs, masks: bool = False) -> Batch:
    """Render planned samples: pixels, and annotations from the same map.

    Args:
        planner: The planner that made the specs.
        specs: The drawn numbers of B samples.
        masks: Whether the batch has masks.
    """
    canvas = make_canvas(specs, planner.recipe.width, masks)
    bank = planner.glyph_arrays
    buffers = make_buffers(draw.find_most_nodes(specs.digits, bank), canvas.width)
    draw.draw_block(canvas, specs.digits, bank, buffers)
    images = np.ascontiguousarray(canvas.pixels[:, :, : canvas.width])
    for effect, numbers in specs.effects:
        effect.apply(images, numbers)
    fields = Fields(
        images=images,
        labels=specs.labels,
        lengths=specs.digits.lengths.astype(np.uint8),
        index=specs.index,
        seeds=specs.seeds,
        glyphs=specs.digits.glyphs,
        boxes=canvas.boxes,
        quads=canvas.quads,
        visible=canvas.visible,
        masks=canvas.masks if masks else None,
    )
    return Batch.from_fields(fields)


def make_canvas(specs: Specs, width: int, masks: bool) -> Canvas:
    """Return a canvas for a block, with annotations of zeros; the images are not cleared."""
    samples, digits = specs.labels.shape
    words = np.empty((samples, FRAME, -(-width // STEP)), dtype=np.uint32)
    return Canvas(
        words=words,
        pixels=words.view(np.uint8),
        masks=np.zeros((samples if masks else 0, FRAME, width), dtype=np.uint8),
        boxes=np.zeros((samples, digits, 4), dtype=np.float32),
        quads=np.zeros((samples, digits, 4, 2), dtype=np.float32),
        visible=np.zeros((samples, digits), dtype=np.float32),
        width=width,
    )
