"""Stored datasets: opening a finished dataset, and its samples in any format."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common.constants import CLASSES, FRAME, PAD, AnyArray, Ints, UInt8s
from builder.common.errors import DatasetError
from builder.common.validation import format_value, local_path
from builder.datasets.dataset import Dataset
from builder.datasets.shard_cache import ShardCache
from builder.generator.batch import Batch, Sample
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import PLAN
from builder.storage.manifest import LABELS, MANIFEST, Manifest, read_model
from builder.storage.manifest_check import check_manifest

MAX_CORNER = 1 << 20
"""Largest coordinate of a quad, px; a warp reaches some 20,000."""

Bools = npt.NDArray[np.bool_]

_READ_TOGETHER = {"labels": ("labels", "lengths"), "lengths": ("lengths", "labels")} | {
    name: (name, "lengths") for name in ("glyphs", "boxes", "masks")
}
"""What is read for a field that is checked against another one."""


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a finished dataset.

    HDF5 parses the shards in this process, which a damaged file can end. `verify` does so in
    processes of its own, so check a dataset from somebody else with it first.

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
    folder = local_path(path)
    if not os.path.lexists(folder):
        raise DatasetError(f"{folder}: there is no such folder, expected a dataset's folder")
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

    def _load(self, index: Ints, name: str) -> dict[str, Any]:
        """Return a field of some samples, checked; labels and lengths come together.

        Raises:
            DatasetError: No sample can have the stored values. Their shard is closed, so that the
                next read opens the repaired file.
        """
        if name == "masks" and not self.masks:
            return {name: None}
        names = _READ_TOGETHER.get(name, (name,))
        values: dict[str, Any] = {n: self._shards.field(n, index) for n in names}
        valid = _check_values(name, values, index, self._recipe)
        if valid.all():
            return values if name in ("labels", "lengths") else {name: values[name]}
        row, plan = int(np.argmin(valid)), self.manifest.plan
        shard = int(index[row]) // plan.storage.shard_size
        self._shards.forget(shard)
        wrong = ", ".join(f"{n} {format_value(v[row].tolist())}" for n, v in values.items())
        raise DatasetError(
            f"{self.folder / plan.shard(shard).name}: holds values for sample {index[row]} "
            f"that it cannot have: {wrong}"
        )


def _check_values(name: str, values: Mapping[str, Any], index: Ints, recipe: Recipe) -> Bools:
    """Return which rows (B,) of a field hold values that a sample of the recipe can have.

    Pixels and seeds can have any value; `verify` compares them with the recipe.

    Args:
        name: Name of the field.
        values: The array (B, ...) of the field, and those of the fields read with it, by name.
        index: Indices (B,) int64 of the samples.
        recipe: Recipe of the dataset.
    """
    value = values[name]
    lengths: Any = values.get("lengths")
    match name:
        case "labels" | "lengths":  # one digit at least
            labels = values["labels"]
            in_range = (labels >= 0) & (labels < CLASSES)
            fits = (lengths > 0) & (lengths <= labels.shape[1])
            return fits & _is_padded(labels, in_range, lengths)
        case "index":
            return value == index
        case "glyphs":
            return _is_padded(value, value >= 0, lengths)
        case "boxes":  # corners inside the image, or zeros; zeros in the padding
            x0, y0, x1, y1 = np.moveaxis(value, 2, 0)
            inside = (x0 >= 0) & (x0 < x1) & (x1 <= recipe.width)
            inside &= (y0 >= 0) & (y0 < y1) & (y1 <= FRAME)
            inside &= _is_digit(value, lengths)
            return (inside | ~value.any(axis=2)).all(axis=1)
        case "quads":
            return (np.abs(value) < MAX_CORNER).all(axis=(1, 2, 3))
        case "visible":
            return ((value >= 0) & (value <= 1)).all(axis=1)
        case "masks":  # no position after the last digit
            return value.max(axis=(1, 2), initial=0) <= lengths
    return np.ones(len(index), dtype=np.bool_)


def _is_digit(values: AnyArray, lengths: UInt8s) -> Bools:
    """Return which positions (B, L) of values (B, L, ...) are of digits; others are padding."""
    return np.arange(values.shape[1]) < lengths[:, None]


def _is_padded(values: AnyArray, in_range: Bools, lengths: UInt8s) -> Bools:
    """Return which rows (B,) are in range at each digit, and `PAD` after the last one."""
    is_digit = _is_digit(values, lengths)
    return ((in_range == is_digit) & (is_digit | (values == PAD))).all(axis=1)
