"""Checking a dataset: quickly, every byte of it, or samples against ones made anew."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from builder.common import signals
from builder.common.errors import UsageError
from builder.common.jit import log_compilation
from builder.planner.planner import planner_for
from builder.recipe.digits import register
from builder.recipe.recipe import Recipe
from builder.storage.config import PLAN, DatasetConfig
from builder.storage.findings import Fault
from builder.storage.manifest import MANIFEST
from builder.verification.quick_check import Survey, survey
from builder.verification.shard_check import CheckTask, check_shard, spread
from builder.workers import pool
from builder.workers.options import BuildOptions

Level = Literal["quick", "full", "deep"]
LEVELS: tuple[Level, ...] = get_args(Level)

DEFAULT_SAMPLES = 1000
"""Samples made anew by a deep check: some 0.1 s, and a fault in 1 of 100 samples is found with
a probability of 0.99996."""


@dataclass(frozen=True)
class Report:
    """What a check of a dataset found.

    `faults`: all that is wrong, in the order of the dataset; `notes`: what is odd and harmless.
    `plan` is None where neither plan nor manifest can be read. `checked`: the samples whose
    bytes, or pixels, were looked at, in `seconds`.
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
        """Say in one line what the check came to."""
        kind = f"{self.level} check"
        if self.plan is None:
            return f"{self.path}: {_counted(len(self.faults), 'fault')}, {kind}"
        shards = {fault.shard for fault in self.faults} - {None}
        if self.faults:
            return (
                f"{self.path}: {_counted(len(self.faults), 'fault')} in {len(shards)} of "
                f"{_counted(self.plan.shards, 'shard')}, {kind}"
            )
        of = f" of {_counted(self.checked, 'sample')}" if self.level == "deep" else ""
        return (
            f"{self.path}: whole: {_counted(self.plan.shards, 'shard')}, "
            f"{_counted(self.plan.count, 'image')}, {kind}{of}"
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Check:
    """How a dataset is checked: the level, and for a deep check how many samples.

    `digits` is a folder of IDX files that are to be those of the dataset.
    """

    level: Level = "quick"
    samples: int = DEFAULT_SAMPLES
    run: BuildOptions = field(default_factory=BuildOptions)
    digits: Path | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"level is '{self.level}', expected one of {', '.join(LEVELS)}")
        if type(self.samples) is not int or self.samples < 1:
            raise UsageError(f"samples is {self.samples}, expected a whole number from 1")


def verify(
    path: str | Path,
    level: Level = "quick",
    *,
    samples: int = DEFAULT_SAMPLES,
    workers: int | None = None,
    progress: bool = False,
) -> Report:
    """Check a dataset, and return what is wrong with it. Nothing in its folder is changed.

    `level` "quick" reads plan, manifest and records, and compares the names and sizes of all
    files; "full" besides reads every byte, and compares sha256 and content digests; "deep"
    makes `samples` samples anew, spread over the dataset, and compares all that is stored of them.
    `workers` is a ceiling (default: all usable cores); `progress` asks for a bar on standard error.

    Whatever is wrong with the dataset is a fault of the report. Raises `UsageError` for a folder
    that holds no dataset, and for a deep check `BuilderError` where another generator version
    made it, or where its digits are not known on this machine.
    """
    return checked(Path(path), Check(level, samples, BuildOptions(workers, progress=progress)))[0]


def checked(folder: Path, check: Check) -> tuple[Report, Survey]:
    """Check a dataset, and return the report together with what a repair has to know."""
    began = time.perf_counter()
    _require_dataset(folder)
    found = survey(folder)
    done = 0
    if check.digits is not None and found.known is not None:
        _register(check.digits, found.known.recipe)
    if found.known is not None and check.level != "quick":
        if check.level == "deep":
            found.known.plan.require_own_version(folder)
        done = _recheck(found, _tasks(found, check), check)
    plan = found.known.plan if found.known else None
    faults = sorted(found.findings.faults, key=lambda fault: fault.shard or "")
    seconds = time.perf_counter() - began
    notes = tuple(found.findings.notes)
    return Report(folder, check.level, plan, tuple(faults), notes, done, seconds), found


def _register(digits: Path, recipe: Recipe) -> None:
    """Make the digits in a folder known. Raises `UsageError` where they are not the recipe's."""
    if (source := register(digits)) != recipe.source:
        raise UsageError(f"{digits}: holds {source}, but the dataset is of {recipe.source}")


def _require_dataset(folder: Path) -> None:
    """Raise `UsageError` for a folder in which nothing looks like a dataset."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder, expected that of a dataset")
    if not any((folder / name).exists() for name in (PLAN, MANIFEST)) and not any(
        folder.glob("shard-*")
    ):
        raise UsageError(f"{folder}: holds no {PLAN} and no {MANIFEST}, so it is not a dataset")


def _tasks(found: Survey, check: Check) -> list[CheckTask]:
    """Return what is to be checked, shard by shard, of the shards whose files can be opened."""
    assert found.known is not None
    plan = found.known.plan
    readable = [found.expected[number] for number in found.readable]
    if check.level == "full":
        return [CheckTask(found.folder, plan, expected) for expected in readable]
    if not found.labels_hold:
        found.findings.notes.append("no samples were made anew: the labels file is not there")
        return []
    planner_for(found.known.recipe)  # raises where the digits are not known here
    if check.samples >= plan.count:
        return [CheckTask(found.folder, plan, e, range(e.shard.count)) for e in readable]
    rows: dict[int, list[int]] = defaultdict(list)
    for index in spread(plan.count, check.samples):
        rows[index // plan.storage.shard_size].append(index % plan.storage.shard_size)
    return [
        CheckTask(found.folder, plan, e, tuple(rows[e.shard.number]))
        for e in readable
        if e.shard.number in rows
    ]


def _recheck(found: Survey, tasks: list[CheckTask], check: Check) -> int:
    """Carry out the tasks, add what they find, and return how many samples were looked at."""
    if not tasks:
        return 0
    if check.level == "deep":
        log_compilation()
    run = check.run
    total = sum(t.expected.shard.count if t.rows is None else len(t.rows) for t in tasks)
    workers = pool.worker_count(run.workers, len(tasks), run.backend)
    with pool.ProgressBar(total, 0, show=run.progress) as bar:
        for result in pool.map_unordered(check_shard, tasks, workers=workers, backend=run.backend):
            signals.check()
            found.findings.faults.extend(result.faults)
            if result.faults:
                found.findings.to_make.add(result.number)
            bar.add(result.samples)
            bar.show(0)
    return total
