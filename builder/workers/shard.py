"""One shard: rendered block by block, written, and recorded as complete."""

from __future__ import annotations

from dataclasses import dataclass

from builder.common import signals
from builder.common.errors import BuilderError, DatasetError
from builder.generator.generator import generate
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats import FORMATS
from builder.storage.manifest import LABELS, CompletionRecord, Finished, file_record
from builder.storage.manifest_check import check_record
from builder.storage.output_folder import OutputFolder
from builder.storage.statistics import Statistics
from builder.workers import progress


@dataclass(frozen=True)
class ShardTask:
    """The task of a worker: the number of a shard, and values that are the same for all shards."""

    folder: OutputFolder
    config: DatasetConfig
    number: int
    block_size: int

    @property
    def shard(self) -> Shard:
        """The shard to build."""
        return self.config.shard(self.number)


def build_shard(task: ShardTask) -> CompletionRecord:
    """Render and write a shard, publish its completion record, and return the record.

    Equal tasks give equal bytes in any process. The files of an earlier attempt are replaced.
    """
    config, shard = task.config, task.shard
    config.require_own_version(task.folder.path)
    recipe = _load_recipe(task.folder, config)
    statistics = Statistics()
    with (
        signals.defer_signals(),
        progress.send_heartbeats(task.folder, shard.name) as send_heartbeat,
        FORMATS[config.storage.format].writer(task.folder, config, shard) as writer,
    ):
        for first in range(0, shard.count, task.block_size):
            signals.check()
            indices = shard.indices[first : first + task.block_size]
            batch = generate(recipe, indices, config.storage.masks)
            statistics += Statistics.of(batch)
            writer.write(batch)
            send_heartbeat(first + len(indices))
    record = CompletionRecord(
        shard=shard,
        files=writer.files,
        statistics=statistics,
        fingerprint=config.fingerprint,
        generator_version=config.generator_version,
    )
    task.folder.publish_json(shard.record_name, record.model_dump(mode="json"))
    return record


def _load_recipe(folder: OutputFolder, config: DatasetConfig) -> Recipe:
    """Return the recipe of a dataset; register the dataset's copy of a labels file if need be."""
    recipe = Recipe.from_json(config.recipe)
    if recipe.labels_file is not None:
        try:
            labels_file.open_lines(recipe.labels_file)
        except BuilderError:  # another machine registered the file
            labels_file.register_copy(folder.path, LABELS, recipe.labels_file)
    return recipe


def read_valid_record(folder: OutputFolder, config: DatasetConfig, shard: Shard) -> Finished | None:
    """Return a shard's completion record and its file, or None if the shard must be built.

    The record must be of this dataset and shard. The files it lists must have the sizes listed.
    """
    try:
        record = folder.read(shard.record_name, CompletionRecord)
        finished = record, file_record(folder.path / shard.record_name)
        faults = check_record(config, shard, finished)
        if not any(faults) and all(folder.size(file.name) == file.bytes for file in record.files):
            return finished
    except (DatasetError, OSError):
        pass
    return None
