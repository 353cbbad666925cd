"""Faults of a dataset, and the check of a manifest and its records against the configuration."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.common.errors import BuilderError, UsageError, one_line
from builder.common.validation import format_value
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig, Shard
from builder.storage.manifest import (
    MOST_SHARDS,
    FileRecord,
    Finished,
    Manifest,
    Model,
    ShardEntry,
    read_model,
)
from builder.storage.statistics import add_digests


@dataclass(frozen=True)
class Fault:
    """One fault of a dataset.

    Attributes:
        shard: Name of the shard, None for a fault of the dataset as a whole.
        text: One line: the value and what was expected.
        obstacle: Name of a link, folder or file in the way that this program did not make. A
            repair leaves it alone. "" if there is none.
    """

    shard: str | None
    text: str
    obstacle: str = ""

    def __str__(self) -> str:
        return one_line(f"{self.shard}: {self.text}" if self.shard else self.text)


def kind_of(path: Path) -> str:
    """Return 'file', 'folder', 'symbolic link', 'special file', or '' if nothing is there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def catch_errors(shard: Shard, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield faults, and an exception of the check as a fault of the shard.

    Damaged bytes raise exceptions of many types in HDF5, pydantic and numpy.
    """
    try:
        yield from faults
    except Exception as error:
        yield Fault(shard.name, f"cannot be read ({describe_error(error)})")


def describe_error(error: Exception) -> str:
    """Return the message of an exception, or its type if it has none."""
    return str(error)[:300] or type(error).__name__


def read_document(path: Path, model: type[Model], faults: list[Fault]) -> Model | None:
    """Return a JSON file as a value of `model`, or None after adding its fault."""
    try:
        return read_model(path, model, canonical=True)
    except BuilderError as error:
        unfinished = " (the build is not finished?)" if model is Manifest else ""
        text = str(error).removeprefix(f"{path}: ") + (unfinished if not kind_of(path) else "")
    except Exception as error:  # whatever pydantic and json raise for bytes from anywhere
        text = f"cannot be read ({describe_error(error)})"
    faults.append(document_fault(path, text))
    return None


def document_fault(path: Path, text: str) -> Fault:
    """Return the fault of a document. What is no file is an obstacle, whatever the text."""
    name, kind = path.stem if path.name.startswith("shard-") else None, kind_of(path)
    if kind in ("", "file"):
        return Fault(name, f"{path.name}: {text}")
    return Fault(name, f"{path.name}: is a {kind}, expected a file", obstacle=path.name)


def check_manifest(
    manifest: Manifest, finished: Iterable[Finished] | None = None
) -> Iterator[Fault]:
    """Yield each fault of a manifest: what its configuration, and the records, do not imply.

    Args:
        manifest: The manifest, as it was read.
        finished: The completion records of all shards, with their files. Without them the
            manifest is only held against its configuration.
    """
    config = manifest.plan
    config_faults = list(check_config(config))
    yield from config_faults
    if config_faults:
        return  # the shards are unknown
    if len(manifest.shards) != config.shard_count:
        yield Fault(
            None,
            f"lists {len(manifest.shards)} shards, expected {config.shard_count} of "
            f"{config.storage.shard_size} images for {config.count}",
        )
    for shard, entry in zip(config.all_shards(), manifest.shards, strict=False):
        yield from check_entry(config, shard, entry)
    if finished is None:
        yield from _check_totals(manifest)
    else:
        yield from _check_sums(manifest, finished)


def check_config(config: DatasetConfig) -> Iterator[Fault]:
    """Yield each fault for which this program cannot use a dataset's configuration."""
    if config.shard_count > MOST_SHARDS:
        yield Fault(None, f"is of {config.shard_count} shards, expected {MOST_SHARDS} at most")
    try:
        if Recipe.from_json(config.recipe).fingerprint != config.fingerprint:
            yield Fault(None, "the fingerprint is not that of the recipe")
    except UsageError as error:
        yield Fault(None, str(error))


def check_entry(config: DatasetConfig, shard: Shard, entry: ShardEntry) -> Iterator[Fault]:
    """Yield each fault of a line of the shard table. Names are compared, and open nothing."""
    if entry.shard != shard:
        yield Fault(None, f"lists {entry.shard}, expected {shard}")
        return
    names = [file.name for file in (*entry.files, entry.record)]
    expected = [*config.file_names(shard), shard.record_name]
    if names != expected:
        yield Fault(shard.name, f"names {format_value(names)}, expected {', '.join(expected)}")


def check_record(
    config: DatasetConfig, shard: Shard, finished: Finished, entry: ShardEntry | None = None
) -> Iterator[Fault]:
    """Yield each fault of a completion record.

    Args:
        config: Configuration of the dataset.
        shard: The shard that the record should be of.
        finished: The record and the file that it is in.
        entry: The shard's line of a manifest that can be trusted. It must be equal to the
            record; without it the record is only held against the configuration.
    """
    record, file = finished
    pairs: dict[str, tuple[object, object]] = {
        "shard": (record.shard, shard),
        "fingerprint": (record.fingerprint, config.fingerprint),
        "generator version": (record.generator_version, config.generator_version),
        "number of labels": (record.statistics.count, shard.count),
    }
    if entry is not None:
        pairs |= {
            "files": (_join(record.files), _join(entry.files)),
            "content digest": (record.statistics.content_digest, entry.content_digest),
            "own file": (file, entry.record),
        }
    for name, (value, expected) in pairs.items():
        if value != expected:
            yield Fault(shard.name, f"{name} is {value}, expected {expected}")
    if record.shard == shard:
        yield from check_entry(config, shard, ShardEntry.of(record, file))


def _join(files: Iterable[FileRecord]) -> str:
    return "; ".join(map(str, files))


def _check_totals(manifest: Manifest) -> Iterator[Fault]:
    """Yield a fault for each total of a manifest that does not fit its own shard table."""
    if manifest.content_digest != add_digests(*(e.content_digest for e in manifest.shards)):
        yield Fault(None, "the content digest is not the sum of those of the shards")
    labels = sum(manifest.length_counts.values())
    if labels != manifest.plan.count:
        yield Fault(None, f"counts {labels} labels, expected {manifest.plan.count}")


def _check_sums(manifest: Manifest, finished: Iterable[Finished]) -> Iterator[Fault]:
    """Yield a fault for each field of a manifest that the completion records do not add up to."""
    try:
        expected = Manifest.of(manifest.plan, finished, manifest.labels_file)
    except BuilderError as error:
        yield Fault(None, f"the records cannot be summed up ({error})")
        return
    for name in sorted(Manifest.model_fields.keys() - {"plan", "shards", "libraries", "checksum"}):
        value, total = getattr(manifest, name), getattr(expected, name)
        if value != total:
            yield Fault(None, f"{name} is {value}, expected {total}, the sum of the records")
