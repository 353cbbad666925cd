"""Repair: the broken shards of a dataset are made again, and all ends as it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.common import signals
from builder.common.errors import BuilderError
from builder.planner.planner import planner_for
from builder.recipe import labels_file
from builder.storage.config import PLAN
from builder.storage.content_digest import add_digests
from builder.storage.findings import Fault
from builder.storage.manifest import MANIFEST, Manifest
from builder.storage.output_folder import OutputFolder
from builder.verification.documents import Documents
from builder.verification.quick_check import Survey
from builder.verification.verify import DEFAULT_SAMPLES, Check, Level, Report, checked
from builder.workers import pipeline
from builder.workers.options import BuildOptions


@dataclass(frozen=True)
class Repaired:
    """A repair: what was wrong before, the numbers of the shards made again, and what is wrong now.

    `unequal`: the shards whose samples are not those that they had.
    """

    before: Report
    made: tuple[int, ...]
    after: Report
    unequal: tuple[Fault, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the dataset is whole now, and the one that it was."""
        return self.after.whole and not self.unequal


def repair(
    path: str | Path,
    level: Level = "quick",
    *,
    samples: int = DEFAULT_SAMPLES,
    workers: int | None = None,
    progress: bool = False,
) -> Repaired:
    """Check a dataset as `verify` does, make what is broken again, and check it once more.

    Shards at fault are made again, and plan and manifest written from the other one and the
    completion records. A file that is not of the dataset is never removed; one in the way, such
    as a symbolic link, is refused with its name, before anything is changed, by `BuilderError`.
    So is a dataset of another generator version, and one of which neither plan nor manifest
    can be read. While shards are made again, the dataset has no manifest.
    """
    return carry_out(Path(path), Check(level, samples, BuildOptions(workers, progress=progress)))


def carry_out(folder: Path, check: Check) -> Repaired:
    """Repair the dataset in a folder. See `repair`."""
    before, found = checked(folder, check)
    known = found.known
    if known is None:
        raise BuilderError(
            f"{folder}: neither {PLAN} nor {MANIFEST} tells what this is to be, so it cannot be "
            f"repaired ({before.faults[0]})"
        )
    known.plan.require_own_version(folder)
    if before.whole:
        return Repaired(before, (), before)
    _require_ours(folder, found)
    planner_for(known.recipe)  # refuses here what cannot be drawn, with all still in its place
    if known.recipe.labels_file is not None:
        labels_file.open_lines(known.recipe.labels_file)
    _clear(folder, known, found.findings.to_make)
    built = pipeline.build_dataset(known.plan, known.recipe, OutputFolder(folder), check.run)
    unequal = _unequal(found, built.manifest)
    after, _ = checked(folder, check)
    return Repaired(before, tuple(sorted(found.findings.to_make)), after, unequal)


def distrust(folder: Path, run: BuildOptions) -> int:
    """Take away the records of shards that are not as recorded; return how many there were.

    For a dataset that is begun, or finished: every byte is read. What builds there next makes
    these shards again.
    """
    _, found = checked(folder, Check("full", run=run))
    if found.known is None:
        return 0
    _require_ours(folder, found)
    recorded = {n for n in found.findings.to_make
                if (folder / found.known.plan.shard(n).record_name).exists()}  # fmt: skip
    if recorded:
        _clear(folder, found.known, recorded)
    return len(recorded)


def _require_ours(folder: Path, found: Survey) -> None:
    """Raise `BuilderError` for anything that a repair would have to remove or write through."""
    links = [e.name for e in OutputFolder(folder).entries() if e.is_symlink()]
    if in_the_way := sorted({*found.findings.foreign, *links}):
        raise BuilderError(
            f"{folder}: {', '.join(in_the_way)} is not this program's and would be in the way; "
            "move it elsewhere and call again"
        )


def _clear(folder: Path, known: Documents, to_make: set[int]) -> None:
    """Leave of plan, manifest and records those that hold: what a build then finds to do."""
    out = OutputFolder(folder)
    with out.lock():
        signals.check()
        out.remove(MANIFEST)
        for number in to_make:
            out.remove(known.plan.shard(number).record_name)
        out.publish_json(PLAN, known.plan.model_dump(mode="json", exclude_unset=True))


def _unequal(found: Survey, manifest: Manifest) -> tuple[Fault, ...]:
    """Return a fault for each shard whose content digest is no longer the one expected of it."""
    unequal = []
    for entry in manifest.shards:
        expected = found.expected.get(entry.shard.number)
        if expected is not None and expected.content_digest != entry.content_digest:
            unequal.append(
                Fault(
                    entry.shard.name,
                    f"came back with content digest {entry.content_digest}, expected "
                    f"{expected.content_digest}: it is not the one that it was",
                )
            )
    known = found.known  # a manifest that was changed is no witness
    if known and known.manifest and known.sound and not unequal:
        before = known.manifest.content_digest
        total = add_digests(*(entry.content_digest for entry in manifest.shards))
        if before != total:
            unequal.append(Fault(None, f"the content digest is {total}, expected {before}"))
    return tuple(unequal)
