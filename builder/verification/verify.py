"""`verify`: a quick, full or deep check of a whole dataset."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from builder.common import signals
from builder.common.errors import UsageError, one_line
from builder.common.jit import log_compilation
from builder.common.validation import WholeNumber, local_path
from builder.planner.planner import open_planner
from builder.recipe.digits import register_expected
from builder.storage.config import PLAN, DatasetConfig
from builder.storage.manifest import MANIFEST
from builder.storage.manifest_check import Fault, kind_of
from builder.storage.output_folder import OutputFolder
from builder.verification.quick_check import DatasetDocuments, QuickCheckResult, quick_check
from builder.verification.shard_check import ShardCheckTask, check_shard, rows_by_shard
from builder.workers import pool
from builder.workers.options import BuildOptions

Level = Literal["quick", "full", "deep"]

DEFAULT_SAMPLES = 1000
"""Samples that a deep check renders: some 0.1 s. A fault in 1 of 100 samples is found with a
probability of 0.99996."""


@dataclass(frozen=True)
class VerifyReport:
    """The result of a check. `str` returns it as one line.

    Attributes:
        path: The dataset's folder.
        level: "quick", "full" or "deep".
        plan: Configuration of the dataset, None if neither plan nor manifest can be read.
        faults: All faults: first those of the dataset as a whole, then shard by shard.
        notes: What is odd and harmless.
        checked: Samples that a full check read, or a deep check rendered; 0 for a quick check.
        seconds: Duration of the check.
    """

    path: Path
    level: Level
    plan: DatasetConfig | None
    faults: tuple[Fault, ...]
    notes: tuple[str, ...] = ()
    checked: int = 0
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def __str__(self) -> str:
        return one_line(f"{self.path}: {self._summary()}")

    def _summary(self) -> str:
        check = f"{self.level} check"
        faults = _count(len(self.faults), "fault")
        if self.plan is None:
            return f"{faults}, {check}"
        shards = _count(self.plan.shard_count, "shard")
        if self.faults:
            broken = {fault.shard for fault in self.faults} - {None}
            return f"{faults} in {len(broken)} of {shards}, {check}"
        of = f" of {_count(self.checked, 'sample')}" if self.level == "deep" else ""
        return f"whole: {shards}, {_count(self.plan.count, 'image')}, {check}{of}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class VerifyOptions(BuildOptions):
    """How a dataset is checked, and how the workers run that check or repair it.

    Attributes:
        level: "quick", "full" or "deep".
        samples: Samples that a deep check renders, from 1.
        dataset_dir: Folder of IDX files that should be the dataset's digits, to be registered.
    """

    level: Level = "quick"
    samples: WholeNumber = Field(
        default=DEFAULT_SAMPLES, ge=1, description="samples that --deep makes"
    )
    dataset_dir: Path | None = Field(default=None, description="folder of the digits, if not MNIST")


def verify(
    path: str | Path,
    level: Level = "quick",
    *,
    samples: int = DEFAULT_SAMPLES,
    workers: int | None = None,
    progress: bool = False,
) -> VerifyReport:
    """Check a dataset, and return a report of its faults. Nothing in the folder changes.

    Args:
        path: The dataset's folder.
        level: "quick" (default) checks plan, manifest and completion records, and names and sizes
            of all files; "full" also reads every byte, and compares sha256 and content digests;
            "deep" is a quick check that also renders samples again, evenly spaced over the
            dataset, and compares every stored field with them, and the labels for other tools.
            Shards are parsed in processes other than this one.
        samples: Samples that a deep check renders, from 1; default 1,000.
        workers: The most workers, from 1; default: all usable cores.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The report. Whatever is wrong with the dataset is a fault in it, and no exception.

    Raises:
        UsageError: The folder holds no dataset, or an option is out of range.
        BuilderError: A deep check cannot render: the dataset is of another generator version, or
            its digits are not known on this machine.

    >>> from tempfile import TemporaryDirectory
    >>> from builder import Recipe, build, verify
    >>> with TemporaryDirectory() as folder:
    ...     result = build(Recipe(), count=4, out=f"{folder}/set", backend="sequential")
    ...     verify(result.path, "full").faults
    ()
    """
    options = VerifyOptions(level=level, samples=samples, workers=workers, progress=progress)
    return verify_dataset(local_path(path), options)[0]


def verify_dataset(folder: Path, options: VerifyOptions) -> tuple[VerifyReport, QuickCheckResult]:
    """Check a dataset as `verify` does; return the report, and what a repair needs of the check."""
    started = time.perf_counter()
    _require_dataset(folder)
    result = quick_check(folder)
    documents = result.documents
    checked = 0
    if documents is not None:
        if options.dataset_dir is not None:
            register_expected(options.dataset_dir, documents.recipe.source)
        checked = _run_tasks(result, _shard_tasks(result, documents, options), options)
    report = VerifyReport(
        path=folder,
        level=options.level,
        plan=documents.config if documents else None,
        faults=tuple(sorted(result.faults, key=lambda fault: fault.shard or "")),
        notes=tuple(result.notes),
        checked=checked,
        seconds=time.perf_counter() - started,
    )
    return report, result


def _require_dataset(folder: Path) -> None:
    """Raise `UsageError` for a folder in which nothing looks like a dataset."""
    if not folder.is_dir():
        kind = kind_of(folder)
        fault = f"is a {kind}" if kind else "there is no such folder"
        raise UsageError(f"{folder}: {fault}, expected a dataset's folder")
    names = [entry.name for entry in OutputFolder(folder).entries()]
    if not any(name in (PLAN, MANIFEST) or name.startswith("shard-") for name in names):
        raise UsageError(f"{folder}: holds no {PLAN} and no {MANIFEST}, so it is not a dataset")


def _shard_tasks(
    result: QuickCheckResult, documents: DatasetDocuments, options: VerifyOptions
) -> list[ShardCheckTask]:
    """Return the tasks of a full or deep check: one for each shard with readable files."""
    folder, config, deep = result.folder, documents.config, options.level == "deep"
    if options.level == "quick":
        return []
    if deep:
        config.require_own_version(folder)
        if not result.labels_file_valid:
            text = "no samples were rendered, because the labels file is not the recipe's"
            result.notes.append(text)
            return []
        result.register_labels()
        open_planner(documents.recipe)  # raises if the digits are not known here
    rows = rows_by_shard(config, options.samples if deep else config.count)
    pyarrow = documents.trusted.libraries.get("pyarrow", "") if documents.trusted else ""
    return [
        ShardCheckTask(folder, config, entry, rows[entry.shard.number], deep, pyarrow)
        for entry in result.readable
        if entry.shard.number in rows
    ]


def _run_tasks(
    result: QuickCheckResult, tasks: list[ShardCheckTask], options: VerifyOptions
) -> int:
    """Carry out the tasks in workers; add the faults, and return how many samples are read."""
    if not tasks:
        return 0
    if options.level == "deep":
        log_compilation()
    total = sum(len(task.rows) for task in tasks)
    one = pool.worker_count(options, len(tasks)) == 1  # the pool has two processes at least
    groups = [[task] for task in tasks] if one else [tasks]
    with pool.ProgressBar(total, 0, show=options.progress) as bar:
        for group in groups:
            with closing(_map_tasks(group, options)) as results:
                for faults, samples in results:
                    signals.check()
                    result.faults += faults
                    bar.add(samples)
                    bar.show(0)
    return total


def _map_tasks(
    tasks: list[ShardCheckTask], options: VerifyOptions
) -> Generator[tuple[list[Fault], int], None, None]:
    """Yield the result of each task, which runs in a process other than this one.

    Files of anybody can end the process that parses them. After a worker has died, or hung, tasks
    without a result are tried again in halves. One that fails alone is a fault of its shard.
    """
    pending = {task.entry.shard.number: task for task in tasks}
    limit = options.task_limit(max(task.entry.shard.count for task in tasks))
    results = pool.map_unordered(check_shard, tasks, options, isolated=True, timeout=limit)
    try:
        with closing(results):
            for number, faults in results:
                yield faults, len(pending.pop(number).rows)
    except pool.WorkerError as error:
        if len(tasks) == 1:
            text = f"cannot be read ({error}; a damaged file can do that)"
            yield [Fault(tasks[0].entry.shard.name, text)], len(tasks[0].rows)
            return
        left = list(pending.values())
        for half in filter(None, (left[: len(left) // 2], left[len(left) // 2 :])):
            yield from _map_tasks(half, options)
