"""The build: a recipe and a count in, a finished dataset out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.common.errors import BuilderError, DatasetError, UsageError, log
from builder.common.jit import log_compilation
from builder.common.validation import local_path
from builder.planner.planner import open_planner
from builder.recipe import labels_file
from builder.recipe.fit import warn_of_squeeze
from builder.recipe.recipe import Recipe
from builder.storage.claim import check_folder, claim, last_builder
from builder.storage.config import FORMAT_FACTS, PLAN, DatasetConfig, Part, StorageOptions
from builder.storage.manifest import LABELS, MANIFEST, MOST_SHARDS, Manifest, file_record
from builder.storage.output_folder import OutputFolder
from builder.workers import dask, pool, processes, retry
from builder.workers.options import DEFAULT_BLOCK, HANG_LIMIT, Backend, BuildOptions
from builder.workers.shard import ShardTask, read_valid_record


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Attributes:
        path: The folder of the dataset.
        manifest: The manifest of the dataset.
        made: Samples built by this call: fewer than the dataset has for a resumed build.
        seconds: Duration of the call.
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
    format: Literal["hdf5", "png"] = "hdf5",
    compression: Literal["none", "gzip"] = "none",
    masks: bool = False,
    shard_size: int = 10_000,
    workers: int | None = None,
    backend: Backend = "loky",
    block_size: int = DEFAULT_BLOCK,
    progress: bool = False,
    hang_limit: float = HANG_LIMIT,
    scheduler: str | None = None,
) -> BuildResult:
    """Build the dataset of samples 0 to `count` - 1 of a recipe.

    The same call resumes an interrupted build, and a larger count extends a dataset. A shard whose
    worker dies, raises or hangs is attempted three times. If the build fails, finished shards
    stay, and nothing unfinished does.

    Args:
        recipe: What the samples are.
        count: Number of samples, from 1.
        out: Folder of the dataset; default: `shards/` and a name by fingerprint and format.
        format: "hdf5" (default) for HDF5 shards, or "png" for folders of PNG files.
        compression: Of the images in HDF5, "none" (default) or "gzip".
        masks: Whether to store which digit each pixel belongs to.
        shard_size: Samples in a shard, 1 to 10**8; default 10,000.
        workers: The most workers, from 1; default: all usable cores.
        backend: How workers run: "loky" (default) for processes, "threads", "sequential", or
            "dask" for the workers of a cluster.
        block_size: Samples rendered at a time, from 1; default 1,024. More take more memory.
        progress: Whether to show a progress bar on standard error.
        hang_limit: Seconds without progress after which a worker hangs; default 300. A worker has
            20 times the duration of the slowest shard if that is more.
        scheduler: Address of the cluster's scheduler, such as "tcp://host:8786"; only and always
            with "dask".

    Returns:
        The folder, the manifest, and what this call built.

    Raises:
        UsageError: An option is out of range, or the folder holds anything else.
        BuilderError: The build failed. The text says why and what to do.

    Example:
        >>> import tempfile
        >>> from builder import Recipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = build(Recipe(length=5), 100, folder, shard_size=50, workers=1)
        >>> result.made, len(result.manifest.shards)
        (100, 2)
    """
    storage = StorageOptions(
        format=format, compression=compression, masks=masks, shard_size=shard_size
    )
    config = DatasetConfig.of(recipe, storage, count)
    options = BuildOptions(
        workers=workers,
        backend=backend,
        block_size=block_size,
        progress=progress,
        hang_limit=hang_limit,
        scheduler=scheduler,
    )
    folder = OutputFolder(local_path(out) if out else default_folder(config))
    return build_dataset(config, folder, options)


def default_folder(config: DatasetConfig) -> Path:
    """Return the default folder of a dataset. Different recipes have different folders."""
    kind = FORMAT_FACTS[config.storage.format].suffixes[config.storage.compression]
    masks = "-masks" if config.storage.masks else ""
    return Path("shards") / f"{config.fingerprint[:12]}-{kind}{masks}"


def build_dataset(
    config: DatasetConfig, folder: OutputFolder, options: BuildOptions
) -> BuildResult:
    """Build what is missing of a dataset, and publish its manifest. See `build`."""
    started = time.perf_counter()
    with _claim(folder, config) as folder:
        made = 0
        missing = _missing_shards(folder, config, range(config.shard_count))
        manifest = None if missing else _read_manifest(folder, config)
        if manifest is None:
            _publish_config(folder, config)
            made = _build_missing(folder, config, missing, options)
            manifest = _publish_manifest(folder, config)
    return BuildResult(folder.path, manifest, made, time.perf_counter() - started)


def build_part(
    config: DatasetConfig, folder: OutputFolder, options: BuildOptions, part: Part
) -> int:
    """Build what is missing of one part of the shards; return the number of samples built.

    Other parts may be built at the same time by any machine that shares the folder. `finalise`
    publishes the manifest when all parts are built.
    """
    with _claim(folder, config, part) as folder:
        missing = _missing_shards(folder, config, part.shard_numbers(config))
        begun = folder.exists(PLAN) and folder.read(PLAN, DatasetConfig) == config
        if not begun or (missing and folder.exists(MANIFEST)):
            _publish_config(folder, config)
        return _build_missing(folder, config, missing, options)


def finalise(config: DatasetConfig, folder: OutputFolder) -> BuildResult:
    """Publish the manifest of a dataset whose parts are all built.

    Raises:
        UsageError: No part was built.
        BuilderError: Shards are missing. The text names each.
    """
    started = time.perf_counter()
    if not folder.exists(PLAN):
        raise UsageError(f"{folder}: has no {PLAN}: make the parts first, with --part I/N")
    with _claim(folder, config) as folder:
        manifest = _read_manifest(folder, config) or _publish_manifest(folder, config)
    return BuildResult(folder.path, manifest, 0, time.perf_counter() - started)


@contextmanager
def _claim(
    folder: OutputFolder, config: DatasetConfig, part: Part | None = None
) -> Iterator[OutputFolder]:
    """Hold the folder, or a part of it, after every check that can refuse the call."""
    if config.shard_count > MOST_SHARDS:
        raise UsageError(
            f"{config.count} images are {config.shard_count} shards of "
            f"{config.storage.shard_size}, expected at most {MOST_SHARDS}: "
            "use a larger --shard-size"
        )
    open_planner(Recipe.from_json(config.recipe))  # refuses a recipe that cannot be drawn
    check_folder(folder, config)
    before = last_builder(folder)
    with claim(folder.path, part, discard=True) as claimed:
        if before is not None:
            processes.remove_shared_memory(before)
        check_folder(claimed, config)  # again, since another build may have ended meanwhile
        yield claimed


def _missing_shards(folder: OutputFolder, config: DatasetConfig, numbers: range) -> list[int]:
    """Return those of the shard numbers that have no valid completion record."""
    return [n for n in numbers if read_valid_record(folder, config, config.shard(n)) is None]


def _read_manifest(folder: OutputFolder, config: DatasetConfig) -> Manifest | None:
    """Return the manifest of the folder, or None unless it is of this dataset."""
    try:
        manifest = folder.read(MANIFEST, Manifest)
    except DatasetError:
        return None
    return manifest if manifest.plan == config else None


def _publish_config(folder: OutputFolder, config: DatasetConfig) -> None:
    """Publish the dataset's configuration and labels file. From here on it has no manifest."""
    folder.remove(MANIFEST)
    folder.publish_json(PLAN, config.model_dump(mode="json"))
    if file := Recipe.from_json(config.recipe).labels_file:
        folder.publish_bytes(LABELS, labels_file.gzip_text(file))


def _build_missing(
    folder: OutputFolder, config: DatasetConfig, numbers: list[int], options: BuildOptions
) -> int:
    """Build the shards of the given numbers in a pool of workers; return their samples."""
    if not numbers:
        return 0
    for number in numbers:  # an old record must not call a shard complete while it is rebuilt
        folder.remove(config.shard(number).record_name)
    workers = pool.describe_workers(options, len(numbers))
    log.info("shards to make: %d of %d; %s", len(numbers), config.shard_count, workers)
    recipe = Recipe.from_json(config.recipe)
    warn_of_squeeze(recipe.width, recipe.strip_limits)
    log_compilation()
    tasks = [ShardTask(folder, config, number, options.block_size) for number in numbers]
    samples = sum(task.shard.count for task in tasks)
    cluster = dask.connect(options.scheduler, folder) if options.scheduler else nullcontext()
    done = config.count - samples
    with cluster, pool.ProgressBar(config.count, done, show=options.progress) as bar:
        retry.build_with_retries(tasks, options, bar)
    return samples


def _publish_manifest(folder: OutputFolder, config: DatasetConfig) -> Manifest:
    """Publish the manifest. Raises `BuilderError` that names every missing shard."""
    shards = config.all_shards()
    finished = {shard.name: read_valid_record(folder, config, shard) for shard in shards}
    if missing := [name for name, record in finished.items() if record is None]:
        raise BuilderError(f"{folder}: not finished: {', '.join(missing)}; call again to make them")
    labels = file_record(folder.path / LABELS) if config.recipe.get("labels_file") else None
    manifest = Manifest.of(config, filter(None, finished.values()), labels)
    folder.publish_json(MANIFEST, manifest.model_dump(mode="json"))
    log.info("finished: %s, %d bytes", manifest.content_digest, manifest.bytes)
    return manifest
