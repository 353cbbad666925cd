"""Command-line options that make a recipe, shared by the verbs that take one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from builder.augment.ranges import Augment
from builder.augment.table import PRESETS, RANGES
from builder.common import untrusted_files
from builder.common.errors import UsageError
from builder.recipe import digits, fit, labels_file
from builder.recipe.recipe import Recipe
from builder.storage.manifest import LABELS, MANIFEST, MOST_BYTES


def digit_list(text: str) -> tuple[int, ...]:
    """Read `3,5,0`; spaces and brackets around it are fine."""
    try:
        return tuple(int(part) for part in text.strip("[] ").split(",") if text.strip("[] "))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a list of digits such as 3,5,0"
        ) from None


def length_range(text: str) -> tuple[int, int]:
    """Read `5` or `1:5`."""
    low, _, high = text.partition(":")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a length such as 5 or 1:5") from None


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that is part of a recipe; those not given are absent from the result."""
    absent = argparse.SUPPRESS
    made = parser.add_argument_group("recipe: what the samples are")
    made.add_argument("--recipe", type=Path, metavar="FILE", help="take the recipe from a recipe, "
                      "plan or manifest file; of the options below only the two for own files "
                      "go with it, where they are not known yet")  # fmt: skip
    made.add_argument("--seed", type=int, default=absent, metavar="S", help="master seed (0)")
    labels = made.add_mutually_exclusive_group()
    labels.add_argument("--length", type=length_range, default=absent, metavar="N|LO:HI",
                        help="random digits, so many a sample (1:5)")  # fmt: skip
    labels.add_argument("--digits", type=digit_list, default=absent, metavar="3,5,0",
                        help="the same digits in every sample")  # fmt: skip
    labels.add_argument("--numbers", default=absent, metavar="LO:HI",
                        help="uniform numbers, both included; 000:999 pads with zeros")  # fmt: skip
    labels.add_argument("--labels-file", default=absent, metavar="FILE",
                        help="labels from a file, one a line")  # fmt: skip
    made.add_argument("--labels-order", default=absent, choices=("file", "shuffled"),
                      help="order of the file's lines; shuffled is new for each pass")  # fmt: skip
    made.add_argument("--classes", type=digit_list, default=absent, metavar="0,1",
                      help="digits that random labels are made of (all)")  # fmt: skip
    made.add_argument("--spacing", type=int, nargs=2, default=absent, metavar=("LO", "HI"),
                      help="px between digits, uniform, both included (5 10)")  # fmt: skip
    made.add_argument("--width", type=int, default=absent, metavar="W",
                      help="image width, px (200)")  # fmt: skip
    made.add_argument("--fit", default=absent, choices=get_args(fit.Fit),
                      help="digits wider than the image are narrowed (squeeze), always made to "
                      "fill it (fill), or refused (error)")  # fmt: skip
    made.add_argument("--align", default=absent, choices=get_args(fit.Align),
                      help="where the digits go in a wider image (random)")  # fmt: skip
    made.add_argument("--spacing-between", default=absent, choices=get_args(fit.Between),
                      help="spacing between 28 px frames, or between ink (frame)")  # fmt: skip
    made.add_argument("--split", default=absent, choices=digits.SPLITS,
                      help="which glyphs are used (train)")  # fmt: skip
    made.add_argument("--dataset-dir", default=absent, metavar="DIR",
                      help="a folder of four IDX files in place of the bundled MNIST")  # fmt: skip
    made.add_argument("--augment", default=absent, choices=PRESETS,
                      help="preset of augmentation (standard)")  # fmt: skip
    ranges = parser.add_argument_group("augmentation: single ranges beside the preset, 0 for off")
    for item in RANGES:
        option = f"--{item.name.replace('_', '-')}"
        allowed = f"{item.least:g} to {item.most:g} {item.unit}"
        ranges.add_argument(option, type=float, default=absent, metavar=item.flag,
                            help=f"{item.help}; {allowed}")  # fmt: skip


RECIPE_OPTIONS = (
    "seed", "length", "digits", "numbers", "labels_file", "labels_order", "classes", "spacing",
    "width", "fit", "align", "spacing_between", "split",
)  # fmt: skip


def whole_recipe_options(given: Mapping[str, Any]) -> list[str]:
    """Return the given options that cannot go with a recipe that is named: all but own files."""
    names = (*RECIPE_OPTIONS, "augment", *(item.name for item in RANGES))
    return [name for name in names if name in given and name != "labels_file"]


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that the options ask for."""
    given = vars(arguments)
    if arguments.recipe is not None:
        if others := whole_recipe_options(given):
            option = others[0].replace("_", "-")
            raise UsageError(f"--{option} is given beside --recipe, which names the whole recipe")
        return _with_own_files(recipe_in(arguments.recipe), given)
    fields: dict[str, Any] = {name: given[name] for name in RECIPE_OPTIONS if name in given}
    ranges = {item.name: given[item.name] for item in RANGES if item.name in given}
    fields["augment"] = Augment.preset(given.get("augment", "standard"), **ranges)
    if "dataset_dir" in given:
        fields["source"] = digits.register(given["dataset_dir"])
    return Recipe(**fields)


def _with_own_files(recipe: Recipe, given: dict[str, Any]) -> Recipe:
    """Make the digits and labels that are named beside a recipe known, if they are the recipe's."""
    own = {"dataset_dir": (digits.register, recipe.source),
           "labels_file": (labels_file.register, recipe.labels_file)}  # fmt: skip
    for name, (register, expected) in own.items():
        if name in given and register(given[name]) != expected:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} {given[name]}: is not what --recipe was made of")
    return recipe


def recipe_in(path: Path) -> Recipe:
    """Return the recipe in a file: of its own, or in a plan or manifest."""
    values: Any = json_in(path)
    for holder in ("plan", "recipe"):
        values = values.get(holder, values) if isinstance(values, dict) else values
    try:
        recipe = Recipe.from_json(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if recipe.labels_file is not None and os.path.lexists(path.parent / LABELS):
        labels_file.register_copy(path.parent, LABELS, recipe.labels_file)  # a dataset brings it
    return recipe


def json_in(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises `UsageError` for anything else."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES[MANIFEST])
        values = untrusted_files.parse_json(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: holds {type(values).__name__}, expected a JSON object")
    return values
