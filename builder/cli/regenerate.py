"""Make single samples again as PNG files, by seed or index; compare them with the stored ones."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from builder.cli.target import recipe_and_dataset
from builder.common import atomic_files, rng
from builder.common.errors import UsageError
from builder.datasets.stored import StoredDataset
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.storage.config import check_png_label
from builder.storage.formats.png import encoded, png_name

EXAMPLES = """examples:
  regenerate.py shards/run1 --index 0 41
  regenerate.py shards/run1 --sample-seed 0x7d1f3a55c0ffee01 --out again
  regenerate.py recipe.json --index 123456789012
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("target", type=Path, metavar="DATASET|RECIPE",
                        help="a dataset's folder, or a recipe, plan or manifest file")  # fmt: skip
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--sample-seed", type=_whole, nargs="+", metavar="S",
                       help="64-bit sample seeds, decimal or 0x...")  # fmt: skip
    which.add_argument("--index", type=_whole, nargs="+", metavar="I", help="sample indices")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR",
                        help="folder for the PNG files (the current one)")  # fmt: skip


def _whole(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def run(arguments: argparse.Namespace) -> int:
    """Write each sample and say whether it equals the stored one; 1 where one does not."""
    recipe, dataset = recipe_and_dataset(arguments.target)
    indices = arguments.index or [
        rng.index_of_seed(recipe.seed, seed) for seed in arguments.sample_seed
    ]
    _check_indices(indices, dataset, arguments.target)
    check_png_label(recipe.label_source.longest)
    made = list(generate(recipe, indices))
    equal = [dataset is None or same(sample, dataset[sample.index]) for sample in made]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for sample, as_stored in zip(made, equal, strict=True):
        path = arguments.out / png_name(sample.index, sample.text)
        atomic_files.publish_bytes(path, encoded(sample.image))
        verdict = (
            "" if dataset is None else f", {'' if as_stored else 'NOT '}equal to the stored one"
        )
        print(f"{path}: label {sample.text}, seed {sample.seed:#018x}{verdict}")
    return 0 if all(equal) else 1


def _check_indices(indices: list[int], dataset: StoredDataset | None, target: Path) -> None:
    """Raise `UsageError` for an index, or the index of a seed, that the target does not have."""
    limit = rng.INDEX_LIMIT if dataset is None else len(dataset)
    for index in indices:
        if not 0 <= index < limit:
            raise UsageError(
                f"index {index} is not in this dataset: {target} has samples 0 to {limit - 1}"
            )


def same(made: Sample, stored: Sample) -> bool:
    """Tell whether two samples have the same seed, label, glyphs and pixels."""
    return (
        (made.seed, made.text) == (stored.seed, stored.text)
        and np.array_equal(made.glyphs, stored.glyphs)
        and np.array_equal(made.image, stored.image)
    )
