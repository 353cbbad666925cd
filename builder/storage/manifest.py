"""Completion records of shards, and the manifest that sums them up."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from builder.common import atomic_files, untrusted_files
from builder.common.constants import FORMAT_VERSION
from builder.common.errors import DatasetError, UsageError
from builder.common.validation import Count, FrozenModel, WholeNumber, json_sha256
from builder.recipe.recipe import Recipe
from builder.storage.config import PLAN, DatasetConfig, Shard
from builder.storage.statistics import ClassCounts, ContentDigest, Statistics

MANIFEST = "manifest.json"
LABELS = "labels.txt.gz"
LOG = "build.log"

MOST_SHARDS = 1_000_000
"""Shards of a dataset at most: each is three files of one folder, and a line of the manifest."""

MOST_BYTES = {MANIFEST: 1 << 30}
"""Bytes of a manifest at most: a million shards, the most there are, take 0.9 GB."""

MOST_OF_OTHERS = 1 << 16
"""Bytes of a plan or record at most. They have a thousand or two. A plan with as many digits as a
label can have takes 7,000, and a record with labels of all lengths and the largest sums 13,000."""

LIBRARIES = ("numpy", "numba", "h5py", "isal", "pyarrow", "xxhash")
"""Libraries whose version can change a file's bytes, though never a pixel or label."""

Model = TypeVar("Model", bound=FrozenModel)


class FileRecord(FrozenModel):
    """A file, or folder, of a shard: name in the dataset's folder, size in bytes, and sha256.

    The size of a folder is the sum of its files' sizes, and its sha256 that of its sorted lines
    `name size sha256`.
    """

    name: str
    bytes: Count
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} of {self.bytes} bytes, sha256 {self.sha256}"


class CompletionRecord(FrozenModel):
    """What is stored beside a finished shard. Only this record means that the shard is done."""

    shard: Shard
    files: tuple[FileRecord, ...]
    statistics: Statistics
    fingerprint: str
    generator_version: WholeNumber
    format_version: WholeNumber = FORMAT_VERSION


class ShardEntry(FrozenModel):
    """A line of the manifest's shard table; `record` is the file of the completion record."""

    shard: Shard
    files: tuple[FileRecord, ...]
    record: FileRecord
    content_digest: ContentDigest

    @classmethod
    def of(cls, record: CompletionRecord, file: FileRecord) -> ShardEntry:
        """Return the line of a shard by its completion record, which is in `file`."""
        return cls(
            shard=record.shard,
            files=record.files,
            record=file,
            content_digest=record.statistics.content_digest,
        )


Finished = tuple[CompletionRecord, FileRecord]
"""A completion record, and the file that it is in."""


class Manifest(FrozenModel):
    """What a finished dataset is: its configuration, its shards, and statistics of its images.

    Attributes:
        plan: The dataset's configuration.
        shards: The shard table, in order.
        content_digest: Content digest of all samples, `c1:` and 32 hex digits.
        bytes: Size of all files of all shards, records included.
        pixel_mean: Mean of all grey values, 0 to 255.
        pixel_deviation: Their standard deviation.
        class_counts: How often each digit, 0 to 9, is in a label.
        length_counts: Samples by the length of their label.
        licence: Source and licence of the digits.
        libraries: Versions of the libraries that can change a file's bytes.
        labels_file: The copy of the labels file, where the recipe has one.
        checksum: sha256 of the canonical JSON of all other fields. Without it, a changed bit of
            a library's version, say, would go unseen.
    """

    plan: DatasetConfig
    shards: tuple[ShardEntry, ...]
    content_digest: ContentDigest
    bytes: Count
    pixel_mean: float
    pixel_deviation: float
    class_counts: ClassCounts
    length_counts: dict[int, Count]
    licence: str
    libraries: dict[str, str]
    labels_file: FileRecord | None = None
    checksum: str | None = None

    @classmethod
    def of(
        cls, config: DatasetConfig, finished: Iterable[Finished], labels_file: FileRecord | None
    ) -> Manifest:
        """Return the manifest of a dataset by the completion records of all its shards."""
        recipe, statistics, entries = Recipe.from_json(config.recipe), Statistics(), []
        for record, file in finished:
            statistics += record.statistics
            entries.append(ShardEntry.of(record, file))
        mean, deviation = statistics.mean_and_deviation(recipe.width)
        manifest = cls(
            plan=config,
            shards=tuple(sorted(entries, key=lambda entry: entry.shard.number)),
            content_digest=statistics.content_digest,
            bytes=sum(file.bytes for e in entries for file in (*e.files, e.record)),
            pixel_mean=mean,
            pixel_deviation=deviation,
            class_counts=statistics.class_counts,
            length_counts=statistics.length_counts,
            licence=recipe.source.licence,
            libraries={name: version(name) for name in LIBRARIES},
            labels_file=labels_file,
        )
        return manifest.model_copy(update={"checksum": checksum(manifest.model_dump(mode="json"))})


def checksum(manifest: Mapping[str, object]) -> str:
    """Return the checksum of a manifest's JSON values, whether they have one already or not."""
    return json_sha256({name: value for name, value in manifest.items() if name != "checksum"})


def file_record(path: Path) -> FileRecord:
    """Return name, size and sha256 of a file that is there. Raises `DatasetError` for a link."""
    sha256 = atomic_files.sha256_untrusted(path.parent, path.name)
    return FileRecord(name=path.name, bytes=path.lstat().st_size, sha256=sha256)


def read_model(path: Path, model: type[Model], canonical: bool = False) -> Model:
    """Return a JSON file of a dataset as a value of `model`.

    Args:
        path: The file, which has at most as many bytes as one of its name may have.
        model: What is in it.
        canonical: Whether it must have exactly the bytes that this program writes for the value.

    Raises:
        DatasetError: The file is not there, a link, too large, not JSON, of another format
            version, or not of the expected form.
    """
    most = MOST_BYTES.get(path.name, MOST_OF_OTHERS)
    data = untrusted_files.read_untrusted(path.parent, path.name, most)
    try:
        values = untrusted_files.parse_json(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{path}: holds {type(values).__name__}, expected a JSON object")
    _require_version(path, values)
    try:
        value = model(**values)
    except UsageError as error:
        raise DatasetError(f"{path}: {error}") from None
    if canonical:
        expected = atomic_files.json_bytes(value.model_dump(mode="json", exclude_unset=True))
        if data != expected:
            place = len(os.path.commonprefix([data, expected]))  # noqa: RUF071  # no paths
            raise DatasetError(
                f"{path}: byte {place} is not as this program writes it "
                f"({len(data)} bytes, expected {len(expected)})"
            )
    return value


def _require_version(path: Path, values: dict[str, object]) -> None:
    """Raise `DatasetError` for a file of another format version, before its form is looked at."""
    config = values.get("plan", values)
    found = config.get("format_version") if isinstance(config, dict) else None
    if "shard" in values and "images" in values:  # records of version 1 name no version
        found = 1
    if type(found) is int and found != FORMAT_VERSION:
        remedy = "read it with the version of this program that made it"
        if found < FORMAT_VERSION:
            file = shlex.quote(str(path.parent / PLAN))
            remedy = f"to make the dataset again: digitseq build --recipe {file} --out NEW"
        refusal = f"{path}: has format version {found}, expected {FORMAT_VERSION}"
        raise DatasetError(f"{refusal}; {remedy}")
