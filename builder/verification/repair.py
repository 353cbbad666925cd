"""`repair`: the broken shards of a dataset are built again, with equal bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from builder.common import signals
from builder.common.errors import BuilderError
from builder.common.validation import local_path
from builder.planner.planner import open_planner
from builder.recipe import labels_file
from builder.storage.claim import claim
from builder.storage.config import PLAN, DatasetConfig
from builder.storage.manifest import MANIFEST, CompletionRecord, Manifest
from builder.storage.manifest_check import Fault, read_document
from builder.storage.output_folder import OutputFolder
from builder.verification.quick_check import DatasetDocuments, QuickCheckResult
from builder.verification.verify import (
    DEFAULT_SAMPLES,
    Level,
    VerifyOptions,
    VerifyReport,
    verify_dataset,
)
from builder.workers import pipeline
from builder.workers.options import BuildOptions


@dataclass(frozen=True)
class RepairReport:
    """The result of a repair.

    Attributes:
        before: Report of the check before the repair.
        made: Numbers of the shards that were built again, increasing.
        after: Report of the check after it; `before` if nothing was to be repaired.
        unequal: A fault for each shard whose samples are not those that it had.
    """

    before: VerifyReport
    made: tuple[int, ...]
    after: VerifyReport
    unequal: tuple[Fault, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the dataset has no fault now, and the samples that it had."""
        return self.after.whole and not self.unequal


def repair(
    path: str | Path,
    level: Level = "quick",
    *,
    samples: int = DEFAULT_SAMPLES,
    workers: int | None = None,
    progress: bool = False,
) -> RepairReport:
    """Check a dataset as `verify` does, build broken shards again, and check it once more.

    Plan and manifest are written again from each other and the completion records. A file that is
    not the dataset's is never removed. The dataset has no manifest while shards are built.

    Args:
        path: The dataset's folder.
        level: Level of both checks, "quick" (default), "full" or "deep"; see `verify`.
        samples: Samples that a deep check renders, from 1; default 1,000.
        workers: The most workers, from 1; default: all usable cores.
        progress: Whether to show a progress bar on standard error.

    Returns:
        Both reports, and the shards that were built again.

    Raises:
        UsageError: The folder holds no dataset, or an option is out of range.
        BuilderError: Nothing was changed, because a link or a file that is not the dataset's is
            in the way, a manifest or all shards are of another dataset, the dataset is of another
            generator version, its digits are not known on this machine, or neither plan nor
            manifest can be read.

    >>> from tempfile import TemporaryDirectory
    >>> from builder import Recipe, build, repair
    >>> with TemporaryDirectory() as folder:
    ...     result = build(Recipe(), count=4, out=f"{folder}/set", backend="sequential")
    ...     (result.path / "shard-000000.h5").unlink()
    ...     report = repair(result.path, workers=1)
    ...     len(report.before.faults), report.made, report.whole
    (1, (0,), True)
    """
    options = VerifyOptions(level=level, samples=samples, workers=workers, progress=progress)
    return repair_dataset(local_path(path), options)


def repair_dataset(folder: Path, options: VerifyOptions) -> RepairReport:
    """Repair a dataset as `repair` does."""
    before, result = verify_dataset(folder, options)
    documents = result.documents
    if documents is None:
        raise BuilderError(
            f"{folder}: neither {PLAN} nor {MANIFEST} can be used, so the dataset cannot be "
            f"repaired ({before.faults[0]})"
        )
    config, recipe = documents.config, documents.recipe
    config.require_own_version(folder)
    if before.whole:
        return RepairReport(before, (), before)
    _require_no_obstacles(result)
    _require_own_records(folder, documents)
    result.register_labels()
    open_planner(recipe)  # refuses what cannot be drawn while everything is still there
    if recipe.labels_file is not None:
        labels_file.open_lines(recipe.labels_file)
    broken = _broken_shards(result, config)
    _remove_records(folder, config, broken)
    manifest = pipeline.build_dataset(config, OutputFolder(folder), options).manifest
    unequal = _compare_digests(result, manifest)
    after, _ = verify_dataset(folder, options)
    return RepairReport(before, tuple(broken), after, unequal)


def remove_invalid_records(folder: Path, run: BuildOptions) -> int:
    """Read every byte of a dataset, finished or not; remove the records of shards with a fault.

    The next build makes these shards again.

    Args:
        folder: The dataset's folder.
        run: How the workers run.

    Returns:
        How many records were removed.

    Raises:
        BuilderError: A link or a file that is not the dataset's is in the way.
    """
    _, result = verify_dataset(folder, VerifyOptions(level="full", **dict(run)))
    if result.documents is None:
        return 0
    _require_no_obstacles(result)
    _require_own_records(folder, result.documents)
    config, output = result.documents.config, OutputFolder(folder)
    broken = _broken_shards(result, config)
    recorded = [number for number in broken if output.exists(config.shard(number).record_name)]
    if recorded:
        _remove_records(folder, config, recorded)
    return len(recorded)


def _broken_shards(result: QuickCheckResult, config: DatasetConfig) -> list[int]:
    """Return the numbers of the shards with a fault."""
    names = {fault.shard for fault in result.faults}
    return [shard.number for shard in config.all_shards() if shard.name in names]


def _require_no_obstacles(result: QuickCheckResult) -> None:
    """Raise `BuilderError` for anything that a repair would have to remove or write through."""
    obstacles = {fault.obstacle for fault in result.faults if fault.obstacle}
    entries = OutputFolder(result.folder).entries()
    obstacles |= {entry.name for entry in entries if entry.is_symlink()}
    if obstacles:
        raise BuilderError(
            f"{result.folder}: {', '.join(sorted(obstacles))} is in the way and not this "
            "dataset's; move it elsewhere and repeat the call"
        )


def _require_own_records(folder: Path, documents: DatasetDocuments) -> None:
    """Raise `BuilderError` if no record is of the dataset, and more than plan and manifest say so.

    Then these files may be the foreign ones, and a repair would build over another dataset.
    """
    config, foreign = documents.config, 0
    for shard in config.all_shards():
        record = read_document(folder / shard.record_name, CompletionRecord, [])
        if record is None or record.shard.number != shard.number:
            continue
        if (record.fingerprint, record.shard) == (config.fingerprint, shard):
            return
        foreign += 1
    if foreign >= documents.agreeing:
        raise BuilderError(
            f"{folder}: all {foreign} completion records are of another dataset than the plan; put "
            f"the {PLAN} and {MANIFEST} of that one back, or move its shards elsewhere"
        )


def _remove_records(folder: Path, config: DatasetConfig, numbers: Collection[int]) -> None:
    """Remove the manifest and the records of some shards, and publish the plan."""
    with claim(folder) as output:
        signals.check()
        output.remove(MANIFEST)
        for number in numbers:
            output.remove(config.shard(number).record_name)
        output.publish_json(PLAN, config.model_dump(mode="json", exclude_unset=True))


def _compare_digests(result: QuickCheckResult, manifest: Manifest) -> tuple[Fault, ...]:
    """Return a fault for each content digest that a repair changed: of a shard, or of the whole."""
    unequal = [
        Fault(
            entry.shard.name,
            f"was built again with content digest {entry.content_digest}, expected "
            f"{before.content_digest}",
        )
        for entry in manifest.shards
        if (before := result.entries.get(entry.shard.number))
        and before.content_digest != entry.content_digest
    ]
    if result.documents and (trusted := result.documents.trusted) and not unequal:
        expected, digest = trusted.content_digest, manifest.content_digest
        if digest != expected:
            unequal.append(Fault(None, f"the content digest is {digest}, expected {expected}"))
    return tuple(unequal)
