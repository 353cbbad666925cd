"""`digitseq preview`: a picture of samples, or of what each augmentation does."""

from __future__ import annotations

import argparse
from pathlib import Path

from builder.cli import options, parse_whole, print_line
from builder.common import atomic_files
from builder.common.errors import UsageError
from builder.common.validation import whole_number
from builder.datasets.stored import open_dataset
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.visualization import contact_sheet, ladder

EXAMPLES = """examples:
  %(prog)s
  %(prog)s shards/run1 --count 100 --boxes
  %(prog)s --digits 3,5,0 --width 100 --spacing 10 30 --augment strong --out three.png
  %(prog)s --digits 2,3,5,7 --width 150 --ladder --out ladder.png
"""

TARGET = (
    "a dataset's folder, whose stored samples are shown, or a recipe, plan or manifest file; "
    "without it, the recipe below"
)
OUT = "the PNG file to write, or to replace (%(default)s)"
LADDER = "show the first sample under each augmentation alone, from weak to strong"

DEFAULT_COUNT = 40
MAX_COUNT = 2000
"""Samples of a sheet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    add = parser.add_argument
    add(
        "target",
        nargs="?",
        default=None,
        type=options.parse_path,
        metavar="DATASET|RECIPE",
        help=TARGET,
    )
    add("--out", type=options.parse_path, default=Path("preview.png"), metavar="FILE", help=OUT)
    add("--ladder", action="store_true", help=LADDER)
    add("--boxes", action="store_true", help="draw each digit's box and glyph frame")
    add("--count", type=parse_whole, metavar="N", help=f"samples, from index 0 ({DEFAULT_COUNT})")
    add("--columns", type=parse_whole, metavar="N", help="images in a row (what suits a screen)")
    add("--zoom", type=parse_whole, metavar="N", help="factor of enlargement (what suits a screen)")
    options.add_recipe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture, and print what it shows and its size."""
    _check_options(arguments)
    _check_out(arguments.out)
    if "ladder" in arguments:
        picture = ladder.ladder(_recipe(arguments), **options.given_fields(arguments, ["zoom"]))
        content = f"ladder of {len(ladder.strengths())} strengths"
    else:
        samples = _samples(arguments)
        settings = options.given_fields(arguments, ["columns", "zoom", "boxes"])
        picture = contact_sheet.contact_sheet(samples, **settings)
        content = f"{len(samples):,} sample{'s' if len(samples) > 1 else ''}"
    atomic_files.publish_bytes(arguments.out, contact_sheet.encode_png(picture))
    height, width = picture.shape[:2]
    print_line(f"{arguments.out}: {content}, {width} x {height} px")
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for numbers out of range, and for options that exclude each other."""
    pixels = contact_sheet.MAX_PIXELS
    limits = {"count": MAX_COUNT, "columns": pixels, "zoom": pixels}
    for name, number in options.given_fields(arguments, limits).items():
        whole_number(name, number, 1, limits[name])
    if "ladder" in arguments:
        options.refuse_options(
            arguments, ["count", "columns", "boxes"], "--ladder, which shows one sample"
        )
    if arguments.target is not None:
        reason = f"{arguments.target}, which names the whole recipe"
        options.refuse_options(arguments, ["recipe", *options.RECIPE_OPTIONS], reason)


def _check_out(out: Path) -> None:
    """Raise `UsageError` for a path where no PNG file can be written."""
    if out.exists() and not out.is_file():
        kind = "a folder" if out.is_dir() else "no regular file"
        raise UsageError(f"{out}: is {kind}, expected a file to write or replace")
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a name that ends in .png, which the picture is")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}; make it, or give another --out")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe of the target, or the one that the options describe."""
    if arguments.target is None:
        return options.recipe_from(arguments)
    recipe, _ = options.recipe_and_dataset(arguments.target)
    return options.with_own_files(recipe, arguments)


def _samples(arguments: argparse.Namespace) -> list[Sample]:
    """Return the first samples that a dataset has stored, or the first ones of a recipe."""
    count = getattr(arguments, "count", DEFAULT_COUNT)
    if arguments.target is not None and arguments.target.is_dir():
        return list(open_dataset(arguments.target)[:count])
    return list(generate(_recipe(arguments), range(count)))
