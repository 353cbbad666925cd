"""What a build would take, foretold from a little of it: bytes, memory, time."""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from builder.common.jit import log_compilation
from builder.storage.config import DatasetConfig
from builder.storage.manifest import Record
from builder.storage.output_folder import OutputFolder
from builder.workers.shard import ShardTask, build_shard

FIRST, LONGEST = 512, 0.25
"""Samples of the first trial; each next one has four times as many, until one takes so many
seconds, or is as long as a shard."""


@dataclass(frozen=True)
class Forecast:
    """What a build would take, if the disk keeps up.

    `bytes` of all its files, bytes of `memory` that a worker holds for itself, and `seconds`.
    """

    bytes: int
    memory: int
    seconds: float


def forecast(plan: DatasetConfig, workers: int, block_size: int) -> Forecast:
    """Foretell a build: make a little of a shard in a temporary folder, and time and weigh it.

    It takes half a second and the loading of the libraries, whatever the count.
    """
    log_compilation()
    most = plan.shard(0).count
    with tempfile.TemporaryDirectory(prefix="digitseq-") as name:
        folder, samples = OutputFolder(Path(name)), min(FIRST, most)
        _trial(folder, plan, 1, 1)  # loads, compiles, maps
        private, peak = _memory()
        size, seconds = _trial(folder, plan, samples, block_size)
        while seconds < LONGEST and samples < most:
            samples = min(4 * samples, most)
            size, seconds = _trial(folder, plan, samples, block_size)
    grown = max(0, _memory()[1] - peak) * min(block_size, most) // min(block_size, samples)
    return Forecast(
        bytes=size * plan.count // samples,
        memory=max(_memory()[0], private + grown),
        seconds=seconds / samples * plan.count / workers,
    )


def _trial(
    folder: OutputFolder, plan: DatasetConfig, samples: int, block_size: int
) -> tuple[int, float]:
    """Make a shard of the first samples; return its bytes and the processor's seconds."""
    began = time.process_time()
    trial = plan.model_copy(update={"count": samples})
    shard = build_shard(ShardTask(folder, trial, 0, block_size))
    seconds = time.process_time() - began
    record = folder.read(shard.record_name, Record)
    for name in (record.images.name, record.labels.name, shard.record_name):
        folder.remove(name)
    return record.images.bytes + record.labels.bytes, seconds


def _memory() -> tuple[int, int]:
    """Return what this process holds for itself, and the most it ever held in all, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # macOS tells the second alone
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most, most
    told = {
        name: int(rest[0]) * 1024 for name, *rest in map(str.split, lines) if rest[1:] == ["kB"]
    }
    return told["RssAnon:"], told["VmHWM:"]
