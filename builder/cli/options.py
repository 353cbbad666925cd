"""What several verbs share: options, the recipes and files that they name, log and tables."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from builder.augment.ranges import PRESETS, RANGES, Augment
from builder.cli import parse_range, parse_whole
from builder.common import untrusted_files
from builder.common.errors import UsageError, log_to
from builder.common.validation import FrozenModel, local_path
from builder.datasets.stored import StoredDataset, open_dataset
from builder.recipe import digits, labels_file
from builder.recipe.glyph_metrics import ORIENTATIONS, POLARITIES
from builder.recipe.recipe import Recipe
from builder.storage.manifest import LABELS, MANIFEST, MOST_BYTES
from builder.workers.options import BuildOptions


def parse_digits(text: str) -> tuple[int, ...]:
    """Return the digits of `3,5,0`; brackets and spaces around it are allowed."""
    try:
        return tuple(int(part) for part in text.strip("[] ").split(",") if text.strip("[] "))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a list of digits such as 3,5,0"
        ) from None


def parse_path(text: str) -> Path:
    """Return the path of a text; a `~` at its beginning is the user's home."""
    try:
        return local_path(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


SETTINGS_BY_TYPE: dict[object, dict[str, Any]] = {
    bool: {"action": "store_true"},
    int: {"type": parse_whole, "metavar": "N"},
    float: {"type": float},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "length": {"type": parse_range, "metavar": "N|LO:HI"},
    "classes": {"type": parse_digits, "metavar": "0,1"},
    "digits": {"type": parse_digits, "metavar": "3,5,0"},
    "numbers": {"metavar": "LO:HI"},
    "labels_file": {"type": parse_path, "metavar": "FILE"},
    "spacing": {"type": parse_range, "metavar": "N|LO:HI"},
    "dataset_dir": {"type": parse_path, "metavar": "DIR"},
    "hang_limit": {"metavar": "SECONDS"},
    "scheduler": {"metavar": "ADDRESS"},
}
"""Arguments of `add_argument` for the options of fields, beside those by the type of the field."""

Options = TypeVar("Options", bound=BuildOptions)

LABEL_SOURCES = ["length", "digits", "numbers", "labels_file"]
OTHER_FIELDS = Recipe.model_fields.keys() - {"source", "augment", *LABEL_SOURCES}
RECIPE_FIELDS = LABEL_SOURCES + [name for name in Recipe.model_fields if name in OTHER_FIELDS]
"""The fields of a recipe that are options of the same name. Only one source may be given."""

DIGITS_OPTIONS = {"digits_orientation": ORIENTATIONS, "digits_polarity": POLARITIES}
"""Options about the digits of --dataset-dir, and their values beside `auto`."""

RECIPE_OPTIONS = [*RECIPE_FIELDS, *DIGITS_OPTIONS, "augment", *Augment.model_fields]
RECIPE_OPTIONS.remove("labels_file")
"""Options that may not be given beside a file that names the whole recipe. Those of the user's
own files may: they only say where the files are."""

RECIPE = (
    "take the recipe from a recipe, plan or manifest file; of the options below only --labels-file "
    "and --dataset-dir may be given beside it, where this machine does not know these files yet"
)


def option_name(field: str) -> str:
    """Return the option of a field: `--labels-file` of `labels_file`."""
    return f"--{field.replace('_', '-')}"


def add_field(
    group: argparse._ActionsContainer,
    model: type[FrozenModel],
    name: str,
    note: str = "",
    **settings: Any,
) -> None:
    """Add the option of a model's field, with the field's description, type and default.

    Args:
        group: The parser, or a group of it.
        model: The class that has the field.
        name: The field.
        note: Text after the description, in place of the default.
        settings: Further arguments of `add_argument`.

    """
    field = model.model_fields[name]
    by_type: dict[str, Any] = {}
    for annotation in (field.annotation, *get_args(field.annotation)):
        kind = getattr(annotation, "__origin__", annotation)
        by_type |= SETTINGS_BY_TYPE.get(kind, {})
        if kind is Literal:
            by_type["choices"] = get_args(annotation)
    default = field.default
    if not note and default is not None and default is not False:
        note = f" ({':'.join(map(str, default)) if isinstance(default, tuple) else default})"
    settings = {**by_type, **SETTINGS.get(name, {}), **settings}
    group.add_argument(option_name(name), help=f"{field.description}{note}", **settings)


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a recipe."""
    group = parser.add_argument_group("recipe: what the samples are")
    group.add_argument("--recipe", type=parse_path, metavar="FILE", help=RECIPE)
    labels = group.add_mutually_exclusive_group()
    for name in RECIPE_FIELDS:
        add_field(labels if name in LABEL_SOURCES else group, Recipe, name)
    dataset_dir = "folder of four IDX files, or a .npz file, in place of MNIST"
    group.add_argument("--dataset-dir", type=parse_path, metavar="DIR", help=dataset_dir)
    for name, values in DIGITS_OPTIONS.items():
        text = "how these digits lie in their files (auto: as their pixels say)"
        group.add_argument(option_name(name), choices=("auto", *values), help=text)
    group.add_argument("--augment", choices=PRESETS, help="preset of augmentation (standard)")
    ranges = parser.add_argument_group("augmentation: single ranges beside the preset, 0 for off")
    for item in RANGES.values():
        note = f"; {item.least:g} to {item.most:g} {item.unit}"
        add_field(ranges, Augment, item.name, note, metavar=item.flag)


def add_worker_options(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add the options of verbs that use workers; return the group that `--quiet` is in."""
    add_field(parser, BuildOptions, "workers")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="no progress, no log but warnings")
    return group


def worker_options(arguments: argparse.Namespace, model: type[Options]) -> Options:
    """Return the options of a build or check that are given."""
    given = given_fields(arguments, model.model_fields)
    return model(progress="quiet" not in arguments, **given)


def show_log(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Send the log of the body to standard error; with `--quiet`, only its warnings."""
    level = logging.DEBUG if "verbose" in arguments else logging.INFO
    level = logging.WARNING if "quiet" in arguments else level
    return log_to(logging.StreamHandler(sys.stderr), level)


def given_fields(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the named options that are given."""
    return {name: vars(arguments)[name] for name in names if name in arguments}


def refuse_options(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Raise `UsageError` if one of the named options is given beside what excludes it."""
    for name in given_fields(arguments, names):
        raise UsageError(f"{option_name(name)} is given beside {reason}: drop one")


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that `--recipe` names, or that the other options describe."""
    if "recipe" in arguments:
        refuse_options(arguments, RECIPE_OPTIONS, "--recipe, which names the whole recipe")
        return with_own_files(read_recipe(arguments.recipe), arguments)
    fields = given_fields(arguments, RECIPE_FIELDS)
    ranges = given_fields(arguments, Augment.model_fields)
    fields["augment"] = Augment.preset(getattr(arguments, "augment", "standard"), **ranges)
    answers = given_fields(arguments, DIGITS_OPTIONS)
    if "dataset_dir" in arguments:
        answers = {name.removeprefix("digits_"): answer for name, answer in answers.items()}
        fields["source"] = digits.register(arguments.dataset_dir, **answers)
    elif answers:
        raise UsageError("--digits-orientation and --digits-polarity go with --dataset-dir")
    return Recipe(**fields)


def with_own_files(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    """Register the digits and labels that options name, and return the recipe.

    Raises `UsageError` if the files are not those of the recipe.
    """
    if "dataset_dir" in arguments:
        digits.register_expected(arguments.dataset_dir, recipe.source)
    if "labels_file" in arguments:
        path, expected = arguments.labels_file, recipe.labels_file
        if labels_file.register_labels(path, expected) != expected:
            raise UsageError(f"--labels-file {path}: is not what --recipe was made of")
    return recipe


def recipe_and_dataset(path: Path) -> tuple[Recipe, StoredDataset | None]:
    """Return the recipe in a file, or that of a dataset's folder together with the dataset.

    Raises `BuilderError` for a dataset of another generator version: its samples cannot be made
    again here.
    """
    if not path.is_dir():
        return read_recipe(path), None
    dataset = open_dataset(path)
    dataset.manifest.plan.require_own_version(path)
    return dataset.recipe, dataset


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a recipe, plan or manifest file."""
    if not os.path.lexists(path):
        raise UsageError(
            f"{path}: there is no such file or folder, expected a dataset's folder, or a recipe, "
            "plan or manifest file"
        )
    values: Any = untrusted_files.read_json(path, MOST_BYTES[MANIFEST])
    for key in ("plan", "recipe"):
        values = values.get(key, values) if isinstance(values, dict) else values
    try:
        recipe = Recipe.from_json(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if recipe.labels_file is not None and os.path.lexists(path.parent / LABELS):
        labels_file.register_copy(path.parent, LABELS, recipe.labels_file)  # of a dataset's folder
    return recipe
