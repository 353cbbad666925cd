"""The quick look at a dataset: is all there that should be, of the right size, and nothing else.

Reads plan, manifest and completion records, and asks for the sizes of all other files. Names
are compared with those that the plan gives before anything is opened, and no link is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from builder.common import atomic_files, signals
from builder.common.errors import BuilderError
from builder.storage.config import Shard
from builder.storage.findings import Findings, kind_of
from builder.storage.formats import format_of
from builder.storage.formats.base import Format
from builder.storage.manifest import (
    MANIFEST,
    CompletionRecord,
    FileRecord,
    Finished,
    ShardEntry,
    file_record,
)
from builder.storage.output_folder import OutputFolder
from builder.verification import documents
from builder.verification.documents import Documents


@dataclass(frozen=True)
class Expected:
    """A shard whose files are there with their sizes: what the manifest, or its record, says."""

    shard: Shard
    files: tuple[FileRecord, ...]
    content_digest: str


@dataclass
class Survey:
    """What the quick look came to. `known` is None where plan and manifest tell too little.

    `expected`: of each shard by its number, what is to be found in it; `readable`, the numbers of
    those whose files can be opened; `labels_hold` tells that samples can be made again.
    """

    folder: Path
    findings: Findings
    known: Documents | None
    expected: dict[int, Expected] = field(default_factory=dict)
    readable: list[int] = field(default_factory=list)
    labels_hold: bool = True


def survey(folder: Path, count: Callable[[int], None] = lambda samples: None) -> Survey:
    """Look at a dataset. `count` hears of each shard's samples; nothing is raised for a fault."""
    findings = Findings()
    documents.check_links(folder, findings)
    found = Survey(folder, findings, documents.gather(folder, findings))
    if found.known is None:
        return found
    found.labels_hold = documents.check_labels_file(folder, found.known, findings)
    form = format_of(found.known.plan.storage.format)
    finished = []
    for shard, entry in _table(found.known, findings):
        signals.check()
        record = _check_record(folder, found.known, shard, entry, findings)
        if record is not None:
            finished.append(record)
        expected = _expected(form, shard, entry, record, findings)
        if expected is not None:
            found.expected[shard.number] = expected
            if _files_hold(folder, form, expected, findings):
                found.readable.append(shard.number)
        count(shard.count)
    documents.check_totals(found.known, finished, findings)
    _check_strays(folder, form, found.known, findings)
    return found


def _table(known: Documents, findings: Findings) -> list[tuple[Shard, ShardEntry | None]]:
    """Return the plan's shards, each with its line of the manifest where that is right.

    A manifest that was changed, and was told of, counts for nothing against the records.
    """
    shards = list(known.plan.all_shards())
    if known.manifest is None or not known.sound:
        return [(shard, None) for shard in shards]
    table, pairs = known.manifest.shards, []
    if len(table) != len(shards):
        findings.document(
            f"{MANIFEST}: lists {len(table)} shards, expected {len(shards)} by the plan"
        )
    for shard in shards:
        entry = table[shard.number] if shard.number < len(table) else None
        if entry is not None and entry.shard != shard:
            findings.document(
                f"{MANIFEST}: line {shard.number} of its table is {entry.shard}, expected {shard}"
            )
            entry = None
        pairs.append((shard, entry))
    return pairs


def _check_record(
    folder: Path, known: Documents, shard: Shard, entry: ShardEntry | None, findings: Findings
) -> Finished | None:
    """Return a shard's completion record and the record's own file; None where it cannot count."""
    name = shard.record_name
    try:
        record, _ = documents.read(folder / name, CompletionRecord)
        own = file_record(folder / name)
    except (BuilderError, OSError) as error:
        if kind_of(folder / name) not in ("", "file"):
            findings.foreign.append(name)
        findings.shard(shard, str(error))
        return None
    told = {
        "shard": (record.shard, shard),
        "fingerprint": (record.fingerprint, known.plan.fingerprint),
        "generator version": (record.generator_version, known.plan.generator_version),
    }
    if entry is not None:
        told |= {
            "files": (record.files, entry.files),
            "content digest": (record.statistics.content_digest, entry.content_digest),
            "own file": (own, entry.record),
        }
    wrong = [(what, *values) for what, values in told.items() if values[0] != values[1]]
    for what, value, wanted in wrong:
        findings.shard(shard, f"{name}: {what} is {_shown(value)}, expected {_shown(wanted)}")
    return None if wrong else (record, own)


def _shown(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _expected(
    form: Format,
    shard: Shard,
    entry: ShardEntry | None,
    finished: Finished | None,
    findings: Findings,
) -> Expected | None:
    """Return what the manifest says of a shard, or else its record, if the names are the plan's."""
    source = entry or (finished and ShardEntry.of(*finished))
    if not source:
        return None
    names = tuple(file.name for file in source.files)
    if names != form.files(shard):
        expected = " and ".join(form.files(shard))
        findings.shard(shard, f"the files listed are {' and '.join(names)}, expected {expected}")
        return None
    return Expected(shard, source.files, source.content_digest)


def _files_hold(folder: Path, form: Format, expected: Expected, findings: Findings) -> bool:
    """Tell whether the files of a shard are there, of their kind and size."""
    before = len(findings.faults)
    with findings.reading(expected.shard):
        for fault in form.check_files(folder, expected.shard, expected.files):
            findings.add(fault, expected.shard)
    return len(findings.faults) == before


def _check_strays(folder: Path, form: Format, known: Documents, findings: Findings) -> None:
    """Add what is called like a shard's and is none's of the plan; note leftovers of builds."""
    ours = set()
    for shard in known.plan.all_shards():
        ours |= {*form.files(shard), shard.record_name}
    for entry in OutputFolder(folder).entries():
        if entry.name.startswith("shard-") and entry.name not in ours:
            findings.document(f"{entry.name}: is of no shard of the plan")
        if entry.name.startswith(atomic_files.TEMPORARY):
            findings.notes.append(
                f"{entry.name} was left by a build that was cut short; no reader looks at it, "
                "and the next build removes it"
            )
