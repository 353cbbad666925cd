"""The main job: a recipe and a count in, a finished dataset out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from builder.common.errors import BuilderError, DatasetError, UsageError
from builder.common.jit import log_compilation
from builder.common.log import log
from builder.planner.planner import planner_for
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import MOST_SHARDS, PLAN, DatasetConfig, Part, StorageOptions
from builder.storage.manifest import LABELS, MANIFEST, Manifest, Totals, file_record
from builder.storage.output_folder import OutputFolder
from builder.workers import dask, pool, retry
from builder.workers.options import DEFAULT_BLOCK, HANG_LIMIT, BuildOptions
from builder.workers.shard import ShardTask, finished

SHORT_NAMES = {("hdf5", "none"): "h5", ("hdf5", "gzip"): "h5gz", ("png", "none"): "png"}


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


def build(  # noqa: PLR0913  # keyword-only options of a public function
    recipe: Recipe,
    count: int,
    out: str | Path | None = None,
    *,
    format: str = "hdf5",
    compression: str = "none",
    masks: bool = False,
    shard_size: int = 10_000,
    workers: int | None = None,
    backend: pool.Backend = "loky",
    block_size: int = DEFAULT_BLOCK,
    progress: bool = False,
    hang_limit: float = HANG_LIMIT,
    scheduler: str | None = None,
) -> Built:
    """Write a dataset of `count` samples of a recipe, and return where it is and what it holds.

    Samples 0 to count - 1 go to the folder `out` (default: `shards/` and a name made of the
    recipe's fingerprint and the format), in shards of `shard_size` images: `format` "hdf5",
    with `compression` "none" or "gzip" and with `masks` or without, or "png". `workers` is
    a ceiling (default: all usable cores), `backend` "loky" (processes), "threads", "sequential"
    or "dask" (the workers of the cluster whose `scheduler` has that address), `block_size` the
    samples rendered at a time, and `progress` asks for a bar on standard error. A shard whose
    worker dies, raises or hangs is tried three times; a worker hangs that makes no progress for
    `hang_limit` seconds, or for 20 times what the slowest shard took if that is more.

    The same call goes on where an interrupted one stopped, and a larger count extends. A
    folder that holds something else is refused with `UsageError`. Where the run fails, with
    `BuilderError`, finished shards stay, and nothing unfinished does.
    """
    storage = StorageOptions(
        format=format, compression=compression, masks=masks, shard_size=shard_size
    )
    plan = DatasetConfig.of(recipe, storage, count)
    run = BuildOptions(workers, backend, block_size, progress, hang_limit, scheduler)
    folder = OutputFolder(Path(out) if out else default_folder(plan))
    return carry_out(plan, recipe, folder, run)


def default_folder(plan: DatasetConfig) -> Path:
    """Return the folder of a dataset for which none was named: another recipe never collides."""
    kind = SHORT_NAMES[plan.storage.format, plan.storage.compression]
    kind += "-masks" if plan.storage.masks else ""
    return Path("shards") / f"{plan.fingerprint[:12]}-{kind}"


def carry_out(
    plan: DatasetConfig, recipe: Recipe, folder: OutputFolder, run: BuildOptions
) -> Built:
    """Bring the dataset of a plan into being: claim the folder, make what is missing, publish."""
    began = time.perf_counter()
    with _claimed(folder, plan, recipe):
        missing = _missing(folder, plan, range(plan.shards))
        manifest = None if missing else _standing_manifest(folder, plan)
        made = 0
        if manifest is None:
            _publish_plan(folder, plan, recipe)
            made = _build_missing(folder, plan, missing, run)
            manifest = _publish_manifest(folder, plan, recipe)
    return Built(folder.path, manifest, made, time.perf_counter() - began)


def carry_out_part(
    plan: DatasetConfig, recipe: Recipe, folder: OutputFolder, run: BuildOptions, part: Part
) -> int:
    """Make what is missing of one part of a dataset's shards; return how many images that were.

    Other parts may be made at the same time, on any machine that shares the folder. When all
    are, `finalise` ends the dataset.
    """
    with _claimed(folder, plan, recipe, part):
        missing = _missing(folder, plan, part.shards(plan))
        planned = folder.exists(PLAN) and folder.read(PLAN, DatasetConfig) == plan
        if not planned or (missing and folder.exists(MANIFEST)):
            _publish_plan(folder, plan, recipe)
        return _build_missing(folder, plan, missing, run)


def finalise(plan: DatasetConfig, recipe: Recipe, folder: OutputFolder) -> Built:
    """Publish the manifest of a dataset whose parts are made.

    Raises `BuilderError` that lists every shard that is missing.
    """
    began = time.perf_counter()
    if not folder.exists(PLAN):
        raise UsageError(f"{folder}: has no {PLAN}: make the parts first, with --part I/N")
    with _claimed(folder, plan, recipe):
        manifest = _standing_manifest(folder, plan) or _publish_manifest(folder, plan, recipe)
    return Built(folder.path, manifest, 0, time.perf_counter() - began)


@contextmanager
def _claimed(
    folder: OutputFolder, plan: DatasetConfig, recipe: Recipe, part: Part | None = None
) -> Iterator[None]:
    """Hold the folder, or a part of it, after all that can be refused was looked at."""
    if plan.shards > MOST_SHARDS:
        raise UsageError(
            f"{plan.count} images are {plan.shards} shards of {plan.storage.shard_size}, expected "
            f"at most {MOST_SHARDS}: use a larger --shard-size"
        )
    planner_for(recipe)  # refuses what cannot be drawn before anything is written
    folder.check(plan)
    with folder.claim(part):
        folder.check(plan)  # once more, now that nobody else can change it
        yield


def _standing_manifest(folder: OutputFolder, plan: DatasetConfig) -> Manifest | None:
    """Return the manifest of a dataset that is finished already, if it is of this plan."""
    try:
        manifest = folder.read(MANIFEST, Manifest)
    except DatasetError:
        return None
    return manifest if manifest.plan == plan else None


def _publish_plan(folder: OutputFolder, plan: DatasetConfig, recipe: Recipe) -> None:
    folder.remove(MANIFEST)
    folder.publish_json(PLAN, plan.model_dump(mode="json"))
    if recipe.labels_file is not None:
        folder.publish_bytes(LABELS, labels_file.packed(recipe.labels_file))


def _missing(folder: OutputFolder, plan: DatasetConfig, numbers: range) -> list[int]:
    """Return those of the numbers whose shards are to be made."""
    return [n for n in numbers if finished(folder, plan, plan.shard(n)) is None]


def _build_missing(
    folder: OutputFolder, plan: DatasetConfig, missing: list[int], run: BuildOptions
) -> int:
    """Make the missing shards, and return how many samples they have."""
    if not missing:
        return 0
    for number in missing:  # while a shard is made again, no old record calls it done
        folder.remove(plan.shard(number).record_name)
    log.info("shards to make: %d of %d; %s", len(missing), plan.shards, _workers(run, len(missing)))
    log_compilation()
    place = OutputFolder(folder.path.absolute())  # on other machines a relative one means nothing
    tasks = [ShardTask(place, plan, number, run.block_size) for number in missing]
    to_make = sum(plan.shard(number).count for number in missing)
    far = dask.connect(run.scheduler, place) if run.scheduler else nullcontext()
    with far, pool.progress(plan.count, plan.count - to_make, run.progress) as bar:
        retry.make_all(tasks, run, bar)
    return to_make


def _workers(run: BuildOptions, tasks: int) -> str:
    """Say who makes the shards."""
    if run.scheduler:
        return f"workers: those of {run.scheduler}"
    processes = pool.processes_for(run.workers, tasks, run.backend)
    asked = "" if run.workers in (None, processes) else f" of the {run.workers} asked for"
    return f"workers: {processes}{asked}; usable cores: {pool.usable_cores()}"


def _publish_manifest(folder: OutputFolder, plan: DatasetConfig, recipe: Recipe) -> Manifest:
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
    carried = None if recipe.labels_file is None else file_record(folder.path / LABELS)
    manifest = totals.manifest(plan, recipe, carried)
    folder.publish_json(MANIFEST, manifest.model_dump(mode="json"))
    log.info("finished: %s, %d bytes", manifest.content_digest, manifest.bytes)
    return manifest
