"""The main job: a recipe and a count in, a finished dataset out."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import files, labelfile, pool
from builder.errors import BuilderError, BuildFailed, DatasetError, UsageError
from builder.planner import planner_for
from builder.recipe import Recipe
from builder.records import LABELS, LOG, MANIFEST, PLAN, Manifest, Plan, Storage, Totals, read
from builder.shards import ShardTask, build_shard, finished

SHORT_NAMES = {("hdf5", "none"): "h5", ("hdf5", "gzip"): "h5gz", ("png", "none"): "png"}

DEFAULT_BLOCK = 512
"""Samples rendered at a time."""

log = logging.getLogger("builder")
log.setLevel(logging.INFO)


@dataclass(frozen=True)
class Run:
    """How a build is carried out. None of it changes a byte of the dataset."""

    workers: int | None = None
    backend: pool.Backend = "loky"
    block_size: int = DEFAULT_BLOCK
    progress: bool = False

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("block_size", self.block_size)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, expected a whole number from 1")
        if self.backend not in pool.BACKENDS:
            raise UsageError(
                f"backend is '{self.backend}', expected one of {', '.join(pool.BACKENDS)}"
            )


@dataclass(frozen=True)
class Built:
    """A finished build: where it is, its manifest, and what this run did.

    `made` counts the samples of the shards that this run made, in `seconds`; a resumed
    build makes fewer than the dataset has.
    """

    path: Path
    manifest: Manifest
    made: int
    seconds: float


def build(
    recipe: Recipe,
    count: int,
    out: str | Path | None = None,
    *,
    format: str = "hdf5",
    compression: str = "none",
    shard_size: int = 10_000,
    **run: Any,
) -> Built:
    """Write a dataset of `count` samples of a recipe, and return where it is and what it holds.

    Samples 0 to count - 1 go to the folder `out` (default: `shards/` and a name made of the
    recipe's fingerprint and the format), in shards of `shard_size` images: `format` "hdf5",
    with `compression` "none" or "gzip", or "png". `run` is `workers` (a ceiling; default
    all usable cores), `backend` ("loky" processes, "threads", "sequential"), `block_size`
    (samples rendered at a time) and `progress` (a bar on standard error).

    The same call goes on where an interrupted one stopped, and a larger count extends. A
    folder that holds something else is refused with `UsageError`. Where the run fails, with
    `BuilderError`, finished shards stay, and nothing unfinished does.
    """
    storage = Storage(format=format, compression=compression, shard_size=shard_size)
    plan = Plan.of(recipe, storage, count)
    return carry_out(plan, recipe, Path(out) if out else default_folder(plan), Run(**run))


def default_folder(plan: Plan) -> Path:
    """Return the folder of a dataset for which none was named: another recipe never collides."""
    kind = SHORT_NAMES[plan.storage.format, plan.storage.compression]
    return Path("shards") / f"{plan.fingerprint[:12]}-{kind}"


def carry_out(plan: Plan, recipe: Recipe, folder: Path, run: Run) -> Built:
    """Bring the dataset of a plan into being: claim the folder, make what is missing, publish."""
    began = time.perf_counter()
    planner_for(recipe)  # refuses what cannot be drawn before anything is written
    check_folder(folder, plan)
    with _claimed(folder):
        if not _is_complete(folder, plan):
            _publish_plan(folder, plan, recipe)
        missing = _missing(folder, plan)
        made = sum(_build_missing(folder, plan, missing, run))
        manifest = _publish_manifest(folder, plan, recipe)
        log.info("finished: %s, %d bytes", manifest.content_digest, manifest.bytes)
    return Built(folder, manifest, made, time.perf_counter() - began)


def check_folder(folder: Path, plan: Plan) -> None:
    """Raise `UsageError` where `folder` holds anything but this dataset, or a beginning of it."""
    if not folder.exists() or not (folder.is_dir() and (folder / PLAN).exists()):
        _check_empty(folder)
        return
    standing = read(folder / PLAN, Plan)
    different = standing.differences(plan)
    if different:
        raise UsageError(
            f"{folder}: holds another dataset ({'; '.join(different)}); name another --out"
        )
    if standing.count > plan.count:
        raise UsageError(
            f"{folder}: holds a dataset of {standing.count} images, more than {plan.count}; "
            "a dataset can be extended, not cut; name another --out"
        )


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, expected a folder for the dataset")
    ours = (files.LOCK, LOG)
    others = sorted(path.name for path in folder.glob("*") if path.name not in ours)
    others = [name for name in others if not name.startswith(files.TEMPORARY)]
    if others:
        raise UsageError(
            f"{folder}: holds {others[0]} and no {PLAN}, so it is not a dataset of this program; "
            "name an empty or new folder"
        )


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the output folder; at the end remove what is unfinished, and the folder if all is."""
    made = _make_folders(folder)
    try:
        with files.locked(folder), _logged(folder):
            try:
                yield
            finally:
                _remove_unfinished(folder)
    except OSError as error:
        raise BuildFailed(_told(error, folder)) from error
    finally:
        for path in [] if (folder / PLAN).exists() else reversed(made):
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Add the log lines of the body to the folder's log, where times and hosts belong."""
    handler = logging.FileHandler(folder / LOG, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter(f"%(asctime)s {platform.node()} %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def _make_folders(folder: Path) -> list[Path]:
    """Make `folder` and its parents; return those that were not there, outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildFailed(_told(error, folder)) from error
    return missing


def _remove_unfinished(folder: Path) -> None:
    """Remove temporary files, and everything of a dataset of which no shard was finished."""
    for leftover in folder.glob(f"{files.TEMPORARY}*"):
        files.remove(leftover)
    if not any(folder.glob("shard-*.json")):
        for name in (MANIFEST, PLAN, LABELS, LOG, files.LOCK):
            files.remove(folder / name)
        for started in folder.glob("shard-*"):
            files.remove(started)


def _told(error: OSError, folder: Path) -> str:
    place = error.filename or folder
    return (
        f"{place}: {error.strerror or error}; finished shards are kept, "
        "and the same call goes on once the cause is gone"
    )


def _is_complete(folder: Path, plan: Plan) -> bool:
    try:
        return read(folder / MANIFEST, Manifest).plan == plan
    except DatasetError:
        return False


def _publish_plan(folder: Path, plan: Plan, recipe: Recipe) -> None:
    files.remove(folder / MANIFEST)
    if recipe.labels_file is not None:
        files.publish_bytes(folder / LABELS, labelfile.packed(recipe.labels_file))
    files.publish_json(folder / PLAN, plan.model_dump(mode="json"))


def _missing(folder: Path, plan: Plan) -> list[int]:
    """Return the numbers of the shards to make, their stale records removed."""
    missing = [s for s in plan.all_shards() if finished(folder, plan, s) is None]
    for shard in missing:
        files.remove(folder / shard.record_name)
    return [shard.number for shard in missing]


def _build_missing(folder: Path, plan: Plan, missing: list[int], run: Run) -> Iterator[int]:
    """Make the missing shards; yield the number of samples of each as it is done."""
    if not missing:
        return
    processes = pool.processes_for(run.workers, len(missing))
    asked = "" if run.workers in (None, processes) else f" of the {run.workers} asked for"
    log.info(
        "shards to make: %d of %d; workers: %d%s; usable cores: %d",
        len(missing), plan.shards, processes, asked, pool.usable_cores(),
    )  # fmt: skip
    tasks = [ShardTask(folder, plan, number, run.block_size) for number in missing]
    before = plan.count - sum(plan.shard(number).count for number in missing)
    done = pool.run(build_shard, tasks, processes, run.backend)
    yield from pool.with_progress(done, plan.count, before, run.progress)


def _publish_manifest(folder: Path, plan: Plan, recipe: Recipe) -> Manifest:
    """Publish the manifest. Raises `BuilderError` that lists every shard not accounted for."""
    totals, absent = Totals(), []
    for shard in plan.all_shards():
        found = finished(folder, plan, shard)
        if found is None:
            absent.append(shard.name)
        else:
            totals.add(*found)
    if absent:
        raise BuilderError(f"{folder}: not finished: {', '.join(absent)}; call again to make them")
    manifest = totals.manifest(plan, recipe)
    files.publish_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    return manifest
