"""Ranges: the part of a recipe that says how much of each augmentation there is."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model, model_validator

from builder.augment.table import PRESETS, RANGES, idle, preset, without_idle
from builder.common.errors import UsageError
from builder.common.validation import FrozenModel

_Ranges = create_model(
    "_Ranges",
    __base__=FrozenModel,
    **{  # type: ignore[call-overload]  # one field for each range of the table
        item.name: (
            float,
            Field(
                default=item.default,
                ge=item.least,
                le=item.most,
                strict=True,
                description=item.help,
            ),
        )
        for item in RANGES
    },
)


class Augment(_Ranges):
    """The strength of every augmentation, 0, the default, for off; and settings of some.

    >>> Augment(rotate=15, elastic=0.8, elastic_correlation=4)
    Augment(elastic=0.8, elastic_correlation=4.0, rotate=15.0)
    """

    @classmethod
    def preset(cls, name: str, **ranges: float) -> Augment:
        """Return a preset (`none`, `light`, `standard`, `strong`) with single ranges changed.

        >>> Augment.preset("none", shift=2)
        Augment(shift=2.0)
        """
        if name not in PRESETS:
            raise UsageError(f"augment is '{name}', expected a preset: {', '.join(PRESETS)}")
        return cls(**{**preset(name), **ranges})

    @model_validator(mode="after")
    def _settings_are_used(self) -> Augment:
        for setting, strengths in idle(self.ranges).items():
            raise ValueError(f"{setting} is given, but {' and '.join(strengths)} is off")
        return self

    @property
    def ranges(self) -> dict[str, float]:
        """Every range by name, 0.0 for strengths that are off."""
        return dict(self)

    def to_json(self) -> dict[str, float]:
        """Return the ranges of what is on."""
        return without_idle(self.ranges)

    def __repr_args__(self) -> Any:
        return self.to_json().items()
