"""Reading datasets: what a folder must hold to be one, and its samples, whatever the format."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import CLASSES, FORMAT_VERSION, Ints
from builder.common.errors import DatasetError, UsageError
from builder.common.validation import format_value as said
from builder.datasets import constraints
from builder.datasets.dataset import Dataset
from builder.datasets.shard_cache import OpenShards
from builder.generator.batch import Batch, LazyBatch, Sample
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage import content_digest, formats
from builder.storage.config import MOST_SHARDS, PLAN
from builder.storage.manifest import LABELS, MANIFEST, Manifest, read


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a finished dataset: `len(data)`, `data[3]`, `data[3:9]`, `data.batches(256)`.

    It opens files as they are needed, in each process for itself: it may be given to threads,
    forked, and sent to other processes.

    Raises `DatasetError` for a folder that is no dataset, or one whose build is not finished.
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
                f"{path}: {shard.name} names {said(names)}, expected {', '.join(implied)}"
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
    """A finished dataset. Shards are opened, and fields read, when they are first asked for."""

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.manifest = manifest
        self.count = manifest.plan.count
        self._recipe = recipe
        self._shards = OpenShards(folder, manifest.plan)
        self.block, self.masks = self._shards.block, manifest.plan.storage.masks

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the dataset, its labels file taken from the dataset's own copy."""
        named = self._recipe.labels_file
        if named is not None:
            labels_file.register_copy(self.folder, LABELS, named)
        return self._recipe

    def close(self) -> None:
        """Close the shards that are open; reading opens them anew."""
        self._shards.close()

    def __reduce__(self) -> Any:
        """Travel to another process without what is open."""
        return StoredDataset, (self.folder, self.manifest, self._recipe)

    def _sample(self, index: int) -> Sample:
        return StoredSample(self._shards, index, self._batch)

    def _batch(self, index: Ints) -> Batch:
        return LazyBatch.of(len(index), partial(self._fields, index))

    def _fields(self, index: Ints, name: str) -> dict[str, Any]:
        """Return a field of the samples at indices, and labels and lengths together."""
        values = {n: self._shards.field(n, index) for n in constraints.together(name)}
        row = constraints.first_wrong(values, index, self._recipe)
        if row is None:
            return values if name in ("labels", "lengths") else {name: values[name]}
        number = int(index[row]) // self.manifest.plan.storage.shard_size
        self._shards.forget(number)
        own = ", ".join(f"{n} {said(v[row].tolist())}" for n, v in values.items() if v is not None)
        raise DatasetError(
            f"{self.folder / self.manifest.plan.shard(number).name}: holds values for sample "
            f"{index[row]} that it cannot have: {own}"
        )


class StoredSample(Sample):
    """A sample of a dataset. Its image is read by itself: random single reads are of images."""

    __slots__ = ("_image", "_index", "_make", "_shards")

    def __init__(self, shards: OpenShards, index: int, make: Callable[[Ints], Batch]) -> None:
        self._shards, self._index, self._make = shards, index, make
        self._image: npt.NDArray[np.uint8] | None = None

    def __getattr__(self, name: str) -> Any:
        """Make the batch of one, `_batch` and `_row`, that all but the image is taken from."""
        if name in ("_batch", "_row"):
            super().__init__(self._make(np.array([self._index])), 0)
        return object.__getattribute__(self, name)

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The pixels, (28, W) uint8."""
        if self._image is None:
            self._image = self._shards.image(self._index)
        return self._image
