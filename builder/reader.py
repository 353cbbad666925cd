"""Reading datasets: samples by index, slices, and batches, whatever the format."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import overload

from builder import formats, labelfile
from builder.batch import Batch, Sample
from builder.errors import DatasetError, UsageError
from builder.plan import PLAN
from builder.recipe import Recipe
from builder.records import LABELS, MANIFEST, Manifest, read
from builder.version import FORMAT_VERSION

OPEN_SHARDS = 16
"""Shards held open at a time; the one used longest ago is closed first."""


def open_dataset(path: str | Path) -> Dataset:
    """Open a finished dataset: `len(data)`, `data[3]`, `data[3:9]`, `data.batches(256)`.

    Raises `DatasetError` for a folder that is no dataset, or one whose build is not finished.
    """
    folder = Path(path)
    if not (folder / MANIFEST).exists() and (folder / PLAN).exists():
        raise DatasetError(
            f"{folder}: the build of this dataset is not finished; to finish it: "
            f"digitseq build --recipe {folder / PLAN} --out {folder}"
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
    return Dataset(folder, manifest, recipe)


class Dataset:
    """A finished dataset. Shards are opened when they are first read."""

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.manifest = manifest
        self._recipe = recipe
        self._form = formats.format_of(manifest.plan.storage.format)
        self._open: OrderedDict[int, formats.ShardReader] = OrderedDict()

    @property
    def recipe(self) -> Recipe:
        """The recipe of the dataset, its labels file taken from the dataset's own copy."""
        named = self._recipe.labels_file
        if named is None:
            return self._recipe
        try:
            if labelfile.register(self.folder / LABELS) == named:
                return self._recipe
        except UsageError as error:
            raise DatasetError(str(error)) from None
        raise DatasetError(f"{self.folder / LABELS}: is not the labels file of the recipe")

    def __len__(self) -> int:
        return self.manifest.plan.count

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> Batch: ...

    def __getitem__(self, at: int | slice) -> Sample | Batch:
        """Return the sample at an index (negative from the end), or the batch of a slice."""
        if isinstance(at, slice):
            return self._batch(range(*at.indices(len(self))))
        index = operator.index(at)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is not in this dataset of {len(self)} samples")
        return self._batch(range(index % len(self), index % len(self) + 1))[0]

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the samples in order, `size` at a time; the last batch may be smaller."""
        if size < 1:
            raise UsageError(f"batch size is {size}, expected a whole number from 1")
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def __iter__(self) -> Iterator[Sample]:
        """Yield every sample in order."""
        return (sample for batch in self.batches(256) for sample in batch)

    def close(self) -> None:
        """Close the shards that are open; reading opens them anew."""
        while self._open:
            self._open.popitem()[1].close()

    def _batch(self, indices: range) -> Batch:
        """Return the samples of indices, shard by shard, in the order of the range."""
        if indices.step < 0:
            return self._batch(indices[::-1]).reversed()
        size = self.manifest.plan.storage.shard_size
        numbers = range(indices[0] // size, indices[-1] // size + 1) if len(indices) else range(1)
        parts = [self._part(number, indices) for number in numbers]
        return parts[0] if len(parts) == 1 else Batch.concatenated(parts)

    def _part(self, number: int, indices: range) -> Batch:
        """Return those of the samples of increasing `indices` that lie in one shard."""
        shard = self.manifest.plan.shard(number)
        skipped = -(-max(shard.start - indices.start, 0) // indices.step)
        first = indices.start + skipped * indices.step - shard.start
        stop = min(indices.stop - shard.start, shard.count)
        return self._reader(number).read(slice(first, max(stop, first), indices.step))

    def _reader(self, number: int) -> formats.ShardReader:
        if number not in self._open:
            plan = self.manifest.plan
            self._open[number] = self._form.open_shard(self.folder, plan, plan.shard(number))
        self._open.move_to_end(number)
        if len(self._open) > OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()
        return self._open[number]
