"""The check of a manifest against its configuration and the completion records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from builder.common.constants import CLASSES
from builder.common.errors import DatasetError, UsageError
from builder.common.validation import format_value
from builder.recipe.recipe import Recipe
from builder.storage.config import MOST_SHARDS, DatasetConfig, Shard
from builder.storage.content_digest import add_digests
from builder.storage.findings import Fault
from builder.storage.formats import format_of
from builder.storage.manifest import Finished, Manifest, ShardEntry


def check_manifest(
    manifest: Manifest, finished: Iterable[Finished] | None = None
) -> Iterator[Fault]:
    """Yield each fault of a manifest: what its configuration, and the records, do not imply.

    Args:
        manifest: The manifest, as it was read.
        finished: The completion records of all shards, with their files. Without them the
            manifest is only held against its configuration.
    """
    config = manifest.plan
    config_faults = list(check_config(config))
    yield from config_faults
    if config_faults:
        return  # the shards are unknown
    if len(manifest.shards) != config.shards:
        yield Fault(
            None,
            f"lists {len(manifest.shards)} shards, expected {config.shards} of "
            f"{config.storage.shard_size} images for {config.count}",
        )
    for shard, entry in zip(config.all_shards(), manifest.shards, strict=False):
        yield from check_entry(config, shard, entry)
    try:
        total = add_digests(*(entry.content_digest for entry in manifest.shards))
        if manifest.content_digest != total:
            yield Fault(None, "the content digest is not the sum of those of the shards")
    except DatasetError as error:
        yield Fault(None, str(error))
    labels = sum(manifest.length_counts.values())
    if len(manifest.class_counts) != CLASSES or labels != config.count:
        yield Fault(
            None,
            f"counts {len(manifest.class_counts)} classes and {labels} labels, "
            f"expected {CLASSES} and {config.count}",
        )
    if finished is not None:
        yield from _check_sums(manifest, finished)


def check_config(config: DatasetConfig) -> Iterator[Fault]:
    """Yield each fault for which this program cannot use a dataset's configuration."""
    if config.shards > MOST_SHARDS:
        yield Fault(None, f"is of {config.shards} shards, expected {MOST_SHARDS} at most")
    try:
        if Recipe.from_json(config.recipe).fingerprint != config.fingerprint:
            yield Fault(None, "the fingerprint is not that of the recipe")
    except UsageError as error:
        yield Fault(None, str(error))


def check_entry(config: DatasetConfig, shard: Shard, entry: ShardEntry) -> Iterator[Fault]:
    """Yield each fault of a line of the shard table. Names are compared, and open nothing."""
    if entry.shard != shard:
        yield Fault(None, f"lists {entry.shard}, expected {shard}")
        return
    names = [file.name for file in (*entry.files, entry.record)]
    expected = [*format_of(config.storage.format).files(shard), shard.record_name]
    if names != expected:
        yield Fault(shard.name, f"names {format_value(names)}, expected {', '.join(expected)}")


def _check_sums(manifest: Manifest, finished: Iterable[Finished]) -> Iterator[Fault]:
    """Yield a fault for each field of a manifest that the completion records do not add up to."""
    recipe = Recipe.from_json(manifest.plan.recipe)
    try:
        expected = Manifest.of(manifest.plan, recipe, finished, manifest.labels_file)
    except ValueError as error:  # sums of squares that no images have
        yield Fault(None, f"the records cannot be summed up ({error})")
        return
    for name in sorted(Manifest.model_fields.keys() - {"plan", "shards", "libraries", "checksum"}):
        value, total = getattr(manifest, name), getattr(expected, name)
        if value != total:
            yield Fault(None, f"{name} is {value}, expected {total}, the sum of the records")
