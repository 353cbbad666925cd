"""The JSON files of a dataset: plan, completion records, manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from builder import digest
from builder.bank import CLASSES, FRAME
from builder.errors import DatasetError, UsageError
from builder.model import Frozen
from builder.recipe import Recipe
from builder.version import FORMAT_VERSION, GENERATOR_VERSION

PLAN = "plan.json"
MANIFEST = "manifest.json"
LABELS = "labels.txt.gz"
LOG = "build.log"

LONGEST_PNG_LABEL = 200
"""A file name holds 255 bytes: an index of up to 19 digits, the label, and `.png`."""

LIBRARIES = ("numpy", "numba", "h5py", "isal", "pyarrow", "xxhash")
"""Libraries whose version can change a file's bytes, though never a pixel or label."""

Model = TypeVar("Model", bound=Frozen)


class Storage(Frozen):
    """How the samples of a dataset lie in files. None of it changes a pixel."""

    format: Literal["hdf5", "png"] = Field(default="hdf5", description="the format of the shards")
    compression: Literal["none", "gzip"] = Field(default="none", description="of HDF5 images")
    shard_size: int = Field(default=10_000, ge=1, le=10**8, description="images per shard")

    @model_validator(mode="after")
    def _compression_is_for_hdf5(self) -> Storage:
        if self.format == "png" and self.compression != "none":
            raise ValueError("compression is 'gzip', but PNG files are compressed as they are")
        return self


class Shard(Frozen):
    """A fixed range of sample indices, [start, start + count), made by one task, alone."""

    number: int
    start: int
    count: int

    @property
    def name(self) -> str:
        """What the names of the shard's files begin with."""
        return f"shard-{self.number:06d}"

    @property
    def record_name(self) -> str:
        """The name of the shard's completion record."""
        return f"{self.name}.json"


class Plan(Frozen):
    """What a folder is going to be: recipe, storage, count, versions."""

    recipe: dict[str, Any]
    storage: Storage
    count: int = Field(ge=1, lt=1 << 63, description="how many samples")
    fingerprint: str
    generator_version: int = GENERATOR_VERSION
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, recipe: Recipe, storage: Storage, count: int) -> Plan:
        """Return the plan of a dataset to be. Raises `UsageError` for what cannot be stored."""
        longest = recipe.label_source.longest
        if storage.format == "png" and longest > LONGEST_PNG_LABEL:
            raise UsageError(
                f"labels have up to {longest} digits, but a PNG's file name holds "
                f"{LONGEST_PNG_LABEL}: use --format hdf5"
            )
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

    def differences(self, other: Plan) -> list[str]:
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


class FileRecord(Frozen):
    """One file of a shard: its name in the dataset's folder, size in bytes, and sha256."""

    name: str
    bytes: int
    sha256: str


class Record(Frozen):
    """The completion record of a shard. Nothing else means that the shard is done.

    `pixel_sum`, `pixel_square_sum`: over all grey values of the shard. `class_counts`: how
    often each digit 0 to 9 is shown. `length_counts`: samples by label length.
    """

    shard: Shard
    images: FileRecord
    labels: FileRecord
    content_digest: str
    pixel_sum: int
    pixel_square_sum: int
    class_counts: tuple[int, ...]
    length_counts: dict[int, int]
    fingerprint: str
    generator_version: int


class ShardEntry(Frozen):
    """A line of the manifest's shard table."""

    shard: Shard
    images: FileRecord
    labels: FileRecord
    record: FileRecord
    content_digest: str


class Manifest(Frozen):
    """What a finished dataset is: its plan, its shards, and what its images are like as a whole.

    `pixel_mean` and `pixel_deviation` are over all grey values, 0 to 255.
    """

    plan: Plan
    shards: tuple[ShardEntry, ...]
    content_digest: str
    bytes: int
    pixel_mean: float
    pixel_deviation: float
    class_counts: tuple[int, ...]
    length_counts: dict[int, int]
    licence: str
    libraries: dict[str, str]


class Totals:
    """The sum of the completion records of a dataset, added one at a time."""

    def __init__(self) -> None:
        self.entries: list[ShardEntry] = []
        self.digest = self.pixel_sum = self.pixel_square_sum = self.count = 0
        self.class_counts = [0] * CLASSES
        self.length_counts: dict[int, int] = {}

    def add(self, record: Record, file: FileRecord) -> None:
        """Add one record, `file` being its own file."""
        self.entries.append(
            ShardEntry(
                shard=record.shard,
                images=record.images,
                labels=record.labels,
                record=file,
                content_digest=record.content_digest,
            )
        )
        self.digest += digest.parsed(record.content_digest)
        self.pixel_sum += record.pixel_sum
        self.pixel_square_sum += record.pixel_square_sum
        self.count += record.shard.count
        self.class_counts = [
            a + b for a, b in zip(self.class_counts, record.class_counts, strict=True)
        ]
        for length, count in record.length_counts.items():
            self.length_counts[length] = self.length_counts.get(length, 0) + count

    def manifest(self, plan: Plan, recipe: Recipe) -> Manifest:
        """Return the manifest of the plan of which all records were added."""
        pixels = self.count * FRAME * recipe.width
        mean = Fraction(self.pixel_sum, pixels)
        variance = Fraction(self.pixel_square_sum, pixels) - mean**2
        files = [file for e in self.entries for file in (e.images, e.labels, e.record)]
        return Manifest(
            plan=plan,
            shards=tuple(sorted(self.entries, key=lambda entry: entry.shard.number)),
            content_digest=digest.written(self.digest),
            bytes=sum(file.bytes for file in files),
            pixel_mean=float(mean),
            pixel_deviation=math.sqrt(variance),
            class_counts=tuple(self.class_counts),
            length_counts=dict(sorted(self.length_counts.items())),
            licence=recipe.source.licence,
            libraries={name: version(name) for name in LIBRARIES},
        )


def read(path: Path, model: type[Model]) -> Model:
    """Return a JSON file as a value of `model`.

    Raises `DatasetError` where it is not there, not JSON, or not of the expected form.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{path}: is not there") from None
    except (ValueError, RecursionError, IsADirectoryError) as error:
        raise DatasetError(f"{path}: is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{path}: holds {type(values).__name__}, expected a JSON object")
    try:
        return model(**values)
    except UsageError as error:
        raise DatasetError(f"{path}: {error}") from None
