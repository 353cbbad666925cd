"""Recipes: everything that decides the pixels and labels of sample i, checked when made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from builder.augment.ranges import Augment, Preset
from builder.common.constants import CLASSES, FRAME, RECIPE_VERSION, Integer
from builder.common.errors import UsageError
from builder.common.validation import (
    FrozenModel,
    LowHigh,
    WholeNumber,
    check_low_high,
    format_value,
    json_sha256,
)
from builder.recipe import labels
from builder.recipe.digits import MNIST, Source, Split
from builder.recipe.fit import LOWEST_GAP, WIDEST, Align, Between, Fit, StripLimits, check_width
from builder.recipe.labels_file import (
    LONGEST_LABEL,
    LabelsFile,
    register_labels,
    register_lines,
)


def _load_labels(value: object) -> object:
    """Return the labels file of a path, and anything else as it is."""
    return register_labels(value) if isinstance(value, (str, Path)) else value


def _complete_augment(value: Any) -> object:
    """Return the `Augment` of a preset's name or of values by name, anything else as it is."""
    if isinstance(value, str):
        return Augment.preset(value)  # type: ignore[arg-type]  # which refuses any other name
    return Augment(**value) if isinstance(value, Mapping) else value


def _sort_classes(digits: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return digits in order, or None for all ten. Raise `ValueError` for one that is doubled."""
    doubled = [digit for digit in sorted(set(digits)) if digits.count(digit) > 1]
    if doubled:
        raise ValueError(f"classes holds {doubled[0]} twice, expected each digit once")
    return None if len(digits) == CLASSES else tuple(sorted(digits))


DEFAULT_LENGTH = (1, 5)

LabelsOrder = Literal["file", "shuffled"]


class Recipe(FrozenModel):
    """Everything that decides the pixels and labels of sample i. Frozen, hashable, JSON both ways.

    The labels have one source: `digits`, `numbers`, `labels`, `labels_file`, or random digits of
    `length`.

    Args:
        seed: The master seed, 0 to 2**64 - 1; 0 by default.
        source: The digits that images are made of, from `builder.register`; MNIST by default.
        split: The glyphs that are drawn: `train` (the default), `test`, `validation` (the last
            tenth of the train file) or `fit` (the rest of it).
        length: Digits a label, a number or a pair, uniform, 1 to 255; (1, 5) by default.
        classes: The digits that random labels are made of, a string or numbers; all by default.
        digits: The label of every sample, a string or numbers.
        numbers: Labels uniform in "LO:HI", both included; "000:999" pads with zeros.
        labels_file: A file with one label of digits a line.
        labels: Texts of digits, in place of a labels file with these lines.
        labels_order: `file` (the default), or `shuffled`: each pass has an order of its own.
        spacing: Gaps between digits, px, a number or a pair, uniform, from -9; (5, 10) by default.
        width: The image width, px, 1 to 8192; 200 by default.
        fit: What happens to a strip wider than the image: it is squeezed (`squeeze`, the default),
            always made as wide as the image (`fill`), or refused (`error`).
        align: Where a narrower strip lies: `random` (the default), `left`, `center` or `right`.
        spacing_between: Whether gaps are between frames of 28 px (`frame`, the default) or `ink`.
        augment: A preset (`standard` by default), or an `Augment`, or its values by name.

    Raises:
        UsageError: A value is out of its range, or some sample could not be drawn.

    >>> recipe = Recipe(seed=7, length=(1, 5), spacing=(5, 10), width=200)
    >>> recipe == Recipe.from_json(recipe.to_json())
    True
    >>> Recipe(width=40)
    Traceback (most recent call last):
    builder.common.errors.UsageError: width is 40, too small for 5 digits with gaps of up to \
10 px: expected at least 90, or length at most 2, or spacing at most -3
    """

    seed: WholeNumber = Field(0, ge=0, lt=1 << 64, description="master seed")
    source: Source = Field(MNIST, description="the digits; see builder.register")
    split: Split = Field("train", description="which glyphs are used")
    length: LowHigh | None = Field(None, description="number of random digits in a sample (1:5)")
    classes: Annotated[labels.Digits, AfterValidator(_sort_classes)] | None = Field(
        None, description="digits that random labels are made of (all)"
    )
    digits: labels.Digits | None = Field(None, description="the same digits in every sample")
    numbers: labels.NumberText | None = Field(
        None, description="uniform numbers, both included; 000:999 pads with zeros"
    )
    labels_file: Annotated[LabelsFile | None, BeforeValidator(_load_labels)] = Field(
        None, description="labels from a file, one a line"
    )
    labels_order: LabelsOrder | None = Field(
        None, description="order of the file's lines (file); shuffled is new for each pass"
    )
    spacing: LowHigh = Field((5, 10), description="px between digits, uniform, both included")
    width: WholeNumber = Field(200, ge=1, le=WIDEST, description="image width, px")
    fit: Fit = Field(
        "squeeze",
        description="digits wider than the image: squeeze narrows them, error refuses them; fill "
        "makes digits as wide as the image, always",
    )
    align: Align = Field("random", description="where the digits go in a wider image")
    spacing_between: Between = Field(
        "frame", description="spacing between 28 px frames, or between ink"
    )
    augment: Annotated[Augment, BeforeValidator(_complete_augment)] = Field(
        default_factory=lambda: Augment.preset("standard"), description="a preset, or ranges"
    )

    if TYPE_CHECKING:  # fields take more types than they hold

        def __init__(  # noqa: PLR0913  # keywords, one for each field
            self,
            *,
            seed: Integer = 0,
            source: Source = MNIST,
            split: Split = "train",
            length: Integer | tuple[Integer, Integer] | list[int] | None = None,
            classes: str | Iterable[Integer] | None = None,
            digits: str | Iterable[Integer] | None = None,
            numbers: str | None = None,
            labels_file: str | Path | LabelsFile | None = None,
            labels: Iterable[str] | None = None,
            labels_order: LabelsOrder | None = None,
            spacing: Integer | tuple[Integer, Integer] | list[int] = (5, 10),
            width: Integer = 200,
            fit: Fit = "squeeze",
            align: Align = "random",
            spacing_between: Between = "frame",
            augment: Preset | Augment | Mapping[str, float] = "standard",
        ) -> None: ...

    @field_validator("length")
    @classmethod
    def _check_length(cls, value: LowHigh | None) -> LowHigh | None:
        return value and check_low_high("length", value, 1, LONGEST_LABEL, "digits")

    @field_validator("spacing")
    @classmethod
    def _check_spacing(cls, value: LowHigh) -> LowHigh:
        return check_low_high("spacing", value, LOWEST_GAP, WIDEST, "px")

    @model_validator(mode="before")
    @classmethod
    def _check_label_source(cls, data: dict[str, Any]) -> dict[str, Any]:
        sources = ("length", "digits", "numbers", "labels_file", "labels")
        given = [name for name in sources if data.get(name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are both given, expected one of them")
        lines = data.get("labels")
        data = {name: value for name, value in data.items() if name != "labels"}
        if lines is not None:
            given, data["labels_file"] = ["labels_file"], register_lines(lines)
        if not given:
            given, data = ["length"], {**data, "length": DEFAULT_LENGTH}
        if data.get("classes") is not None and given != ["length"]:
            raise ValueError(f"classes goes with random digits, but {given[0]} names the labels")
        if given != ["labels_file"] and data.get("labels_order") is not None:
            raise ValueError("labels_order is given without a labels_file")
        if given == ["labels_file"] and data.get("labels_order") is None:
            data = {**data, "labels_order": "file"}
        return data

    @model_validator(mode="after")
    def _check_fit(self) -> Recipe:
        shortest = self.length[0] if self.length else self.label_source.longest
        check_width(self.width, shortest, self.strip_limits)
        return self

    @property
    def strip_limits(self) -> StripLimits:
        """The limits of the strips that can be drawn."""
        extent = FRAME if self.spacing_between == "frame" else max(1, self.source.ink_width)
        longest = self.label_source.longest
        return StripLimits(longest, self.spacing, extent, self.fit, self.spacing_between)

    @cached_property
    def label_source(self) -> labels.LabelSource:
        """The source of labels that the recipe names."""
        if self.digits is not None:
            return labels.FixedDigits(self.digits)
        if self.numbers is not None:
            return labels.NumberRange.parse(self.numbers)
        if self.labels_file is not None:
            return labels.FileLines(self.labels_file, self.labels_order == "shuffled")
        lowest, highest = self.length or DEFAULT_LENGTH
        return labels.RandomDigits(lowest, highest, self.classes or tuple(range(CLASSES)))

    def to_json(self) -> dict[str, object]:
        """Return the recipe as JSON values, with resolved ranges and without what is off."""
        values = self.model_dump(mode="json", exclude_none=True)
        values["augment"] = self.augment.to_json()
        return {"recipe_version": RECIPE_VERSION, **values}

    @classmethod
    def from_json(cls, values: object) -> Recipe:
        """Return the recipe of the values that `to_json` returns.

        Raises:
            UsageError: The values are no recipe, or one of another version of this program.
        """
        if not isinstance(values, dict):
            raise UsageError(f"a recipe is a JSON object, but this is {type(values).__name__}")
        values = dict[str, Any](values)
        if "labels" in values:
            raise UsageError("labels: a stored recipe holds the sha256 of its labels_file instead")
        for name, expected in (
            ("labels_file", "sha256, lines and longest: a stored recipe names no path"),
            ("augment", "ranges by name: a stored recipe names no preset"),
        ):
            if isinstance(values.get(name), str):
                raise UsageError(f"{name} is {format_value(values[name])}, expected {expected}")
        version = values.pop("recipe_version", None)
        if type(version) is not int or version != RECIPE_VERSION:
            raise UsageError(
                f"recipe_version is {format_value(version)}, expected {RECIPE_VERSION}: "
                "the recipe was written by another version of this program"
            )
        return cls(**values)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the recipe's canonical JSON, 64 hex digits."""
        return json_sha256(self.to_json())
