"""The table of augmentations, in the order in which they act, and `Augment`: their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from pydantic import Field, model_validator

from builder.augment.augmentation import Augmentation, Draws, Effect, Geometric, Range
from builder.augment.background import FLAT, GRADIENT, TEXTURE
from builder.augment.blur import BLUR
from builder.augment.contrast import CONTRAST, INVERT
from builder.augment.elastic import ELASTIC
from builder.augment.noise import DROPOUT, NOISE
from builder.augment.perspective import PERSPECTIVE
from builder.augment.rotate import ROTATE
from builder.augment.scale import SCALE
from builder.augment.shear import SHEAR, SHEAR_Y
from builder.augment.shift import BASELINE, SHIFT
from builder.augment.strokes import STROKES
from builder.augment.thickness import THICKNESS
from builder.augment.warp import Warp
from builder.common.constants import Int8s, Ints, Words
from builder.common.errors import UsageError
from builder.common.validation import FrozenModel, format_value

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
"""Not an augmentation: how alike the draws of some are."""

RANGES: tuple[Range, ...] = (STYLE, *(r for a in AUGMENTATIONS.values() for r in a.ranges))
"""Every range, in the order of `Augment`."""

Preset = Literal["none", "light", "standard", "strong"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


def _field(name: str) -> float:
    """Return the pydantic field of a range, typed as its value, as pydantic's `Field` is."""
    item = next(item for item in RANGES if item.name == name)
    return Field(
        default=item.default, ge=item.least, le=item.most, strict=True, description=item.help
    )


class Augment(FrozenModel):
    """The strength of every augmentation, 0, the default, for off; and settings of some.

    `docs/augmentation.md` says what each field means, with its unit and limits.

    >>> Augment(rotate=15, elastic=0.8, elastic_correlation=4)
    Augment(elastic=0.8, elastic_correlation=4.0, rotate=15.0)
    """

    style: float = _field("style")
    thin: float = _field("thin")
    thick: float = _field("thick")
    elastic: float = _field("elastic")
    elastic_correlation: float = _field("elastic_correlation")
    scale: float = _field("scale")
    shear: float = _field("shear")
    shear_y: float = _field("shear_y")
    rotate: float = _field("rotate")
    perspective: float = _field("perspective")
    shift: float = _field("shift")
    baseline: float = _field("baseline")
    contrast: float = _field("contrast")
    blur: float = _field("blur")
    strokes: float = _field("strokes")
    stroke_width: float = _field("stroke_width")
    background: float = _field("background")
    gradient: float = _field("gradient")
    texture: float = _field("texture")
    invert: float = _field("invert")
    dropout: float = _field("dropout")
    noise: float = _field("noise")

    @classmethod
    def preset(cls, name: Preset, **ranges: float) -> Augment:
        """Return a preset with single ranges changed.

        Args:
            name: `none`, `light`, `standard` or `strong`.
            **ranges: Fields that differ from the preset.

        Raises:
            UsageError: There is no such preset, or a range is unknown or out of its limits.

        >>> Augment.preset("none", shift=2)
        Augment(shift=2.0)
        """
        if name not in PRESETS:
            presets = ", ".join(PRESETS)
            raise UsageError(f"augment is {format_value(name)}, expected a preset: {presets}")
        return cls(**{**resolve_preset(name), **ranges})

    @model_validator(mode="after")
    def _refuse_unused_settings(self) -> Augment:
        values = self.ranges
        for item in AUGMENTATIONS.values():
            for setting in item.ranges:
                if values[setting.name] != setting.default and not item.is_on(values):
                    strengths = " and ".join(item.strengths)
                    raise ValueError(f"{setting.name} is given, but {strengths} is off")
        return self

    @property
    def ranges(self) -> dict[str, float]:
        """Every value by name, 0.0 for strengths that are off."""
        return dict(self)

    def to_json(self) -> dict[str, float]:
        """Return the values of what is on."""
        used = [r.name for a in AUGMENTATIONS.values() if a.is_on(self.ranges) for r in a.ranges]
        names = {STYLE.name, *used}
        return {name: value for name, value in self.ranges.items() if name in names and value}

    def __repr_args__(self) -> Iterable[tuple[str, float]]:
        return self.to_json().items()


def resolve_preset(name: Preset) -> dict[str, float]:
    """Return every value of a preset by name, 0 for strengths that are off."""
    return {item.name: item.presets.get(name, item.default) for item in RANGES}


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
            draws = Draws(seeds, labels, stream, augment[STYLE.name])
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
