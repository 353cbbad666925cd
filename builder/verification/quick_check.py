"""The quick check of a dataset: its documents, and the names and sizes of all its files.

The documents are `plan.json`, the manifest, the completion records and the labels file; no other
file is opened. Names in them are compared with those that the configuration implies before they
are used. No link is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from builder.common import atomic_files, signals
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import PLAN, DatasetConfig, Shard
from builder.storage.folder_lock import LOCK
from builder.storage.formats import FORMATS
from builder.storage.manifest import (
    LABELS,
    LOG,
    MANIFEST,
    CompletionRecord,
    Finished,
    Manifest,
    ShardEntry,
    checksum,
    file_record,
)
from builder.storage.manifest_check import (
    Fault,
    catch_errors,
    check_config,
    check_entry,
    check_manifest,
    check_record,
    describe_error,
    document_fault,
    kind_of,
    read_document,
)
from builder.storage.output_folder import OutputFolder


@dataclass(frozen=True)
class DatasetDocuments:
    """What a dataset says of itself.

    Attributes:
        config: The configuration: that of the manifest if it can be trusted, else of `plan.json`.
        recipe: The recipe of the configuration.
        manifest: The manifest, None if it cannot be read.
        trusted: The manifest if it is as it was published: its checksum is right.
        agreeing: Files with this configuration: 2 if plan and manifest have the same, else 1.
    """

    config: DatasetConfig
    recipe: Recipe
    manifest: Manifest | None
    trusted: Manifest | None
    agreeing: int = 1


@dataclass
class QuickCheckResult:
    """The result of a quick check, and what other checks and a repair need of it.

    Attributes:
        folder: The dataset's folder.
        faults: All faults. Later checks add theirs.
        notes: What is odd and harmless.
        documents: None if neither plan nor manifest can be used.
        entries: What the manifest, or else the record, says of each shard, by shard number.
        readable: Those of the entries whose files have the right kind and size.
        labels_file_valid: Whether the labels file is the recipe's, or the recipe has none.
    """

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    documents: DatasetDocuments | None = None
    entries: dict[int, ShardEntry] = field(default_factory=dict)
    readable: list[ShardEntry] = field(default_factory=list)
    labels_file_valid: bool = True

    def register_labels(self) -> None:
        """Cache the valid copy of a labels file, since samples are to be rendered."""
        file = self.documents and self.documents.recipe.labels_file
        if file and self.labels_file_valid:
            labels_file.register_copy(self.folder, LABELS, file)


def quick_check(folder: Path) -> QuickCheckResult:
    """Check documents, file names and file sizes of a dataset. No fault raises an exception."""
    result = QuickCheckResult(folder)
    for name in (LOG, LOCK):
        if kind_of(folder / name) not in ("", "file"):
            result.faults.append(document_fault(folder / name, ""))
    documents = result.documents = _read_documents(folder, result.faults)
    if documents is not None:
        result.labels_file_valid = _check_labels_file(folder, documents, result.faults)
        finished = _check_shards(result, documents)
        result.faults += _check_manifest(documents, finished)
        _check_unexpected_entries(result, documents.config)
    return result


def _read_documents(folder: Path, faults: list[Fault]) -> DatasetDocuments | None:
    """Return plan and manifest, or None if neither can be used; add their faults."""
    plan = read_document(folder / PLAN, DatasetConfig, faults)
    manifest = read_document(folder / MANIFEST, Manifest, faults)
    trusted = None
    if manifest is not None:
        expected = checksum(manifest.model_dump(mode="json", exclude_unset=True))
        if manifest.checksum == expected:
            trusted = manifest
        else:
            text = f"the checksum is {manifest.checksum}, expected {expected}"
            faults.append(Fault(None, f"{MANIFEST}: {text}"))
    usable: list[DatasetDocuments] = []
    candidates = [(PLAN, plan, None), (MANIFEST, manifest.plan if manifest else None, trusted)]
    for name, config, source in reversed(candidates) if trusted else candidates:
        if config is None or any(config == documents.config for documents in usable):
            continue
        config_faults = [Fault(None, f"{name}: {fault}") for fault in check_config(config)]
        faults += config_faults
        if not config_faults:
            recipe = Recipe.from_json(config.recipe)
            agreeing = sum(config == each for _, each, _ in candidates)
            usable.append(DatasetDocuments(config, recipe, manifest, source, agreeing))
    if plan is not None and manifest is not None and plan != manifest.plan:
        counts = f"count: {manifest.plan.count}, not {plan.count}"
        text = "; ".join(manifest.plan.differences(plan)) or counts
        text = f"{PLAN} is not the plan in {MANIFEST} ({text})"
        faults.append(_choose_documents(folder, usable, text))
    return usable[0] if usable else None


def _choose_documents(folder: Path, usable: list[DatasetDocuments], text: str) -> Fault:
    """Put those documents first that more completion records agree with, of plan and manifest.

    Returns the fault that these differ, as `text` says. What no record agrees with is an obstacle:
    a repair by it could build one dataset over another.
    """
    if len(usable) < 2:
        return Fault(None, text)
    agreeing = [len(_check_shards(QuickCheckResult(folder), each)) for each in usable]
    if agreeing[1] > agreeing[0]:
        usable.reverse()
    if not any(agreeing):
        text += "; no completion record says which of them is this dataset's"
        return Fault(None, text, obstacle=f"{PLAN} or {MANIFEST}")
    if usable[0].trusted is None and usable[1].trusted:
        text += f", and the completion records agree with {PLAN}"
        return Fault(None, text, obstacle=MANIFEST)
    return Fault(None, text)


def _check_labels_file(folder: Path, documents: DatasetDocuments, faults: list[Fault]) -> bool:
    """Return whether the labels file is the recipe's, or the recipe has none; add its faults."""
    path, expected = folder / LABELS, documents.recipe.labels_file
    if expected is None:
        if kind_of(path):
            faults.append(document_fault(path, "is there, but the recipe has no labels file"))
        return True
    try:
        labels_file.read_copy(folder, LABELS, expected)  # which a quick check need not cache
        file = file_record(path)
    except Exception as error:  # of many types, for damaged bytes
        text = describe_error(error).removeprefix(f"{path}: ")
        faults.append(document_fault(path, text))
        return False
    if documents.trusted and documents.trusted.labels_file not in (None, file):
        listed = f"is not the file that {MANIFEST} lists ({documents.trusted.labels_file})"
        faults.append(document_fault(path, listed))
    return True


def _check_shards(result: QuickCheckResult, documents: DatasetDocuments) -> list[Finished]:
    """Check the records and files of all shards; return the completion records without a fault."""
    folder, config, finished = result.folder, documents.config, []
    table = documents.trusted.shards if documents.trusted else ()
    shard_format = FORMATS[config.storage.format]
    for shard in config.all_shards():
        signals.check()
        entry = table[shard.number] if shard.number < len(table) else None
        if entry is not None and any(check_entry(config, shard, entry)):
            entry = None  # `_check_manifest` adds the fault
        record = _check_record(result, config, shard, entry)
        if record is not None:
            finished.append(record)
            entry = entry or ShardEntry.of(*record)
        if entry is not None:
            result.entries[shard.number] = entry
            faults = list(catch_errors(shard, shard_format.check_files(folder, shard, entry.files)))
            result.faults += faults
            if not faults:
                result.readable.append(entry)
    return finished


def _check_record(
    result: QuickCheckResult, config: DatasetConfig, shard: Shard, entry: ShardEntry | None
) -> Finished | None:
    """Return a shard's completion record and its file, or None after adding a fault."""
    path = result.folder / shard.record_name
    record = read_document(path, CompletionRecord, result.faults)
    if record is None:
        return None
    finished = record, file_record(path)
    faults = list(check_record(config, shard, finished, entry))
    result.faults += [document_fault(path, fault.text) for fault in faults]
    return None if faults else finished


def _check_manifest(documents: DatasetDocuments, finished: list[Finished]) -> Iterator[Fault]:
    """Yield each fault of the manifest against its configuration and the records."""
    manifest, config = documents.manifest, documents.config
    if manifest is None or manifest.plan != config:
        return
    for fault in check_manifest(
        manifest, finished if len(finished) == config.shard_count else None
    ):
        # no shard is made again for what an untrusted manifest says of it
        shard = fault.shard if documents.trusted else None
        yield Fault(shard, f"{MANIFEST}: {fault.text}")


def _check_unexpected_entries(result: QuickCheckResult, config: DatasetConfig) -> None:
    """Add a fault for each `shard-*` that is of no shard, and a note for each temporary file."""
    expected = set()
    for shard in config.all_shards():
        expected |= {*config.file_names(shard), shard.record_name}
    for entry in OutputFolder(result.folder).entries():
        if entry.name.startswith("shard-") and entry.name not in expected:
            result.faults.append(Fault(None, f"{entry.name}: belongs to no shard of the plan"))
        if entry.name.startswith(atomic_files.TEMPORARY):
            result.notes.append(
                f"{entry.name} was left by an interrupted build; readers ignore it, and the next "
                "build removes it"
            )
