"""The table of augmentations: one line for each, in the order in which they act."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from builder.augment.augmentation import Augmentation, Draw, Effect, Geometric, Range
from builder.augment.background import FLAT, GRADIENT, TEXTURE
from builder.augment.baseline import BASELINE
from builder.augment.blur import BLUR
from builder.augment.contrast import CONTRAST
from builder.augment.dropout import DROPOUT
from builder.augment.elastic import ELASTIC
from builder.augment.invert import INVERT
from builder.augment.noise import NOISE
from builder.augment.perspective import PERSPECTIVE
from builder.augment.rotate import ROTATE
from builder.augment.scale import SCALE
from builder.augment.shear import SHEAR, SHEAR_Y
from builder.augment.shift import SHIFT
from builder.augment.strokes import STROKES
from builder.augment.thickness import THICKNESS
from builder.augment.warp import Warp
from builder.common.constants import Ints, Words

AUGMENTATIONS: dict[int, Augmentation] = {
    18: THICKNESS,
    19: ELASTIC,
    16: SCALE,
    20: SHEAR,
    21: SHEAR_Y,
    22: ROTATE,
    23: PERSPECTIVE,
    17: SHIFT,
    24: BASELINE,
    25: CONTRAST,
    26: BLUR,
    27: STROKES,
    28: FLAT,
    29: GRADIENT,
    30: TEXTURE,
    31: INVERT,
    32: DROPOUT,
    33: NOISE,
}
"""Stream number and augmentation. A number stays with its augmentation for good and is never
given to another; streams below 16 belong to labels and layout."""

STYLE = Range(
    name="style",
    flag="S",
    unit="share",
    help="how much of scale, slant and thickness is the writer's, the same along a strip",
    most=1.0,
    presets={"light": 0.7, "standard": 0.7, "strong": 0.7},
)
"""Not an augmentation: how the draws of some are alike."""

RANGES: tuple[Range, ...] = (STYLE, *(r for a in AUGMENTATIONS.values() for r in a.ranges))

EFFECTS = tuple(a for a in AUGMENTATIONS.values() if isinstance(a, Effect))

PRESETS = ("none", "light", "standard", "strong")


def preset(name: str) -> dict[str, float]:
    """Return every number of a preset by name, 0 for strengths that are off."""
    return {item.name: item.presets.get(name, item.default) for item in RANGES}


def without_idle(augment: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of what is on."""
    used = {r.name for a in AUGMENTATIONS.values() if a.is_on(augment) for r in a.ranges}
    return {name: value for name, value in augment.items() if name in {STYLE.name, *used} and value}


def idle(augment: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the settings given although what they belong to is off, with its strengths."""
    return {
        r.name: [strength.name for strength in a.ranges if not strength.default]
        for a in AUGMENTATIONS.values()
        for r in a.ranges
        if not a.is_on(augment) and augment[r.name] != r.default
    }


def augmented(augment: Mapping[str, float], seeds: Words, labels: npt.NDArray[np.int8]) -> Warp:
    """Return the warps of a block of labels (B, L), with every geometric augmentation applied."""
    warp = Warp.identity(*labels.shape)
    for stream, item in AUGMENTATIONS.items():
        if isinstance(item, Geometric) and item.is_on(augment):
            draw = Draw(seeds, labels, stream, augment[STYLE.name])
            item.apply(warp, draw, *item.values(augment))
    return warp


def effects(
    augment: Mapping[str, float], seeds: Words, labels: npt.NDArray[np.int8]
) -> list[tuple[Effect, Ints]]:
    """Return the effects that are on, in order, with what they drew for a block."""
    return [
        (item, item.numbers(Draw(seeds, labels, stream), *item.values(augment)))
        for stream, item in AUGMENTATIONS.items()
        if isinstance(item, Effect) and item.is_on(augment)
    ]
