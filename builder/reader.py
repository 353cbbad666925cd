"""Reading datasets: samples by index, slices, and batches, whatever the format."""

from __future__ import annotations

import operator
import os
import shlex
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import overload

import numpy as np

from builder import digest, formats, labelfile
from builder.bank import CLASSES
from builder.batch import Batch, Sample
from builder.errors import DatasetError, UsageError
from builder.labels import PAD
from builder.model import shown as said
from builder.plan import MOST_SHARDS, PLAN
from builder.recipe import Recipe
from builder.records import LABELS, MANIFEST, Manifest, read
from builder.version import FORMAT_VERSION

FARTHEST = 1 << 20
"""Px from the corner of an image that a corner of a glyph can have; a warp reaches some 20,000."""

OPEN_SHARDS = 16
"""Shards held open at a time; the one used longest ago is closed first."""


def open_dataset(path: str | Path) -> Dataset:
    """Open a finished dataset: `len(data)`, `data[3]`, `data[3:9]`, `data.batches(256)`.

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
    return Dataset(folder, manifest, recipe)


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
        total = sum(digest.parsed(entry.content_digest) for entry in manifest.shards)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    if manifest.content_digest != digest.written(total):
        raise DatasetError(f"{path}: the content digest is not the sum of those of the shards")
    if len(manifest.class_counts) != CLASSES or sum(manifest.length_counts.values()) != plan.count:
        raise DatasetError(
            f"{path}: counts {len(manifest.class_counts)} classes and "
            f"{sum(manifest.length_counts.values())} labels, expected {CLASSES} and {plan.count}"
        )


def _check_values(place: Path, batch: Batch, first: int, step: int) -> None:
    """Raise `DatasetError` for labels and corners of digits that no sample can have.

    `first` is the index of the first sample, and `step` the distance to the next ones.
    """
    if not np.array_equal(batch.index, first + step * np.arange(len(batch))):
        raise DatasetError(f"{place}: holds other indices than those from {first} on")
    labels, shown = batch.labels, np.arange(batch.labels.shape[1]) < batch.lengths[:, None]
    digits = (labels >= 0) & (labels < CLASSES)
    if not ((digits == shown) & (shown | (labels == PAD))).all() or not batch.lengths.all():
        raise DatasetError(f"{place}: holds labels that are no digits, or shorter than said")
    if (batch.lengths > labels.shape[1]).any():
        raise DatasetError(f"{place}: holds lengths of more than {labels.shape[1]} digits")
    for name in ("boxes", "quads", "visible"):
        values = getattr(batch, name)
        if values is not None and not (np.abs(values) < FARTHEST).all():
            raise DatasetError(f"{place}: holds {name} that are no places near an image")


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
        labelfile.register_copy(self.folder, LABELS, named)
        return self._recipe

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
        rows = range(first, max(stop, first), indices.step)
        batch = self._reader(number).read(np.arange(rows.start, rows.stop, rows.step))
        _check_values(self.folder / shard.name, batch, shard.start + rows.start, rows.step)
        return batch

    def _reader(self, number: int) -> formats.ShardReader:
        if number not in self._open:
            plan = self.manifest.plan
            self._open[number] = self._form.open_shard(self.folder, plan, plan.shard(number))
        self._open.move_to_end(number)
        if len(self._open) > OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()
        return self._open[number]
