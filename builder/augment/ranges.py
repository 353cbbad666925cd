"""The ranges of augmentations: limits and presets; and `Augment`, the values of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from pydantic import Field, model_validator

from builder.augment.geometric import MOST_PERSPECTIVE
from builder.augment.table import AUGMENTATIONS
from builder.common.errors import UsageError
from builder.common.validation import FrozenModel, format_value

UNITS = {
    "DEG": "degrees",
    "K": "px per px",
    "LEVEL": "levels",
    "N": "strokes",
    "P": "share",
    "PX": "px",
    "S": "share",
    "SD": "levels",
}
"""The unit of a range, by what stands for its value in help."""

Preset = Literal["none", "light", "standard", "strong"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True)
class Range:
    """One number of an augmentation: a strength, or a setting.

    Attributes:
        name: Its name in `Augment`, in recipes and (with `-` for `_`) on the command line.
        flag: What stands for its value in help, such as `DEG`; one of `UNITS`.
        help: What the value does, in a line that mentions `flag`.
        most: The largest value allowed.
        presets: The value in each preset; a preset that is not named has the default.
        least: The smallest value allowed, 0 for a strength.
        default: 0 for a strength, which is off then; another number for a setting.
    """

    name: str
    flag: str
    help: str
    most: float
    presets: Mapping[str, float]
    least: float
    default: float

    @property
    def unit(self) -> str:
        """The unit of the value."""
        return UNITS[self.flag]


def _range(  # noqa: PLR0913  # what few ranges have is keyword-only
    flag: str,
    help_text: str,
    most: float,
    presets: tuple[float, ...] = (),
    *,
    least: float = 0.0,
    default: float = 0.0,
) -> float:
    """Return the pydantic field of a `Range`, typed as its value, as pydantic's `Field` is.

    `presets` are the values in light, standard and strong, or none if all have the default.
    """
    named = dict(zip(PRESETS[1:], presets, strict=False))
    extra: dict[str, Any] = {"flag": flag, "most": most, "least": least, "presets": named}
    return Field(
        default, ge=least, le=most, strict=True, description=help_text, json_schema_extra=extra
    )


class Augment(FrozenModel):
    """The strength of every augmentation, 0, the default, for off; and settings of some.

    `docs/augmentation.md` says what each field means, with its unit and limits.

    >>> Augment(rotate=15, elastic=0.8, elastic_correlation=4)
    Augment(elastic=0.8, elastic_correlation=4.0, rotate=15.0)
    """

    style: float = _range(
        "S",
        "how much of scale, slant and thickness is the writer's, the same along a strip",
        1.0,
        (0.7, 0.7, 0.7),
    )
    thin: float = _range(
        "S", "make strokes thinner by up to a share S of their width", 0.5, (0.0, 0.0, 0.4)
    )
    thick: float = _range(
        "S", "make strokes thicker by up to a share S of their width", 1.0, (0.0, 0.0, 0.6)
    )
    elastic: float = _range(
        "PX", "displace points smoothly, by PX pixels (root mean square)", 1.5, (0.2, 0.4, 1.0)
    )
    elastic_correlation: float = _range(
        "PX",
        "correlation length of that: the sigma of the Gaussian that smooths it",
        10.0,
        least=3.0,
        default=5.0,
    )
    scale: float = _range(
        "S", "scale x and y by independent factors in [1 - S, 1 + S]", 0.5, (0.04, 0.08, 0.2)
    )
    shear: float = _range(
        "K", "slant by up to K px to either side for each px of height", 1.0, (0.05, 0.1, 0.27)
    )
    shear_y: float = _range(
        "K", "tilt by up to K px up or down for each px of width", 1.0, (0.015, 0.03, 0.1)
    )
    rotate: float = _range(
        "DEG",
        "rotate by up to DEG degrees to either side, half of it for 1 and 7",
        180.0,
        (2.5, 5.0, 15.0),
    )
    perspective: float = _range(
        "S",
        "bring an edge of the frame up to a share S nearer, its opposite farther",
        MOST_PERSPECTIVE,
        (0.01, 0.02, 0.08),
    )
    shift: float = _range(
        "PX", "shift right or left, down or up, by up to PX pixels", 8.0, (0.25, 0.5, 2.0)
    )
    baseline: float = _range(
        "PX",
        "raise or lower digits by up to PX pixels, along a slope and each by itself",
        8.0,
        (0.25, 0.5, 1.5),
    )
    contrast: float = _range(
        "S",
        "bend the curve of grey values, half-tones up to S / 4 of white lighter or darker",
        1.0,
        (0.0, 0.0, 0.6),
    )
    blur: float = _range("PX", "blur by a Gaussian of sigma up to PX pixels", 1.0, (0.0, 0.0, 0.8))
    strokes: float = _range(
        "N",
        "lay up to N short strokes of any grey over the image, rounded up now and then",
        20.0,
        (0.0, 0.0, 1.0),
    )
    stroke_width: float = _range(
        "PX", "their width, from 1 to PX pixels", 10.0, least=1.0, default=3.0
    )
    background: float = _range(
        "LEVEL",
        "lighten the background evenly, to grey levels up to LEVEL",
        255.0,
        (0.0, 0.0, 40.0),
    )
    gradient: float = _range(
        "LEVEL", "lighten it from one side, to grey levels up to LEVEL", 255.0, (0.0, 0.0, 40.0)
    )
    texture: float = _range(
        "LEVEL", "give it a grain of grey levels up to LEVEL", 255.0, (0.0, 0.0, 30.0)
    )
    invert: float = _range("P", "turn a share P of the images into black on white", 1.0)
    dropout: float = _range("S", "set up to a share S of the pixels to 0", 0.5, (0.0, 0.0, 0.02))
    noise: float = _range(
        "SD", "add Gaussian-like noise of a deviation up to SD grey levels", 128.0, (0.0, 0.0, 12.0)
    )

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
        values, fields = self.ranges, type(self).model_fields
        for item in AUGMENTATIONS.values():
            for name in item.settings:
                if values[name] != fields[name].default and not item.is_on(values):
                    strengths = " and ".join(item.strengths)
                    raise ValueError(f"{name} is given, but {strengths} is off")
        return self

    @property
    def ranges(self) -> dict[str, float]:
        """Every value by name, 0.0 for strengths that are off."""
        return dict(self)

    def to_json(self) -> dict[str, float]:
        """Return the values of what is on."""
        off = [item for item in AUGMENTATIONS.values() if not item.is_on(self.ranges)]
        unused = {name for item in off for name in item.strengths + item.settings}
        return {name: value for name, value in self.ranges.items() if value and name not in unused}

    def __repr_args__(self) -> Iterable[tuple[str, float]]:
        return self.to_json().items()


RANGES = {
    name: Range(
        name,
        help=info.description or "",
        default=info.default,
        **cast("dict[str, Any]", info.json_schema_extra),
    )
    for name, info in Augment.model_fields.items()
}
"""Every range by name, in the order of `Augment`."""


def resolve_preset(name: Preset) -> dict[str, float]:
    """Return every value of a preset by name, 0 for strengths that are off."""
    return {item.name: item.presets.get(name, item.default) for item in RANGES.values()}
