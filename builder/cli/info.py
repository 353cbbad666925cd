"""Say what a dataset is, on one screen."""

from __future__ import annotations

import argparse
from pathlib import Path

from builder.common.errors import one_line
from builder.datasets.stored import open_dataset

EXAMPLES = """examples:
  info.py shards/run1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset's folder")


def run(arguments: argparse.Namespace) -> int:
    """Print the manifest in words."""
    dataset = open_dataset(arguments.dataset)
    manifest, recipe = dataset.manifest, dataset.manifest.plan.recipe
    plan = manifest.plan
    packed = "" if plan.storage.compression == "none" else f", {plan.storage.compression}"
    packed += ", with masks" if plan.storage.masks else ""
    rows = {
        "dataset": str(dataset.folder),
        "images": f"{plan.count:,} of 28 x {recipe['width']} px",
        "shards": f"{plan.shards:,} of {plan.storage.shard_size:,} images, "
        f"{plan.storage.format}{packed}, {manifest.bytes:,} bytes",
        "lengths": ", ".join(f"{n}: {c:,}" for n, c in manifest.length_counts.items()),
        "digits": ", ".join(f"{d}: {c:,}" for d, c in enumerate(manifest.class_counts)),
        "pixels": f"mean {manifest.pixel_mean:.4f}, deviation {manifest.pixel_deviation:.4f}",
        "content": manifest.content_digest,
        "recipe": plan.fingerprint,
        **{f"  {name}": _shown(value) for name, value in recipe.items()},
        "versions": f"generator {plan.generator_version}, format {plan.format_version}",
        "digits of": manifest.licence,
    }
    width = max(len(name) for name in rows)
    print("\n".join(f"{name:{width}}  {one_line(value)}" for name, value in rows.items()))
    return 0


def _shown(value: object) -> str:
    """Return a value of a recipe as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items()) or "none"
    return " ".join(str(part) for part in value) if isinstance(value, list) else str(value)
