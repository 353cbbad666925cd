"""Reading datasets: what a folder must hold to be one, and its samples, whatever the format."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder import digest, formats, labelfile
from builder.access import OpenShards
from builder.bank import CLASSES
from builder.batch import Batch, LazyBatch, Sample
from builder.errors import DatasetError, UsageError
from builder.labels import PAD
from builder.model import shown as said
from builder.plan import MOST_SHARDS, PLAN
from builder.recipe import Recipe
from builder.records import LABELS, MANIFEST, Manifest, read
from builder.samples import Samples
from builder.streams import Ints
from builder.version import FORMAT_VERSION

FARTHEST = 1 << 20
"""Px from the corner of an image that a corner of a glyph can have; a warp reaches some 20,000."""


def open_dataset(path: str | Path) -> Dataset:
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
    return Dataset(folder.absolute(), manifest, recipe)


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


class Dataset(Samples):
    """A finished dataset. Shards are opened, and fields read, when they are first asked for."""

    def __init__(self, folder: Path, manifest: Manifest, recipe: Recipe) -> None:
        self.folder = folder
        self.manifest = manifest
        self.count = manifest.plan.count
        self._recipe = recipe
        self._shards = OpenShards(folder, manifest.plan)
        self.block, self.masks = self._shards.block, manifest.plan.storage.masks

    @property
    def recipe(self) -> Recipe:
        """The recipe of the dataset, its labels file taken from the dataset's own copy."""
        named = self._recipe.labels_file
        if named is None:
            return self._recipe
        labelfile.register_copy(self.folder, LABELS, named)
        return self._recipe

    def close(self) -> None:
        """Close the shards that are open; reading opens them anew."""
        self._shards.close()

    def __reduce__(self) -> Any:
        """Travel to another process without what is open."""
        return Dataset, (self.folder, self.manifest, self._recipe)

    def _sample(self, index: int) -> Sample:
        return StoredSample(self._shards, index, self._batch)

    def _batch(self, index: Ints) -> Batch:
        return LazyBatch.of(len(index), partial(self._fields, index))

    def _fields(self, index: Ints, name: str) -> dict[str, Any]:
        """Return a field of the samples at indices, with those that it is held to."""
        values = {n: self._shards.field(n, index) for n in TOGETHER.get(name, (name,))}
        if not all(_HOLDS[n](values, index) for n in values.keys() & _HOLDS.keys()):
            self._blame(values, index)
        return values

    def _blame(self, values: dict[str, Any], index: Ints) -> None:
        """Raise the error for the first of some samples whose values no sample can have."""
        for row in range(len(index)):
            own, at = {n: v[row : row + 1] for n, v in values.items()}, index[row : row + 1]
            for name in own.keys() & _HOLDS.keys():
                if not _HOLDS[name](own, at):
                    number = int(at[0]) // self.manifest.plan.storage.shard_size
                    shown = ", ".join(f"{n} {v[0].tolist()}" for n, v in own.items())
                    raise DatasetError(
                        f"{self.folder / self.manifest.plan.shard(number).name}: holds values for "
                        f"sample {at[0]} that it cannot have: {said(shown)}"
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


TOGETHER = dict.fromkeys(("labels", "lengths"), ("labels", "lengths"))
"""Fields that are read with others, to be held to each other."""


def _are_labels(values: dict[str, Any], index: Ints) -> bool:
    """Tell whether each row of labels has as many digits as its length says, then padding."""
    labels, lengths = values["labels"], values["lengths"]
    shown = np.arange(labels.shape[1]) < lengths[:, None]
    digits = (labels >= 0) & (labels < CLASSES)
    whole = (digits == shown) & (shown | (labels == PAD))
    return bool(whole.all() and lengths.all() and (lengths <= labels.shape[1]).all())


def _are_near(name: str) -> Callable[[dict[str, Any], Ints], bool]:
    """Return what tells whether values of a field lie near an image; where none are, they do."""

    def near(values: dict[str, Any], index: Ints) -> bool:
        return values[name] is None or bool((np.abs(values[name]) < FARTHEST).all())

    return near


_HOLDS: dict[str, Callable[[dict[str, Any], Ints], bool]] = {
    "labels": _are_labels,
    "index": lambda values, index: bool(np.array_equal(values["index"], index)),
    **{name: _are_near(name) for name in ("boxes", "quads", "visible")},
}
"""What holds for the values of fields of the samples at indices. Pixels may be anything."""
