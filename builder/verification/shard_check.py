"""What is checked shard by shard, in workers: every byte of its files, or samples made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from builder.common import signals
from builder.common.rng import sample_seeds
from builder.datasets.shard_cache import ShardCache
from builder.generator.batch import Batch
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig
from builder.storage.content_digest import digest_of, format_digest
from builder.storage.findings import Fault, Findings
from builder.storage.formats import format_of
from builder.verification.quick_check import Expected

BLOCK = 1024
"""Samples read at a time."""

MOST_LINES = 10
"""Samples of a shard that are listed one by one; the rest of them are counted."""

ANNOTATIONS = ("seeds", "lengths", "labels", "glyphs", "boxes", "quads", "visible", "masks")


@dataclass(frozen=True)
class CheckTask:
    """All that a worker is given to check a shard. `rows` are those to make anew, None for none."""

    folder: Path
    plan: DatasetConfig
    expected: Expected
    rows: range | tuple[int, ...] | None = None


@dataclass(frozen=True)
class Checked:
    """What a worker found in a shard, in `samples` samples."""

    number: int
    faults: tuple[Fault, ...]
    samples: int


def check_shard(task: CheckTask) -> Checked:
    """Check one shard: the rows named by the task, or all of its bytes. Raises for no fault."""
    findings, shard = Findings(), task.expected.shard
    with signals.defer_signals(), findings.reading(shard):
        if task.rows is not None:
            _check_samples(task, findings)
        else:
            _check_hashes(task, findings)
            # damaged bytes are not given to HDF5, and were told of
            if not findings.faults:
                _check_content(task, findings)
    samples = shard.count if task.rows is None else len(task.rows)
    return Checked(shard.number, tuple(findings.faults), samples)


def _check_hashes(task: CheckTask, findings: Findings) -> None:
    form = format_of(task.plan.storage.format)
    for file in task.expected.files:
        signals.check()
        found = form.sha256(task.folder, file.name)
        if found != file.sha256:
            findings.shard(
                task.expected.shard,
                f"{file.name} has sha256 {found}, expected {file.sha256}",
            )


def _check_content(task: CheckTask, findings: Findings) -> None:
    """Add a fault where the stored samples have another content digest."""
    total = 0
    for stored in _stored(task, range(task.expected.shard.count)):
        total += digest_of(stored)
    if format_digest(total) != task.expected.content_digest:
        findings.shard(
            task.expected.shard,
            f"the samples stored have content digest {format_digest(total)}, "
            f"expected {task.expected.content_digest}",
        )


def _stored(task: CheckTask, rows: range | tuple[int, ...]) -> Iterator[Batch]:
    """Yield the stored samples of rows of the shard, block by block."""
    shards = ShardCache(task.folder, task.plan)
    for first in range(0, len(rows), BLOCK):
        signals.check()
        yield shards.batch(np.array(rows[first : first + BLOCK]) + task.expected.shard.start)


def _check_samples(task: CheckTask, findings: Findings) -> None:
    """Add a fault for each sample that is not what the recipe makes of its index."""
    shard, rows = task.expected.shard, task.rows or ()
    recipe = Recipe.from_json(task.plan.recipe)
    wrong: dict[int, list[str]] = {}
    first = 0
    for stored in _stored(task, rows):
        some = np.array(rows[first : first + len(stored)])
        first += len(stored)
        made = generate(recipe, some + shard.start, task.plan.storage.masks)
        for row, what in _differences(stored, made):
            wrong.setdefault(int(made.index[row]), []).append(what)
    for index in sorted(wrong)[:MOST_LINES]:
        findings.shard(shard, f"sample {index}: {'; '.join(wrong[index])}")
    if len(wrong) > MOST_LINES:
        findings.shard(shard, f"{len(wrong) - MOST_LINES} samples more are not as made anew")


def _differences(stored: Batch, made: Batch) -> Iterator[tuple[int, str]]:
    """Yield row and words for whatever of the stored samples is not as made anew."""
    for row in np.flatnonzero(stored.index != made.index):
        yield int(row), f"index is {stored.index[row]}, expected {made.index[row]}"
    unlike = _unlike(stored.images, made.images)
    for row in np.flatnonzero(unlike):
        at = np.argwhere(stored.images[row] != made.images[row])
        y, x = at[0].tolist()
        yield (
            int(row),
            f"{len(at)} of {made.images[row].size} pixels differ: the one in row {y}, column {x} "
            f"is {stored.images[row, y, x]}, expected {made.images[row, y, x]}",
        )
    for name in ANNOTATIONS:
        kept, anew = getattr(stored, name), getattr(made, name)
        if kept is not None and anew is not None:
            for row in np.flatnonzero(_unlike(kept, anew)):
                yield int(row), f"{name} are {_shown(kept[row])}, expected {_shown(anew[row])}"


def _unlike(a: Any, b: Any) -> Any:
    """Return which rows of two arrays of one shape differ, (B,) bool."""
    return (a != b).reshape(len(b), -1).any(axis=1)


def _shown(values: Any) -> str:
    text = str(values.tolist())
    return text if len(text) <= 80 else "others" if values.ndim > 1 else text[:77] + "..."


def spread(count: int, samples: int) -> Iterator[int]:
    """Yield `samples` increasing indices below `count`, or all: one in each of as many equal parts.

    Which one of its part is a hash of the part's number, so the same samples come each time.
    """
    if samples >= count:
        yield from range(count)
        return
    for begin in range(0, samples, BLOCK):
        parts = range(begin, min(begin + BLOCK, samples))
        for part, word in zip(parts, sample_seeds(0, np.array(parts)).tolist(), strict=True):
            low, high = part * count // samples, (part + 1) * count // samples
            yield low + word % (high - low)
