"""Stored datasets: opening a finished dataset, and its samples in any format."""

from __future__ import annotations

import os
import shlex
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import Ints
from builder.common.errors import DatasetError
from builder.common.validation import format_value
from builder.datasets import constraints
from builder.datasets.dataset import Dataset
from builder.datasets.shard_cache import ShardCache
from builder.generator.batch import Batch, Sample
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import PLAN
from builder.storage.manifest import LABELS, MANIFEST, Manifest, read_model
from builder.storage.manifest_check import check_manifest


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
    manifest = read_model(folder / MANIFEST, Manifest)
    for fault in check_manifest(manifest):
        raise DatasetError(f"{folder / MANIFEST}: {fault}")
    return StoredDataset(folder.absolute(), manifest, Recipe.from_json(manifest.plan.recipe))


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
