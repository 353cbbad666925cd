"""`digitseq regenerate`: single samples again, by seed or index."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from builder.cli import print_line
from builder.cli.options import parse_path, recipe_and_dataset
from builder.common import atomic_files, rng
from builder.common.errors import UsageError
from builder.generator.generator import generate
from builder.storage.config import FORMAT_FACTS
from builder.storage.formats.png_file import encode, file_name
from builder.verification.shard_check import compare_fields

EXAMPLES = """examples:
  %(prog)s shards/run1 --index 0 41
  %(prog)s shards/run1 --sample-seed 0x7d1f3a55c0ffee01 --out again
  %(prog)s recipe.json --index 123456789012
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    add = parser.add_argument
    target = "a dataset's folder, or a recipe, plan or manifest file"
    add("target", type=parse_path, metavar="DATASET|RECIPE", help=target)
    samples = parser.add_mutually_exclusive_group(required=True)
    add_numbers = partial(samples.add_argument, type=_parse_number, nargs="+")
    add_numbers("--sample-seed", metavar="S", help="64-bit sample seeds, decimal or 0x...")
    add_numbers("--index", metavar="I", help="sample indices")
    out = "folder for the PNG files (the current one)"
    add("--out", type=parse_path, default=Path(), metavar="DIR", help=out)


def _parse_number(text: str) -> int:
    """Return a whole number, written in decimal or with a prefix such as 0x."""
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def run(arguments: argparse.Namespace) -> int:
    """Write each sample, and print whether it equals the stored one; return 1 if one does not."""
    recipe, dataset = recipe_and_dataset(arguments.target)
    seeds = getattr(arguments, "sample_seed", [])
    indices = [rng.index_of_seed(recipe.seed, seed) for seed in seeds] or arguments.index
    limit = rng.INDEX_LIMIT if dataset is None else len(dataset)
    if absent := [index for index in indices if not 0 <= index < limit]:
        raise UsageError(
            f"index {absent[0]} is not in this dataset: {arguments.target} has samples 0 to "
            f"{limit - 1}"
        )
    FORMAT_FACTS["png"].check_labels(recipe.label_source.longest)
    samples = generate(recipe, indices)
    different = set()
    if dataset is not None:
        different = {row for row, _ in compare_fields(dataset[indices], samples)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for row, sample in enumerate(samples):
        path = arguments.out / file_name(sample.index, sample.text)
        atomic_files.publish_bytes(path, encode(sample.image))
        line = f"{path}: label {sample.text}, seed {sample.seed:#018x}"
        if dataset is not None:
            line += f", {'NOT ' if row in different else ''}equal to the stored one"
        print_line(line)
    return 1 if different else 0
