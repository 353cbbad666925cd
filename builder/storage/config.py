"""The configuration of a dataset: what a folder is going to hold, as `plan.json` stores it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from builder.common.constants import FORMAT_VERSION, FRAME, GENERATOR_VERSION
from builder.common.errors import BuilderError, UsageError
from builder.common.validation import Count, FrozenModel, WholeNumber
from builder.recipe.labels_file import LONGEST_LABEL
from builder.recipe.recipe import Recipe

PLAN = "plan.json"
"""Name of the file with the configuration. It is published before the first shard."""


FormatName = Literal["hdf5", "png"]


class FormatFacts(NamedTuple):
    """What a format can store, and in which files. `FORMATS` of `formats` writes and reads them.

    Attributes:
        suffixes: End of the default folder's name, by each compression that there is.
        endings: Ends of the names of the files beside a shard's fields file; "" for a folder.
        longest_label: Digits of a label at most, as many as `label_place` holds.
    """

    suffixes: Mapping[str, str]
    endings: tuple[str, ...]
    longest_label: int = LONGEST_LABEL
    label_place: str = "a row of labels"

    def check_labels(self, longest: int) -> None:
        """Raise `UsageError` for labels of up to `longest` digits if they cannot be stored."""
        if longest > self.longest_label:
            raise UsageError(
                f"labels have up to {longest} digits, but {self.label_place} holds "
                f"{self.longest_label}: use fewer, or --format hdf5"
            )


FORMAT_FACTS: Mapping[FormatName, FormatFacts] = {
    "hdf5": FormatFacts({"none": "h5", "gzip": "h5gz"}, (".parquet",)),
    # a file name has 255 bytes: index of up to 19 digits, label, `.png`
    "png": FormatFacts({"none": "png"}, ("",), 200, "a PNG's file name"),
}


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
        allowed = FORMAT_FACTS[self.format].suffixes
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


CHUNK = 16
"""Images in a gzipped chunk: what a random read must inflate. 16 take 170 us, 256 2.4 ms."""


class StoredField(NamedTuple):
    """A field of a batch as it is stored.

    Attributes:
        tail: Shape of one sample's values.
        dtype: Type of the values, little-endian.
        chunk_rows: Samples in a deflated chunk; 0 for values in one piece.
    """

    tail: tuple[int, ...]
    dtype: np.dtype[np.generic]
    chunk_rows: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of one sample's values."""
        return np.dtype((self.dtype, self.tail)).itemsize

    def chunk(self, count: int) -> tuple[int, ...] | None:
        """Return the shape of the chunks of `count` samples; None for values in one piece."""
        return (min(self.chunk_rows, count), *self.tail) if self.chunk_rows else None


StoredFields = Mapping[str, StoredField]
"""The fields of a sample by their names in `Batch`."""


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
        FORMAT_FACTS[storage.format].check_labels(recipe.label_source.longest)
        return cls(
            recipe=recipe.to_json(), storage=storage, count=count, fingerprint=recipe.fingerprint
        )

    @property
    def fields(self) -> StoredFields:
        """Every field that the samples have."""
        recipe = Recipe.from_json(self.recipe)
        digits = recipe.label_source.longest
        chunk_rows = CHUNK if self.storage.compression == "gzip" else 0
        pixels = StoredField((FRAME, recipe.width), np.dtype("u1"), chunk_rows)
        return {
            "images": pixels,
            "labels": StoredField((digits,), np.dtype("i1")),
            "lengths": StoredField((), np.dtype("u1")),
            "index": StoredField((), np.dtype("<i8")),
            "seeds": StoredField((), np.dtype("<u8")),
            "glyphs": StoredField((digits,), np.dtype("<i4")),
            "boxes": StoredField((digits, 4), np.dtype("<f4")),
            "quads": StoredField((digits, 4, 2), np.dtype("<f4")),
            "visible": StoredField((digits,), np.dtype("<f4")),
            **({"masks": pixels} if self.storage.masks else {}),
        }

    @property
    def shard_count(self) -> int:
        """Number of shards."""
        return -(-self.count // self.storage.shard_size)

    def shard(self, number: int) -> Shard:
        """Return a shard by its number, from 0."""
        size = self.storage.shard_size
        count = min(size, self.count - number * size)
        return Shard(number=number, start=number * size, count=count)

    def all_shards(self) -> Iterator[Shard]:
        """Yield every shard in order."""
        return (self.shard(number) for number in range(self.shard_count))

    def file_names(self, shard: Shard) -> tuple[str, ...]:
        """Return the names of a shard's files and folders in the dataset's folder."""
        endings = FORMAT_FACTS[self.storage.format].endings
        return (shard.fields_name, *(shard.name + ending for ending in endings))

    def require_own_version(self, folder: Path) -> None:
        """Raise `BuilderError` where another generator version made the dataset in `folder`."""
        if self.generator_version != GENERATOR_VERSION:
            raise BuilderError(
                f"{folder}: was made by generator version {self.generator_version}, and this is "
                f"{GENERATOR_VERSION}: its samples cannot be made again with this one"
            )

    def differences(self, other: DatasetConfig) -> list[str]:
        """Return 'field: this, not that' for each difference but the count."""
        names = {"generator_version", "format_version"}
        mine, theirs = (
            {**config.model_dump(include=names), **config.storage.model_dump(), **config.recipe}
            for config in (self, other)
        )
        return [
            f"{name}: {mine.get(name)}, not {theirs.get(name)}"
            for name in sorted(mine | theirs)
            if mine.get(name) != theirs.get(name)
        ]


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
        first, end = (config.shard_count * n // self.of for n in (self.number - 1, self.number))
        return range(first, end)
