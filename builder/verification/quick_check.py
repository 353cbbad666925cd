"""The quick look at a dataset: is all there that should be, of the right size, and nothing else.

Reads plan, manifest and completion records, and asks for the sizes of all other files. Names
are compared with those that the plan gives before anything is opened, and no link is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from builder.common import atomic_files, signals
from builder.common.errors import BuilderError
from builder.storage import formats
from builder.storage.config import Shard
from builder.storage.findings import Findings, kind_of, listed
from builder.storage.manifest import MANIFEST, FileRecord, Record, ShardEntry, file_record
from builder.verification import documents
from builder.verification.documents import Documents


@dataclass(frozen=True)
class Expected:
    """A shard whose files are there with their sizes: what the manifest, or its record, says."""

    shard: Shard
    images: FileRecord
    labels: FileRecord
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
    form = formats.format_of(found.known.plan.storage.format)
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
                f"{MANIFEST}: line {shard.number} of its table is {_range(entry.shard)}, "
                f"expected {_range(shard)}"
            )
            entry = None
        pairs.append((shard, entry))
    return pairs


def _range(shard: Shard) -> str:
    return f"{shard.name} from {shard.start}, {shard.count} images"


def _check_record(
    folder: Path, known: Documents, shard: Shard, entry: ShardEntry | None, findings: Findings
) -> tuple[Record, FileRecord] | None:
    """Return a shard's completion record and the record's own file; None where it cannot count."""
    name = shard.record_name
    try:
        record, _ = documents.read(folder / name, Record)
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
            "images": (record.images, entry.images),
            "labels": (record.labels, entry.labels),
            "content digest": (record.content_digest, entry.content_digest),
            "own file": (own, entry.record),
        }
    wrong = [(what, *values) for what, values in told.items() if values[0] != values[1]]
    for what, value, wanted in wrong:
        findings.shard(shard, f"{name}: {what} is {_shown(value)}, expected {_shown(wanted)}")
    return None if wrong else (record, own)


def _shown(value: object) -> str:
    """Return a value in words: of a file all that is recorded, of a shard its range."""
    if isinstance(value, FileRecord):
        return f"{value.name} of {value.bytes} bytes, sha256 {value.sha256}"
    return _range(value) if isinstance(value, Shard) else str(value)


def _expected(
    form: ModuleType,
    shard: Shard,
    entry: ShardEntry | None,
    record: tuple[Record, FileRecord] | None,
    findings: Findings,
) -> Expected | None:
    """Return what the manifest says of a shard, or else its record, if the names are the plan's."""
    source = entry or (record and record[0])
    if not source:
        return None
    names = form.image_file(shard), form.labels_file(shard)
    given = source.images.name, source.labels.name
    if given != names:
        findings.shard(shard, f"the files listed are {_pair(given)}, expected {_pair(names)}")
        return None
    return Expected(shard, source.images, source.labels, source.content_digest)


def _pair(names: tuple[str, str]) -> str:
    return " and ".join(names)


def _files_hold(folder: Path, form: ModuleType, expected: Expected, findings: Findings) -> bool:
    """Tell whether images and labels of a shard are there, of their kind and size."""
    before = len(findings.faults)
    shard, images, labels = expected.shard, expected.images, expected.labels
    in_folder = labels.name.startswith(f"{images.name}/")
    if _is_there(folder / images.name, "folder" if in_folder else "file", shard, findings):
        with findings.reading(shard):
            size = (
                _look_into(folder / images.name, shard, findings)
                if in_folder
                else (folder / images.name).lstat().st_size
            )
            _check_size(images, size, shard, findings)
            if in_folder and len(findings.faults) > before:
                return False
            if _is_there(folder / labels.name, "file", shard, findings):
                _check_size(labels, (folder / labels.name).lstat().st_size, shard, findings)
    elif not in_folder:
        _is_there(folder / labels.name, "file", shard, findings)
    return len(findings.faults) == before


def _look_into(path: Path, shard: Shard, findings: Findings) -> int:
    from builder.storage.formats import png_folder  # only where there are such folders

    return png_folder.look(path, shard, findings)


def _is_there(path: Path, wanted: str, shard: Shard, findings: Findings) -> bool:
    kind = kind_of(path)
    if kind and kind != wanted:
        findings.stranger(path.name, f"is a {kind}, expected a {wanted}", shard)
    elif not kind:
        findings.shard(shard, f"{path.name} is not there")
    return kind == wanted


def _check_size(file: FileRecord, size: int, shard: Shard, findings: Findings) -> None:
    if size != file.bytes:
        findings.shard(shard, f"{file.name} has {size} bytes, expected {file.bytes}")


def _check_strays(folder: Path, form: ModuleType, known: Documents, findings: Findings) -> None:
    """Add what is called like a shard's and is none's of the plan; note leftovers of builds."""
    ours = set()
    for shard in known.plan.all_shards():
        ours |= {form.image_file(shard), form.labels_file(shard), shard.record_name}
    for entry in listed(folder):
        if entry.name.startswith("shard-") and entry.name not in ours:
            findings.document(f"{entry.name}: is of no shard of the plan")
        if entry.name.startswith(atomic_files.TEMPORARY):
            findings.notes.append(
                f"{entry.name} was left by a build that was cut short; no reader looks at it, "
                "and the next build removes it"
            )
