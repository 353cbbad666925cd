"""Recipes: everything that decides the pixels and labels of sample i, checked when made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from builder.augment.ranges import Augment
from builder.common import constants
from builder.common.constants import FRAME, RECIPE_VERSION
from builder.common.errors import UsageError
from builder.common.validation import FrozenModel, WholeNumber, format_value, json_sha256
from builder.recipe import labels
from builder.recipe.digits import MNIST, Source, Split
from builder.recipe.fit import LOWEST_GAP, WIDEST, Align, Between, Fit, check_fit
from builder.recipe.labels_file import LONGEST_LABEL, LabelsFile, register

DEFAULT_LENGTH = (1, 5)


def _pair(value: Any) -> Any:
    """Take a single number for a range of one."""
    return (value, value) if isinstance(value, int) else value


def _digit_tuple(value: Any) -> Any:
    """Take a string of digits, or any iterable of them."""
    if isinstance(value, str):
        return tuple(int(c) if c in "0123456789" else c for c in value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else value


def _labels_file(value: Any) -> Any:
    return register(value) if isinstance(value, (str, Path)) else value


def _augment(value: Any) -> Any:
    if isinstance(value, str):
        return Augment.preset(value)
    return Augment(**value) if isinstance(value, Mapping) else value


Order = Literal["file", "shuffled"]
Range = Annotated[tuple[WholeNumber, WholeNumber], BeforeValidator(_pair)]
Digits = Annotated[tuple[WholeNumber, ...], BeforeValidator(_digit_tuple)]


class Recipe(FrozenModel):
    """Everything that decides the pixels and labels of sample i. Frozen, hashable, JSON both ways.

    A sample is a pure function of (recipe, index). Bad values raise `UsageError` here, so no
    recipe exists whose samples could not be drawn.

    One source of labels at most is named: `digits` (the same in every sample), `numbers`
    ("LO:HI", both included; "000:999" pads), `labels_file` (a path; one label a line), or
    random digits of `length` (a number or a pair; the default, 1 to 5) from `classes`.

    >>> recipe = Recipe(seed=7, length=(1, 5), spacing=(5, 10), width=200)
    >>> recipe == Recipe.from_json(recipe.to_json())
    True
    >>> Recipe(width=40)
    Traceback (most recent call last):
    builder.common.errors.UsageError: width is 40, too small for 5 digits with gaps of up to \
10 px: expected at least 90, or length at most 2, or spacing at most -3
    """

    seed: WholeNumber = Field(default=0, ge=0, lt=1 << 64, description="master seed")
    source: Source = Field(default=MNIST, description="the digits; see builder.register")
    split: Split = Field(default="train", description="which glyphs are used")
    length: Range | None = Field(
        default=None, description="number of random digits in a sample (1:5)"
    )
    classes: Digits | None = Field(
        default=None, description="digits that random labels are made of (all)"
    )
    digits: Digits | None = Field(default=None, description="the same digits in every sample")
    numbers: str | None = Field(
        default=None, description="uniform numbers, both included; 000:999 pads with zeros"
    )
    labels_file: Annotated[LabelsFile | None, BeforeValidator(_labels_file)] = Field(
        default=None, description="labels from a file, one a line"
    )
    labels_order: Order | None = Field(
        default=None, description="order of the file's lines (file); shuffled is new for each pass"
    )
    spacing: Range = Field(default=(5, 10), description="px between digits, uniform, both included")
    width: WholeNumber = Field(default=200, ge=1, le=WIDEST, description="image width, px")
    fit: Fit = Field(
        default="squeeze",
        description="digits wider than the image: squeeze narrows them, error refuses them; fill "
        "makes digits as wide as the image, always",
    )
    align: Align = Field(default="random", description="where the digits go in a wider image")
    spacing_between: Between = Field(
        default="frame", description="spacing between 28 px frames, or between ink"
    )
    augment: Annotated[Augment, BeforeValidator(_augment)] = Field(
        default_factory=lambda: Augment.preset("standard"), description="a preset, or ranges"
    )

    @field_validator("length")
    @classmethod
    def _check_length(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return value and _ordered("length", value, 1, LONGEST_LABEL, "digits")

    @field_validator("spacing")
    @classmethod
    def _check_spacing(cls, value: tuple[int, int]) -> tuple[int, int]:
        return _ordered("spacing", value, LOWEST_GAP, WIDEST, "px")

    @field_validator("digits", "classes")
    @classmethod
    def _check_digits(cls, value: tuple[int, ...] | None, info: Any) -> tuple[int, ...] | None:
        if value is None:
            return None
        if not 1 <= len(value) <= LONGEST_LABEL:
            most = LONGEST_LABEL
            raise ValueError(f"{info.field_name} has {len(value)} digits, expected 1 to {most}")
        for digit in value:
            if not 0 <= digit <= 9:
                raise ValueError(f"{info.field_name} holds {digit}, expected digits from 0 to 9")
        if info.field_name == "digits":
            return value
        classes = tuple(sorted(set(value)))
        return None if len(classes) == constants.CLASSES else classes

    @field_validator("numbers")
    @classmethod
    def _check_numbers(cls, value: str | None) -> str | None:
        if value is None:
            return None
        numbers = _number_range(value)
        return f"{numbers.low:0{numbers.width}}:{numbers.high:0{numbers.width}}"

    @model_validator(mode="before")
    @classmethod
    def _one_label_source(cls, data: dict[str, Any]) -> dict[str, Any]:
        given = [
            name
            for name in ("length", "digits", "numbers", "labels_file")
            if data.get(name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are both given, expected one of them")
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
    def _strip_fits(self) -> Recipe:
        check_fit(
            width=self.width,
            lengths=(self.label_source.shortest, self.label_source.longest),
            spacing=self.spacing,
            extent=self.widest_extent,
            fit=self.fit,
            between=self.spacing_between,
        )
        return self

    @cached_property
    def label_source(self) -> labels.LabelSource:
        """The source of labels that the recipe names."""
        if self.digits is not None:
            return labels.FixedDigits(self.digits)
        if self.numbers is not None:
            return _number_range(self.numbers)
        if self.labels_file is not None:
            return labels.FileLines(self.labels_file, self.labels_order == "shuffled")
        lowest, highest = self.length or DEFAULT_LENGTH
        return labels.RandomDigits(lowest, highest, self.classes or tuple(range(10)))

    @property
    def widest_extent(self) -> int:
        """The largest nominal extent a digit can have, px."""
        return FRAME if self.spacing_between == "frame" else max(1, self.source.ink_width)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values: resolved ranges, nothing that is off."""
        values = self.model_dump(mode="json", exclude_none=True)
        values["augment"] = self.augment.to_json()
        return {"recipe_version": RECIPE_VERSION, **values}

    @classmethod
    def from_json(cls, values: Any) -> Recipe:
        """Return the recipe of `to_json`'s values. Raises `UsageError` for anything else."""
        if not isinstance(values, dict):
            raise UsageError(f"a recipe is a JSON object, but this is {type(values).__name__}")
        values = dict(values)
        if isinstance(values.get("labels_file"), str):
            raise UsageError(
                f"labels_file is {format_value(values['labels_file'])}, expected sha256, lines "
                "and longest: a stored recipe names no path"
            )
        if not isinstance(values.get("augment", {}), dict):
            raise UsageError(
                f"augment is {format_value(values['augment'])}, expected ranges by name: "
                "a stored recipe names no preset"
            )
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


def _ordered(
    name: str, value: tuple[int, int], least: int, most: int, unit: str
) -> tuple[int, int]:
    low, high = value
    if low > high:
        raise ValueError(
            f"{name} is {low} to {high}: the first number is the larger; write {high} {low}"
        )
    if low < least or high > most:
        raise ValueError(f"{name} is {low} to {high}, expected {unit} from {least} to {most}")
    return value


def _number_range(text: str) -> labels.NumberRange:
    low, colon, high = text.partition(":")
    if not (colon and low.isascii() and low.isdecimal() and high.isascii() and high.isdecimal()):
        raise ValueError(f"numbers is '{text}', expected LO:HI, such as 0:999 or 000:999")
    most = labels.LONGEST_NUMBER
    if max(len(low), len(high)) > most:
        raise ValueError(f"numbers is '{text}', expected numbers of up to {most} digits")
    if int(low) > int(high):
        raise ValueError(f"numbers is '{text}': LO is larger than HI; write {high}:{low}")
    padded = len(low) > 1 and low[0] == "0"
    return labels.NumberRange(int(low), int(high), max(len(low), len(high)) if padded else 1)
