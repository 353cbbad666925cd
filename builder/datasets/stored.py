"""Stored datasets: opening a finished dataset, and its samples in any format."""

from __future__ import annotations

import os
import shlex
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import CLASSES, FORMAT_VERSION, Ints
from builder.common.errors import DatasetError, UsageError
from builder.common.validation import format_value
from builder.datasets import constraints
from builder.datasets.dataset import Dataset
from builder.datasets.shard_cache import ShardCache
from builder.generator.batch import Batch, Sample
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage import content_digest, formats
from builder.storage.config import MOST_SHARDS, PLAN
from builder.storage.manifest import LABELS, MANIFEST, Manifest, read


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a finished dataset.

    Args:
        path: Folder that `build` wrote.

    Returns:
        The samples: `len(data)`, `data[3]`, `data[3:9]`, `data.batches(256)`.

    Raises:
        DatasetError: The folder is no dataset, or its build is not finished.

    >>> from tempfile import TemporaryDirectory
    >>> from builder import Recipe, build
    >>> with TemporaryDirectory() as folder:
    ...     _ = build(Recipe(digits="350"), count=4, out=f"{folder}/set", backend="sequential")
    ...     data = open_dataset(f"{folder}/set")
    ...     len(data), data[3].text, data[1:3].images.shape
    (4, '350', (2, 28, 200))
    """
    folder = Path(path)
    if not os.path.lexists(folder / MANIFEST) and os.path.lexists(folder / PLAN):
        raise DatasetError(
            f"{folder}: the build of this dataset is not finished; to finish it: "
            f"digitseq build --recipe {shlex.quote(str(folder / PLAN))} "
            f"--out {shlex.quote(str(folder))}"
        )
    manifest = read(folder / MANIFEST, Manifest)
    plan = manifest.plan
    if plan.format_version != FORMAT_VERSION:
        raise DatasetError(
            f"{folder}: has format version {plan.format_version}, expected {FORMAT_VERSION}"
        )
    try:
        recipe = Recipe.from_json(plan.recipe)
    except UsageError as error:
        raise DatasetError(f"{folder / MANIFEST}: {error}") from None
    if recipe.fingerprint != plan.fingerprint:
        raise DatasetError(f"{folder / MANIFEST}: the fingerprint is not that of the recipe")
    _check_shards(folder / MANIFEST, manifest)
    return StoredDataset(folder.absolute(), manifest, recipe)


def _check_shards(path: Path, manifest: Manifest) -> None:
    """Raise `DatasetError` unless the manifest lists the plan's shards, and adds up."""
    plan, form = manifest.plan, formats.format_of(manifest.plan.storage.format)
    listed, wanted = len(manifest.shards), plan.shards
    if wanted > MOST_SHARDS or listed != wanted:
        raise DatasetError(
            f"{path}: lists {listed} shards, expected {wanted} of {plan.storage.shard_size} "
            f"images for {plan.count}, and {MOST_SHARDS} at most"
        )
    for entry, shard in zip(manifest.shards, plan.all_shards(), strict=True):
        if entry.shard != shard:
            raise DatasetError(f"{path}: lists {entry.shard!r}, expected {shard!r}")
        names = entry.images.name, entry.labels.name, entry.record.name
        implied = form.image_file(shard), form.labels_file(shard), shard.record_name
        if names != implied:
            raise DatasetError(
                f"{path}: {shard.name} names {format_value(names)}, expected {', '.join(implied)}"
            )
    try:
        total = sum(content_digest.parsed(entry.content_digest) for entry in manifest.shards)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    if manifest.content_digest != content_digest.written(total):
        raise DatasetError(f"{path}: the content digest is not the sum of those of the shards")
    if len(manifest.class_counts) != CLASSES or sum(manifest.length_counts.values()) != plan.count:
        raise DatasetError(
            f"{path}: counts {len(manifest.class_counts)} classes and "
            f"{sum(manifest.length_counts.values())} labels, expected {CLASSES} and {plan.count}"
        )


class StoredDataset(Dataset):
    """A finished dataset on disk, as `open_dataset` returns it.

    Shards are opened, and fields read, when they are first used. Stored values are checked against
    the recipe before they are used. Threads and forked processes may share a dataset; a copy that
    is sent to another process opens its files again.

    Attributes:
        folder: The dataset's folder, absolute.
        manifest: The checked manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.manifest = manifest
        self.count = manifest.plan.count
        self._recipe = recipe
        self._shards = ShardCache(folder, manifest.plan)
        self.block, self.masks = self._shards.block, manifest.plan.storage.masks
        self.image_at = self._shards.image

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe; its labels file is the copy in the dataset."""
        if self._recipe.labels_file is not None:
            labels_file.register_copy(self.folder, LABELS, self._recipe.labels_file)
        return self._recipe

    def close(self) -> None:
        """Close all open shards; the next read opens them again."""
        self._shards.close()

    def locate(self, index: int) -> tuple[Batch, int]:
        """Return a batch of one sample, and its row there (see `SampleSource`)."""
        return self._batch(np.array([index])), 0

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredDataset, (self.folder, self.manifest, self._recipe)

    def _sample(self, index: int) -> Sample:
        return Sample(self, index)

    def _batch(self, index: Ints) -> Batch:
        return Batch(len(index), partial(self._load, index))

    def _load(self, index: Ints, name: str) -> dict[str, npt.NDArray[Any] | None]:
        """Return a field of some samples, checked; labels and lengths come together."""
        values = {n: self._shards.field(n, index) for n in constraints.checked_fields(name)}
        row = constraints.find_violation(values, index, self._recipe)
        if row is not None:
            raise self._violation(values, int(index[row]), row)
        return values if name in ("labels", "lengths") else {name: values[name]}

    def _violation(self, values: constraints.Values, index: int, row: int) -> DatasetError:
        """Return the error for a row of values that breaks a constraint, and close its shard."""
        shard = index // self.manifest.plan.storage.shard_size
        self._shards.forget(shard)
        fields = (
            f"{n} {format_value(v[row].tolist())}" for n, v in values.items() if v is not None
        )
        return DatasetError(
            f"{self.folder / self.manifest.plan.shard(shard).name}: holds values for sample "
            f"{index} that it cannot have: {', '.join(fields)}"
        )
