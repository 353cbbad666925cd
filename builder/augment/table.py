"""The table of augmentations, in the order in which they act; what they draw for a block."""

from __future__ import annotations

from collections.abc import Mapping

from builder.augment import background, geometric, grey_values, strokes, thickness
from builder.augment.augmentation import Augmentation, Draws, Effect, Geometric
from builder.augment.warp import Warp
from builder.common.constants import Int8s, Ints, Words

AUGMENTATIONS: dict[int, Augmentation] = {
    18: Geometric("thin", "thick", apply=thickness.change),
    19: Geometric("elastic", settings=("elastic_correlation",), apply=geometric.deform),
    16: Geometric("scale", apply=geometric.scale),
    20: Geometric("shear", apply=geometric.shear),
    21: Geometric("shear_y", apply=geometric.shear_y),
    22: Geometric("rotate", apply=geometric.rotate),
    23: Geometric("perspective", apply=geometric.tilt),
    17: Geometric("shift", apply=geometric.shift),
    24: Geometric("baseline", apply=geometric.move_baseline),
    25: Effect("contrast", draw=grey_values.draw_contrast, change=grey_values.bend_curve),
    26: Effect("blur", draw=grey_values.draw_blur, change=grey_values.smooth),
    27: Effect("strokes", settings=("stroke_width",), draw=strokes.draw, change=strokes.lay),
    28: Effect("background", draw=background.draw_flat, change=background.shade),
    29: Effect("gradient", draw=background.draw_gradient, change=background.shade),
    30: Effect("texture", draw=background.draw_texture, change=background.grain),
    31: Effect("invert", draw=grey_values.draw_invert, change=grey_values.invert),
    32: Effect("dropout", draw=grey_values.draw_dropout, change=grey_values.drop_pixels),
    33: Effect("noise", draw=grey_values.draw_noise, change=grey_values.add_noise),
}
"""Stream number and augmentation. A number stays with its augmentation for good and is never
given to another; streams below 16 belong to labels and layout."""


def draw_warps(augment: Mapping[str, float], seeds: Words, labels: Int8s) -> Warp:
    """Return the warps of a block, with every geometric augmentation that is on.

    Args:
        augment: Every value by name, as of `Augment.ranges`.
        seeds: Sample seeds (B,).
        labels: Digits (B, L), padded with -1.
    """
    warp = Warp.identity(*labels.shape)
    for stream, item in AUGMENTATIONS.items():
        if isinstance(item, Geometric) and item.is_on(augment):
            draws = Draws(seeds, labels, stream, augment["style"])
            item.apply(warp, draws, *item.values(augment))
    return warp


def draw_effects(
    augment: Mapping[str, float], seeds: Words, labels: Int8s
) -> list[tuple[Effect, Ints]]:
    """Return the effects that are on, in order, with their numbers (B, k); see `draw_warps`."""
    return [
        (item, item.draw(Draws(seeds, labels, stream), *item.values(augment)))
        for stream, item in AUGMENTATIONS.items()
        if isinstance(item, Effect) and item.is_on(augment)
    ]
