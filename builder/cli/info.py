"""`digitseq info`: a dataset on one screen."""

from __future__ import annotations

import argparse

from builder.cli import print_rows
from builder.cli.options import parse_path
from builder.datasets.stored import open_dataset

EXAMPLES = """examples:
  %(prog)s shards/run1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.add_argument("dataset", type=parse_path, metavar="DATASET", help="a dataset's folder")


def run(arguments: argparse.Namespace) -> int:
    """Print what the manifest says, a row for each fact."""
    dataset = open_dataset(arguments.dataset)
    manifest, config = dataset.manifest, dataset.manifest.plan
    storage = config.storage
    form = str(storage.format)
    form += "" if storage.compression == "none" else f", {storage.compression}"
    form += ", with masks" if storage.masks else ""
    shards = f"{config.shard_count:,} of {storage.shard_size:,} images"
    rows = {
        "dataset": str(dataset.folder),
        "images": f"{config.count:,} of 28 x {config.recipe['width']} px",
        "shards": f"{shards}, {form}, {manifest.bytes:,} bytes",
        "lengths": ", ".join(f"{n}: {c:,}" for n, c in manifest.length_counts.items()),
        "digits": ", ".join(f"{d}: {c:,}" for d, c in enumerate(manifest.class_counts)),
        "pixels": f"mean {manifest.pixel_mean:.4f}, deviation {manifest.pixel_deviation:.4f}",
        "content": manifest.content_digest,
        "recipe": config.fingerprint,
        **{f"  {name}": _format(value) for name, value in config.recipe.items()},
        "versions": f"generator {config.generator_version}, format {config.format_version}",
        "digits of": manifest.licence,
    }
    print_rows(rows)
    return 0


def _format(value: object) -> str:
    """Return a JSON value of a recipe without its brackets and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_format(item)}" for name, item in value.items()) or "none"
    return " ".join(str(item) for item in value) if isinstance(value, list) else str(value)
