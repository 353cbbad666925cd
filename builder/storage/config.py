"""The configuration of a dataset: what a folder is going to hold, as `plan.json` stores it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from builder.common.constants import FORMAT_VERSION, GENERATOR_VERSION
from builder.common.errors import BuilderError, UsageError
from builder.common.validation import Count, FrozenModel, WholeNumber
from builder.recipe.recipe import Recipe
from builder.storage.formats import FormatName, format_of

PLAN = "plan.json"
"""Name of the file with the configuration. It is published before the first shard."""

MOST_SHARDS = 1_000_000
"""Shards of a dataset at most: each is three files of one folder, and a line of the manifest."""


class StorageOptions(FrozenModel):
    """How the samples of a dataset are stored. No option changes a pixel.

    Attributes:
        format: Name of a format: "hdf5" (default) or "png".
        compression: Of images and masks in HDF5, "none" (default) or "gzip".
        masks: Whether masks are stored beside the images; default False.
        shard_size: Samples in a shard, 1 to 10**8; default 10,000.
    """

    format: FormatName = Field(default="hdf5", description="HDF5 shards or folders of PNG files")
    compression: Literal["none", "gzip"] = Field(default="none", description="of images in HDF5")
    masks: bool = Field(default=False, description="store which digit each pixel belongs to")
    shard_size: WholeNumber = Field(default=10_000, ge=1, le=10**8, description="images per shard")

    @model_validator(mode="after")
    def _check_compression(self) -> StorageOptions:
        allowed = format_of(self.format).suffixes
        if self.compression not in allowed:
            raise ValueError(
                f"compression is '{self.compression}', expected "
                f"{' or '.join(map(repr, allowed))} with format '{self.format}'"
            )
        return self


class Shard(FrozenModel):
    """A fixed range of sample indices, [start, start + count), written by one task."""

    number: Count
    start: Count
    count: Count

    @property
    def name(self) -> str:
        """Begin of the names of the shard's files."""
        return f"shard-{self.number:06d}"

    @property
    def fields_name(self) -> str:
        """Name of the HDF5 file with the fields of the samples."""
        return f"{self.name}.h5"

    @property
    def record_name(self) -> str:
        """Name of the completion record."""
        return f"{self.name}.json"

    @property
    def indices(self) -> range:
        """Indices of the samples."""
        return range(self.start, self.start + self.count)

    def __str__(self) -> str:
        return f"{self.name} from {self.start}, {self.count} images"


class DatasetConfig(FrozenModel):
    """What a folder is going to hold: recipe, storage options, count and versions."""

    recipe: dict[str, object]
    storage: StorageOptions
    count: WholeNumber = Field(ge=1, lt=1 << 63, description="how many samples")
    fingerprint: str
    generator_version: WholeNumber = GENERATOR_VERSION
    format_version: WholeNumber = FORMAT_VERSION

    @classmethod
    def of(cls, recipe: Recipe, storage: StorageOptions, count: int) -> DatasetConfig:
        """Return the configuration of a new dataset.

        Args:
            recipe: What the samples are.
            storage: How they are stored.
            count: Samples, from 1.

        Raises:
            UsageError: The count is out of range, or the format cannot store the recipe's labels.
        """
        format_of(storage.format).check_labels(recipe.label_source.longest)
        return cls(
            recipe=recipe.to_json(), storage=storage, count=count, fingerprint=recipe.fingerprint
        )

    @property
    def shard_count(self) -> int:
        """Number of shards."""
        return -(-self.count // self.storage.shard_size)

    def shard(self, number: int) -> Shard:
        """Return a shard by its number, from 0."""
        size = self.storage.shard_size
        start = number * size
        return Shard(number=number, start=start, count=min(size, self.count - start))

    def all_shards(self) -> Iterator[Shard]:
        """Yield every shard in order."""
        return (self.shard(number) for number in range(self.shard_count))

    def require_own_version(self, folder: Path) -> None:
        """Raise `BuilderError` where another generator version made the dataset in `folder`."""
        if self.generator_version != GENERATOR_VERSION:
            raise BuilderError(
                f"{folder}: was made by generator version {self.generator_version}, and this is "
                f"{GENERATOR_VERSION}: its samples cannot be made again with this one"
            )

    def differences(self, other: DatasetConfig) -> list[str]:
        """Return 'field: this, not that' for each difference but the count."""
        mine, theirs = self._flat(), other._flat()
        return [
            f"{name}: {mine.get(name)}, not {theirs.get(name)}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]

    def _flat(self) -> dict[str, object]:
        values = self.model_dump(mode="json", exclude={"count", "fingerprint", "recipe", "storage"})
        return {**values, **self.storage.model_dump(), **self.recipe}


@dataclass(frozen=True)
class Part:
    """A run of neighbouring shards: number `number`, from 1, of `of` parts of a dataset."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(f"part is {self}, expected I/N with I from 1 to N, such as 3/8")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def shard_numbers(self, config: DatasetConfig) -> range:
        """Return the numbers of the shards; none where the dataset has fewer shards than parts."""
        return range(
            config.shard_count * (self.number - 1) // self.of,
            config.shard_count * self.number // self.of,
        )
