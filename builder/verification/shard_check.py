"""The full and the deep check of one shard, as a worker carries them out.

A full check reads every byte of the shard's files. A deep check renders samples again, and compares
every stored field with them; then it compares the labels for other tools with the stored fields.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from builder.common import signals
from builder.common.constants import Ints
from builder.common.rng import sample_seeds
from builder.common.untrusted_files import open_untrusted
from builder.datasets.shard_cache import ShardCache
from builder.generator.batch import FIELDS, Batch
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig
from builder.storage.formats import FORMATS
from builder.storage.formats.base import sha256_of
from builder.storage.manifest import ShardEntry
from builder.storage.manifest_check import Fault, catch_errors
from builder.storage.statistics import digest_of, format_digest

BLOCK = 1024
"""Samples read at a time."""

MAX_SAMPLE_FAULTS = 10
"""Samples of a shard that have a fault each; further ones are counted in one fault."""


@dataclass(frozen=True)
class ShardCheckTask:
    """The task of a worker: to check one shard.

    Attributes:
        folder: The dataset's folder.
        config: Configuration of the dataset.
        entry: What the shard should be.
        rows: Rows of the shard that the check reads; all of them in a full check.
        deep: Whether to compare them with rendered samples, and no hashes.
        pyarrow: Version of pyarrow that wrote the labels, "" if it is not known.
    """

    folder: Path
    config: DatasetConfig
    entry: ShardEntry
    rows: Sequence[int]
    deep: bool
    pyarrow: str = ""


def check_shard(task: ShardCheckTask) -> tuple[int, list[Fault]]:
    """Return the number of a shard, and its faults. No fault is an exception."""
    shard, faults = task.entry.shard, deep_check(task) if task.deep else full_check(task)
    with signals.defer_signals():
        return shard.number, list(catch_errors(shard, faults))


def full_check(task: ShardCheckTask) -> Iterator[Fault]:
    """Yield a fault for each file with another sha256, else for another content digest."""
    shard = task.entry.shard
    damaged = False
    for file in task.entry.files:
        signals.check()
        sha256 = sha256_of(task.folder, file.name)
        if sha256 != file.sha256:
            damaged = True
            yield Fault(shard.name, f"{file.name} has sha256 {sha256}, expected {file.sha256}")
    if damaged:
        return  # HDF5 can crash on damaged bytes
    digest = format_digest(sum(digest_of(stored) for _, stored in _read_batches(task)))
    if digest != task.entry.content_digest:
        yield Fault(
            shard.name,
            f"the stored samples have content digest {digest}, "
            f"expected {task.entry.content_digest}",
        )


def deep_check(task: ShardCheckTask) -> Iterator[Fault]:
    """Yield a fault for each sample of which a stored field is not what the recipe makes."""
    shard, recipe = task.entry.shard, Recipe.from_json(task.config.recipe)
    differences: dict[int, list[str]] = defaultdict(list)
    for indices, stored in _read_batches(task):
        rendered = generate(recipe, indices, task.config.storage.masks)
        for row, difference in compare_fields(stored, rendered):
            differences[int(indices[row])].append(difference)
    for index in sorted(differences)[:MAX_SAMPLE_FAULTS]:
        yield Fault(shard.name, f"sample {index}: {'; '.join(differences[index])}")
    if len(differences) > MAX_SAMPLE_FAULTS:
        more = len(differences) - MAX_SAMPLE_FAULTS
        yield Fault(shard.name, f"{more} more samples differ from the rendered ones")
    if not differences:
        yield from check_labels(task)


def check_labels(task: ShardCheckTask) -> Iterator[Fault]:
    """Yield a fault if the Parquet file of a shard has not the labels of its stored fields.

    The version of pyarrow that wrote the file makes it again, and it is not parsed. Another version
    reads it.
    """
    from builder.storage.formats import parquet

    shard, shard_format = task.entry.shard, FORMATS[task.config.storage.format]
    name, file_names = shard_format.labels_name(shard), partial(shard_format.image_names, shard)
    if task.pyarrow == version("pyarrow"):
        writer = parquet.LabelsWriter(None, file_names)
        for _, batch in _read_batches(replace(task, rows=range(shard.count))):
            writer.write(batch)
        if writer.close()[1] != sha256_of(task.folder, name):
            yield Fault(shard.name, f"{name} is not what the labels in {shard.fields_name} give")
        return
    shards = ShardCache(task.folder, task.config)

    def read(rows: range) -> Batch:
        return shards.batch(np.array(rows) + shard.start)

    with open_untrusted(task.folder, name) as file:
        for text in parquet.compare_rows(file, shard.count, read, file_names):
            yield Fault(shard.name, f"{name}: {text}")


def compare_fields(stored: Batch, rendered: Batch) -> Iterator[tuple[int, str]]:
    """Yield row and difference for each value of a stored field that is not the rendered one."""
    for name in FIELDS:
        values, expected = getattr(stored, name), getattr(rendered, name)
        if values is None or expected is None:
            continue  # masks, of a dataset without
        unequal = (values != expected).reshape(len(expected), -1).any(axis=1)
        for row in np.flatnonzero(unequal).tolist():
            yield row, _describe_difference(name, values[row], expected[row])


def _describe_difference(
    name: str, value: npt.NDArray[np.generic], expected: npt.NDArray[np.generic]
) -> str:
    """Say how the value of one sample's field differs from the expected one."""
    places = np.argwhere(np.atleast_1d(value != expected))
    if name in ("images", "masks"):
        y, x = places[0].tolist()
        return (
            f"{len(places)} of {expected.size} pixels of its {name[:-1]} differ: the one in row "
            f"{y}, column {x} is {value[y, x]}, expected {expected[y, x]}"
        )
    verb = "is" if name == "index" else "are"
    if len(text := f"{name} {verb} {value.tolist()}, expected {expected.tolist()}") <= 200:
        return text
    first = tuple(places[0])
    return (
        f"{name} are wrong in {len(places)} of {expected.size} numbers: the first of these is "
        f"{value[first]}, expected {expected[first]}"
    )


def _read_batches(task: ShardCheckTask) -> Iterator[tuple[Ints, Batch]]:
    """Yield indices and stored samples of the rows of a task, block by block."""
    shards = ShardCache(task.folder, task.config)
    for first in range(0, len(task.rows), BLOCK):
        signals.check()
        indices = np.array(task.rows[first : first + BLOCK]) + task.entry.shard.start
        yield indices, shards.batch(indices)


def evenly_spaced_sample(count: int, samples: int) -> Iterator[int]:
    """Yield increasing indices below `count`, one in each of equal parts; all if they are few.

    The position in a part is a hash of the part's number, so each call yields the same indices.

    Args:
        count: Samples of the dataset, from 1.
        samples: Number of parts, from 1.
    """
    samples = min(samples, count)
    for begin in range(0, samples, BLOCK):
        parts = range(begin, min(begin + BLOCK, samples))
        for part, word in zip(parts, sample_seeds(0, np.array(parts)).tolist(), strict=True):
            low, high = part * count // samples, (part + 1) * count // samples
            yield low + word % (high - low)


def rows_by_shard(config: DatasetConfig, samples: int) -> Mapping[int, Sequence[int]]:
    """Return the rows that a check reads of each shard, by its number: all, or evenly spaced."""
    if samples >= config.count:
        return {shard.number: range(shard.count) for shard in config.all_shards()}
    rows: dict[int, list[int]] = defaultdict(list)
    for index in evenly_spaced_sample(config.count, samples):
        shard, row = divmod(index, config.storage.shard_size)
        rows[shard].append(row)
    return rows
