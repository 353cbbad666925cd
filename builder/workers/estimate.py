"""An estimate of what a build takes (bytes, memory, time) from trials of a few samples."""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from builder.common.jit import log_compilation
from builder.storage.claim import claim
from builder.storage.config import DatasetConfig
from builder.storage.output_folder import OutputFolder
from builder.workers.shard import ShardTask, build_shard

FIRST_TRIAL = 512
"""Samples of the first trial. Each further trial has four times as many."""

TRIAL_SECONDS = 0.25
"""Processor seconds of the last trial, unless a whole shard takes less."""


@dataclass(frozen=True)
class Estimate:
    """What a build takes if the disk keeps up.

    Attributes:
        bytes: Bytes of all files.
        memory: Bytes of memory that one worker holds for itself.
        seconds: Duration of the build.
    """

    bytes: int
    memory: int
    seconds: float


def estimate_build(config: DatasetConfig, workers: int, block_size: int) -> Estimate:
    """Estimate a build from trials in a temporary folder.

    It takes half a second and the loading of the libraries, whatever the count.

    Args:
        config: The dataset.
        workers: Number of workers, from 1.
        block_size: Samples rendered at a time.
    """
    log_compilation()
    shard_size = config.shard(0).count
    with tempfile.TemporaryDirectory(prefix="digitseq-") as name, claim(Path(name)) as folder:
        samples, seconds = 0, 0.0
        _run_trial(folder, config, 1, 1)  # loads, compiles, maps
        private, peak = _read_memory()
        while seconds < TRIAL_SECONDS and samples < shard_size:
            samples = min(4 * samples or FIRST_TRIAL, shard_size)
            size, seconds = _run_trial(folder, config, samples, block_size)
    private_after, peak_after = _read_memory()
    growth = max(0, peak_after - peak) * min(block_size, shard_size) // min(block_size, samples)
    return Estimate(
        bytes=size * config.count // samples,
        memory=max(private_after, private + growth),
        seconds=seconds / samples * config.count / workers,
    )


def _run_trial(
    folder: OutputFolder, config: DatasetConfig, samples: int, block_size: int
) -> tuple[int, float]:
    """Build a shard of the first samples; return its bytes and the processor's seconds."""
    started = time.process_time()
    trial = config.model_copy(update={"count": samples})
    record = build_shard(ShardTask(folder, trial, 0, block_size))
    return sum(file.bytes for file in record.files), time.process_time() - started


def _read_memory() -> tuple[int, int]:
    """Return the bytes that this process holds for itself, and the most it ever held in all."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # macOS reports the peak alone
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak, peak
    fields = dict(line.split(":", 1) for line in lines)
    private, peak = (int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "VmHWM"))
    return private, peak
