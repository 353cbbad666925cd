"""One shard, made alone: rendered block by block, written, recorded."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from builder.common import signals
from builder.common.constants import GENERATOR_VERSION
from builder.common.errors import BuilderError, BuildError, DatasetError
from builder.generator.generator import generate
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage import formats
from builder.storage.config import DatasetConfig, Shard
from builder.storage.manifest import LABELS, FileRecord, Record, file_record
from builder.storage.output_folder import OutputFolder
from builder.storage.statistics import Tally
from builder.workers import progress


@dataclass(frozen=True)
class ShardTask:
    """All that a worker is given: values, and the number of its shard; never pixels."""

    folder: OutputFolder
    plan: DatasetConfig
    number: int
    block_size: int

    @property
    def shard(self) -> Shard:
        """The shard to make."""
        return self.plan.shard(self.number)


def build_shard(task: ShardTask) -> Shard:
    """Make one shard, publish its completion record, and return the shard.

    The same task gives the same bytes in any process, and takes the place of whatever an
    earlier attempt left.
    """
    plan, shard = task.plan, task.shard
    recipe = _recipe(task.folder, plan)
    tally = Tally()
    new_writer = formats.format_of(plan.storage.format).writer
    with (
        signals.defer_signals(),
        progress.telling(task.folder, shard.name) as tell,
        new_writer(task.folder, plan, shard) as writer,
    ):
        for start in range(shard.start, shard.start + shard.count, task.block_size):
            signals.check()
            end = min(start + task.block_size, shard.start + shard.count)
            batch = generate(recipe, range(start, end), plan.storage.masks)
            tally.add(batch)
            writer.write(batch)
            tell(end - shard.start)
    images, labels = writer.files()
    record = Record(
        shard=shard,
        images=images,
        labels=labels,
        fingerprint=plan.fingerprint,
        generator_version=plan.generator_version,
        **tally.fields(),
    )
    task.folder.publish_json(shard.record_name, record.model_dump(mode="json"))
    return shard


def _recipe(folder: OutputFolder, plan: DatasetConfig) -> Recipe:
    """Return the recipe of a plan, its labels taken from the dataset's copy if they are new here.

    Raises `BuildError` where the plan is another generator's than this process has.
    """
    if plan.generator_version != GENERATOR_VERSION:
        raise BuildError(
            f"{platform.node()}: has generator version {GENERATOR_VERSION}, and the dataset is "
            f"of {plan.generator_version}: install the same version on all machines"
        )
    recipe = Recipe.from_json(plan.recipe)
    if recipe.labels_file is not None:
        try:
            labels_file.open_lines(recipe.labels_file)
        except BuilderError:  # another machine has not seen them
            labels_file.register(folder.path / LABELS)
    return recipe


def finished(
    folder: OutputFolder, plan: DatasetConfig, shard: Shard
) -> tuple[Record, FileRecord] | None:
    """Return a shard's completion record and the record's own file, or None where it must be made.

    The record must be of this plan and shard, and the files it names there with their sizes.
    """
    try:
        record = folder.read(shard.record_name, Record)
        there = record.shard == shard and record.fingerprint == plan.fingerprint
        whole = there and record.generator_version == plan.generator_version
        if not (whole and _sizes_hold(folder, plan, record)):
            return None
    except (DatasetError, OSError):
        return None
    return record, file_record(folder.path / shard.record_name)


def _sizes_hold(folder: OutputFolder, plan: DatasetConfig, record: Record) -> bool:
    form = formats.format_of(plan.storage.format)
    named = (form.image_file(record.shard), form.labels_file(record.shard))
    return (record.images.name, record.labels.name) == named and all(
        folder.size(file.name) == file.bytes for file in (record.images, record.labels)
    )
