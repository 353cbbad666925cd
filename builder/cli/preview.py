"""Make a picture of samples, or of what each augmentation does to one."""

from __future__ import annotations

import argparse
from pathlib import Path

from builder.cli.options import add_recipe_options, recipe_from, whole_recipe_options
from builder.cli.target import recipe_and_dataset
from builder.common import atomic_files
from builder.common.errors import UsageError
from builder.datasets.stored import open_dataset
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.storage.manifest import MANIFEST
from builder.visualization import contact_sheet, ladder

EXAMPLES = """examples:
  preview.py
  preview.py shards/run1 --count 100 --boxes
  preview.py --digits 3,5,0 --width 100 --spacing 10 30 --augment strong --out three.png
  preview.py --digits 2,3,5,7 --width 150 --ladder --out ladder.png
"""

COUNT = 40
MOST = 2000
"""Samples of a sheet: as many as are shown unless told, and at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("target", nargs="?", type=Path, metavar="DATASET|RECIPE",
                        help="a dataset's folder, whose stored samples are shown, or a recipe, "
                        "plan or manifest file; without it, the recipe below")  # fmt: skip
    parser.add_argument("--count", type=int, metavar="N",
                        help=f"how many samples, from index 0 ({COUNT})")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("preview.png"), metavar="FILE",
                        help="the PNG file to write, or to replace (%(default)s)")  # fmt: skip
    parser.add_argument("--boxes", action="store_true", default=None,
                        help="draw each digit's box, and the frame of its glyph")  # fmt: skip
    parser.add_argument("--ladder", action="store_true", help="show the first sample under each "
                        "augmentation alone, from weak to strong")  # fmt: skip
    parser.add_argument("--columns", type=int, metavar="N",
                        help="images in a row (chosen for the shape of a screen)")  # fmt: skip
    parser.add_argument("--zoom", type=int, metavar="N",
                        help="enlarge images so many times (chosen, too)")  # fmt: skip
    add_recipe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture and say how large it is."""
    _check(arguments)
    _check_out(arguments.out)
    if arguments.ladder:
        picture = ladder.ladder(_recipe(arguments), zoom=arguments.zoom)
        shown = f"ladder of {len(ladder.strengths())} strengths"
    else:
        samples = _samples(arguments)
        layout = arguments.columns, arguments.zoom
        picture = contact_sheet.contact_sheet(samples, *layout, boxes=bool(arguments.boxes))
        shown = f"{len(samples):,} sample{'s' if len(samples) > 1 else ''}"
    atomic_files.publish_bytes(arguments.out, contact_sheet.png(picture))
    height, width = picture.shape[:2]
    print(f"{arguments.out}: {shown}, {width} x {height} px")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for numbers out of range, and for options that do not go together."""
    for name, most in {"count": MOST, "columns": None, "zoom": None}.items():
        given = vars(arguments)[name]
        if given is not None and not 1 <= given <= (most or given):
            upper = f" to {most}" if most else ""
            raise UsageError(f"{name} is {given}, expected a whole number from 1{upper}")
    for name in ("count", "columns", "boxes"):
        if arguments.ladder and vars(arguments)[name] is not None:
            raise UsageError(f"--{name} is given beside --ladder, which shows one sample: drop one")
    if arguments.target is not None:
        _check_alone(arguments)


def _check_alone(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for options of a recipe beside a target, which names the whole recipe."""
    given = whole_recipe_options(vars(arguments))
    for name in ["recipe"] * (arguments.recipe is not None) + given:
        raise UsageError(
            f"--{name.replace('_', '-')} is given beside {arguments.target}, "
            "which names the whole recipe: drop one"
        )


def _check_out(out: Path) -> None:
    """Raise `UsageError` for a path where no file can be."""
    if out.is_dir():
        raise UsageError(f"{out}: is a folder, expected the name of a file such as preview.png")
    if out.exists() and not out.is_file():
        raise UsageError(f"{out}: is no regular file, expected the name of one to write or replace")
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a name that ends in .png, which the picture is")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}; make it, or give another --out")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that a file, a dataset, or the options name."""
    if arguments.target is None:
        return recipe_from(arguments)
    _, dataset = recipe_and_dataset(arguments.target)
    named = arguments.target if dataset is None else dataset.folder / MANIFEST
    return recipe_from(argparse.Namespace(**{**vars(arguments), "recipe": named}))


def _samples(arguments: argparse.Namespace) -> list[Sample]:
    """Return the first samples: those that a dataset has stored, or those of a recipe."""
    count = COUNT if arguments.count is None else arguments.count
    if arguments.target is not None and arguments.target.is_dir():
        return list(open_dataset(arguments.target)[:count])
    return list(generate(_recipe(arguments), range(count)))
