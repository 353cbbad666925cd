"""Plans: what a folder is going to be, published before its first shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from builder.common.constants import FORMAT_VERSION, GENERATOR_VERSION
from builder.common.errors import BuilderError, UsageError
from builder.common.validation import Count, FrozenModel, WholeNumber
from builder.recipe.recipe import Recipe

PLAN = "plan.json"

MOST_SHARDS = 1_000_000
"""Shards of one dataset: each is two or three files of one folder, and a line of the manifest."""

LONGEST_PNG_LABEL = 200
"""A file name holds 255 bytes: an index of up to 19 digits, the label, and `.png`."""


def check_png_label(longest: int) -> None:
    """Raise `UsageError` for labels that are too long for a file name."""
    if longest > LONGEST_PNG_LABEL:
        raise UsageError(
            f"labels have up to {longest} digits, but a PNG's file name holds "
            f"{LONGEST_PNG_LABEL}: use fewer, or --format hdf5"
        )


class StorageOptions(FrozenModel):
    """How the samples of a dataset lie in files. None of it changes a pixel."""

    format: Literal["hdf5", "png"] = Field(default="hdf5", description="the format of the shards")
    compression: Literal["none", "gzip"] = Field(default="none", description="of HDF5 images")
    masks: bool = Field(default=False, description="whether masks are stored beside the images")
    shard_size: WholeNumber = Field(default=10_000, ge=1, le=10**8, description="images per shard")

    @model_validator(mode="after")
    def _some_is_for_hdf5(self) -> StorageOptions:
        if self.format == "png" and self.compression != "none":
            raise ValueError("compression is 'gzip', but PNG files are compressed as they are")
        if self.format == "png" and self.masks:
            raise ValueError("masks are for format 'hdf5': a folder of PNG files holds images only")
        return self


class Shard(FrozenModel):
    """A fixed range of sample indices, [start, start + count), made by one task, alone."""

    number: Count
    start: Count
    count: Count

    @property
    def name(self) -> str:
        """What the names of the shard's files begin with."""
        return f"shard-{self.number:06d}"

    @property
    def record_name(self) -> str:
        """The name of the shard's completion record."""
        return f"{self.name}.json"


class DatasetConfig(FrozenModel):
    """What a folder is going to be: recipe, storage, count, versions."""

    recipe: dict[str, Any]
    storage: StorageOptions
    count: WholeNumber = Field(ge=1, lt=1 << 63, description="how many samples")
    fingerprint: str
    generator_version: WholeNumber = GENERATOR_VERSION
    format_version: WholeNumber = FORMAT_VERSION

    @classmethod
    def of(cls, recipe: Recipe, storage: StorageOptions, count: int) -> DatasetConfig:
        """Return the plan of a dataset to be. Raises `UsageError` for what cannot be stored."""
        if storage.format == "png":
            check_png_label(recipe.label_source.longest)
        return cls(
            recipe=recipe.to_json(), storage=storage, count=count, fingerprint=recipe.fingerprint
        )

    @property
    def shards(self) -> int:
        """How many shards the dataset has."""
        return -(-self.count // self.storage.shard_size)

    def shard(self, number: int) -> Shard:
        """Return one shard by its number, from 0."""
        start = number * self.storage.shard_size
        return Shard(
            number=number, start=start, count=min(self.storage.shard_size, self.count - start)
        )

    def all_shards(self) -> Iterator[Shard]:
        """Yield every shard, in order."""
        return (self.shard(number) for number in range(self.shards))

    def require_own_version(self, folder: Path) -> None:
        """Raise `BuilderError` where another generator version made the dataset in `folder`."""
        if self.generator_version != GENERATOR_VERSION:
            raise BuilderError(
                f"{folder}: was made by generator version {self.generator_version}, and this is "
                f"{GENERATOR_VERSION}: its samples cannot be made again with this one"
            )

    def differences(self, other: DatasetConfig) -> list[str]:
        """Return what tells this plan from another but the count: 'field: this, not that' each."""
        mine, theirs = self._flat(), other._flat()
        return [
            f"{name}: {mine.get(name)}, not {theirs.get(name)}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]

    def _flat(self) -> dict[str, Any]:
        values = self.model_dump(mode="json", exclude={"count", "fingerprint", "recipe", "storage"})
        return {**values, **self.storage.model_dump(), **self.recipe}


@dataclass(frozen=True)
class Part:
    """One of `of` parts of a dataset's shards, by its number from 1: runs of neighbours."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(f"part is {self}, expected I/N with I from 1 to N, such as 3/8")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def shards(self, plan: DatasetConfig) -> range:
        """Return the numbers of its shards; there are none where parts are more than shards."""
        return range(
            plan.shards * (self.number - 1) // self.of, plan.shards * self.number // self.of
        )
