"""What is written of finished shards: completion records, and the manifest that sums them up."""

from __future__ import annotations

import math
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from builder.common import atomic_files, untrusted_files
from builder.common.constants import CLASSES, FRAME
from builder.common.errors import DatasetError, UsageError
from builder.common.validation import Count, FrozenModel, WholeNumber, json_sha256
from builder.recipe.recipe import Recipe
from builder.storage import content_digest
from builder.storage.config import DatasetConfig, Shard

MANIFEST = "manifest.json"
LABELS = "labels.txt.gz"
LOG = "build.log"

MOST_BYTES = {MANIFEST: 1 << 30}
"""Bytes of a manifest at most: a million shards, the most there are, take 0.9 GB."""

MOST_OF_OTHERS = 1 << 22
"""Bytes of a plan or record at most. They have a thousand or two, and a large recipe 5,000."""

LIBRARIES = ("numpy", "numba", "h5py", "isal", "pyarrow", "xxhash")
"""Libraries whose version can change a file's bytes, though never a pixel or label."""

Model = TypeVar("Model", bound=FrozenModel)


class FileRecord(FrozenModel):
    """One file of a shard: its name in the dataset's folder, size in bytes, and sha256."""

    name: str
    bytes: Count
    sha256: str


class Record(FrozenModel):
    """The completion record of a shard. Nothing else means that the shard is done.

    `pixel_sum`, `pixel_square_sum`: over all grey values of the shard. `class_counts`: how
    often each digit 0 to 9 is shown. `length_counts`: samples by label length.
    """

    shard: Shard
    images: FileRecord
    labels: FileRecord
    content_digest: str
    pixel_sum: Count
    pixel_square_sum: Count
    class_counts: tuple[Count, ...]
    length_counts: dict[int, Count]
    fingerprint: str
    generator_version: WholeNumber


class ShardEntry(FrozenModel):
    """A line of the manifest's shard table."""

    shard: Shard
    images: FileRecord
    labels: FileRecord
    record: FileRecord
    content_digest: str


class Manifest(FrozenModel):
    """What a finished dataset is: its plan, its shards, and what its images are like as a whole.

    `pixel_mean` and `pixel_deviation` are over all grey values, 0 to 255. `labels_file` is the copy
    of the labels file, where the recipe has one. `checksum` is the sha256 of the canonical JSON
    of all other fields: of the library versions, say, nothing else would show a flipped bit.
    """

    plan: DatasetConfig
    shards: tuple[ShardEntry, ...]
    content_digest: str
    bytes: Count
    pixel_mean: float
    pixel_deviation: float
    class_counts: tuple[Count, ...]
    length_counts: dict[int, Count]
    licence: str
    libraries: dict[str, str]
    labels_file: FileRecord | None = None
    checksum: str | None = None


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
        self.digest += content_digest.parsed(record.content_digest)
        self.pixel_sum += record.pixel_sum
        self.pixel_square_sum += record.pixel_square_sum
        self.count += record.shard.count
        self.class_counts = [
            a + b for a, b in zip(self.class_counts, record.class_counts, strict=True)
        ]
        for length, count in record.length_counts.items():
            self.length_counts[length] = self.length_counts.get(length, 0) + count

    def manifest(
        self, plan: DatasetConfig, recipe: Recipe, labels_file: FileRecord | None
    ) -> Manifest:
        """Return the manifest of the plan of which all records were added."""
        pixels = self.count * FRAME * recipe.width
        mean = Fraction(self.pixel_sum, pixels)
        variance = Fraction(self.pixel_square_sum, pixels) - mean**2
        listed = [file for e in self.entries for file in (e.images, e.labels, e.record)]
        manifest = Manifest(
            plan=plan,
            shards=tuple(sorted(self.entries, key=lambda entry: entry.shard.number)),
            content_digest=content_digest.written(self.digest),
            bytes=sum(file.bytes for file in listed),
            pixel_mean=float(mean),
            pixel_deviation=math.sqrt(variance),
            class_counts=tuple(self.class_counts),
            length_counts=dict(sorted(self.length_counts.items())),
            licence=recipe.source.licence,
            libraries={name: version(name) for name in LIBRARIES},
            labels_file=labels_file,
        )
        return manifest.model_copy(update={"checksum": checksum(manifest.model_dump(mode="json"))})


def checksum(manifest: dict[str, Any]) -> str:
    """Return the checksum of a manifest's JSON values, whether they have one already or not."""
    return json_sha256({name: value for name, value in manifest.items() if name != "checksum"})


def file_record(path: Path) -> FileRecord:
    """Return name, size and sha256 of a file that is there. Raises `DatasetError` for a link."""
    sha256 = atomic_files.sha256_untrusted(path.parent, path.name)
    return FileRecord(name=path.name, bytes=path.lstat().st_size, sha256=sha256)


def read(path: Path, model: type[Model]) -> Model:
    """Return a JSON file as a value of `model`.

    Raises `DatasetError` where it is not there, a link, too large, not JSON, or not of the
    expected form.
    """
    return parsed(path, read_bytes(path), model)


def read_bytes(path: Path) -> bytes:
    """Return a JSON file's bytes, as many as one of its name may have."""
    return untrusted_files.read_untrusted(
        path.parent, path.name, MOST_BYTES.get(path.name, MOST_OF_OTHERS)
    )


def parsed(path: Path, data: bytes, model: type[Model]) -> Model:
    """Return what the bytes of a JSON file say, as a value of `model`."""
    try:
        values = untrusted_files.parse_json(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{path}: holds {type(values).__name__}, expected a JSON object")
    try:
        return model(**values)
    except UsageError as error:
        raise DatasetError(f"{path}: {error}") from None
