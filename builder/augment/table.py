"""The table of augmentations: one line for each, in the order in which they act."""

from __future__ import annotations

from builder.augment.augmentation import Draw, Geometric
from builder.augment.scale import SCALE
from builder.augment.shift import SHIFT
from builder.augment.warp import Warp
from builder.streams import Words

AUGMENTATIONS: dict[int, Geometric] = {
    16: SCALE,
    17: SHIFT,
}
"""Stream number and augmentation. A number stays with its augmentation for good and is never
given to another; streams below 16 belong to labels and layout."""

PRESETS = ("none", "light", "standard", "strong")


def strengths_of(preset: str) -> dict[str, float]:
    """Return the strength of every augmentation in a preset, 0 for those that are off."""
    return {item.name: item.presets.get(preset, 0.0) for item in AUGMENTATIONS.values()}


def augmented(strengths: dict[str, float], seeds: Words, digits: int) -> Warp:
    """Return the warps (B, digits) of a block, with every augmentation that is on applied."""
    warp = Warp.identity(len(seeds), digits)
    for stream, item in AUGMENTATIONS.items():
        if strengths[item.name]:
            item.apply(warp, strengths[item.name], Draw(seeds, digits, stream))
    return warp
