"""Tell how fast samples reach a training loop: from shards, live, and through PyTorch's workers.

    python benchmarks/loading.py [--count N] [--ram DIR]

Samples of preset `standard`, 28 x 200, are built into memory as raw and as gzipped HDF5, and read
by one process: single images, shuffled batches of 256, live batches. Each is set against what it
could be at best, in the same rounds: a bare `numpy.memmap`, a plain copy of the same bytes,
ISA-L's inflating alone, the generator alone; and against the loader that one writes by hand, h5py
sample by sample. Medians of the rounds, processor time. The last table is of a `Loader` with 0, 1
and 2 workers (if PyTorch is installed), by the clock.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from isal import isal_zlib

from builder import LiveDataset, Order, Recipe, build, generate, open_dataset
from builder.datasets.dataset import Dataset
from builder.generator.batch import Batch

BATCH, ROUNDS, READS = 256, 7, 20_000
LIVE_BATCHES, SLOW_READS = 60, 2_000
WARMING, LOADED = 10, 500
"""Batches that a loader gives before the clock is started, and while it runs."""
RECIPE = Recipe(length=5)


def timed(work: Callable[[], int]) -> float:
    """Return the processor seconds for each of the samples that some work says it did."""
    began = time.thread_time()
    samples = work()
    return (time.thread_time() - began) / samples


def medians(works: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Return the median seconds a sample of each work, all done in every round."""
    for work in works.values():
        work()
    rounds = [{name: timed(work) for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(turn[name] for turn in rounds) for name in works}


def taken(batches: Iterator[Batch], most: int | None = None) -> int:
    """Take images and labels of batches, and return how many samples there were."""
    samples = 0
    for batch in itertools.islice(batches, most):
        samples += len(batch.images)
        batch.labels.sum(), batch.lengths.sum()
    return samples


def read_singly(read: Callable[[int], np.ndarray], order: list[int]) -> int:
    """Read images one by one, and return how many."""
    for index in order:
        read(index)
    return len(order)


def raw_works(folder: Path, data: Dataset) -> dict[str, Callable[[], int]]:
    """Return what is done with a raw dataset, and with its bytes alone."""
    files = [h5py.File(path)["images"] for path in sorted(folder.glob("*.h5"))]
    maps = [
        np.memmap(images.file.filename, np.uint8, "r", images.id.get_offset(), images.shape)
        for images in files
    ]
    order = np.random.default_rng(0).integers(0, len(maps[0]), READS).tolist()

    def copied() -> int:
        for images in map(np.asarray, maps):
            for start in range(0, len(images), BATCH):
                images[start : start + BATCH].copy()
        return sum(map(len, maps))

    epochs = itertools.count()
    return {
        "memmap": lambda: read_singly(lambda i: np.array(maps[0][i]), order),
        "single": lambda: read_singly(lambda i: data[i].image, order),
        "h5py single": lambda: read_singly(lambda i: files[0][i], order[:SLOW_READS]),
        "memcpy": copied,
        "raw": lambda: taken(data.batches(BATCH, shuffle=True, epoch=next(epochs))),
    }


def gzip_works(folder: Path, data: Dataset) -> dict[str, Callable[[], int]]:
    """Return what is done with a gzipped dataset, and with its chunks alone."""
    images = h5py.File(folder / "shard-000000.h5")["images"]
    order = np.random.default_rng(1).permutation(len(images))[:SLOW_READS].tolist()
    rows = images.chunks[0]
    chunks = [images.id.read_direct_chunk((at, 0, 0))[1] for at in range(0, len(images), rows)]
    size = rows * images[0].nbytes

    def inflated() -> int:
        for chunk in chunks:
            isal_zlib.decompress(chunk, bufsize=size)
        return len(images)

    epochs = itertools.count()
    return {
        "inflate": inflated,
        "gzip": lambda: taken(data.batches(BATCH, shuffle=True, epoch=next(epochs))),
        "h5py gzip": lambda: read_singly(lambda i: images[i], order),
    }


def live_works() -> dict[str, Callable[[], int]]:
    """Return live batches, and the generator alone."""
    live, starts = LiveDataset(RECIPE, 10**9), itertools.count(0, BATCH)
    order, epochs = Order(BATCH, shuffle=True), itertools.count()

    def generated() -> int:
        for start in itertools.islice(starts, LIVE_BATCHES):
            generate(RECIPE, range(start, start + BATCH))
        return BATCH * LIVE_BATCHES

    return {
        "generator": generated,
        "live": lambda: taken(live.in_order(order, next(epochs)), LIVE_BATCHES),
    }


def with_workers(data: Dataset, workers: int, batches: int) -> float:
    """Return the samples a second, by the clock, that a `Loader` with some workers gives."""
    from builder.torch import Loader

    loader = Loader(data, Order(BATCH, shuffle=True), num_workers=workers)
    delivered = iter(loader)
    for _ in range(WARMING):
        next(delivered)
    began, samples = time.perf_counter(), 0
    for images, _ in itertools.islice(delivered, batches):
        samples += len(images)
    return samples / (time.perf_counter() - began)


def main() -> None:
    """Print the tables."""
    memory = Path("/dev/shm")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000, help="samples of each dataset")
    parser.add_argument("--ram", type=Path, default=memory if memory.is_dir() else None)
    options = parser.parse_args()
    least = (WARMING + LOADED + 1) * BATCH
    if options.count < least:
        parser.error(f"--count is {options.count}, expected {least} or more")
    with tempfile.TemporaryDirectory(dir=options.ram) as folder:
        raw, packed = Path(folder) / "raw", Path(folder) / "gzip"
        build(RECIPE, options.count, raw, progress=True)
        build(RECIPE, options.count, packed, compression="gzip", progress=True)
        stored, deflated = open_dataset(raw), open_dataset(packed)
        found = medians(raw_works(raw, stored))
        found |= medians(gzip_works(packed, deflated))
        found |= medians(live_works())
        print_figures(found)
        try:
            print_workers({"raw": stored, "gzip": deflated, "live": LiveDataset(RECIPE, 10**9)})
        except ModuleNotFoundError as error:
            print(error)


def print_figures(found: dict[str, float]) -> None:
    """Print seconds and ratios."""
    print(f"{'':<28}{'us/image':>10}{'images/s':>12}")
    for name, seconds in found.items():
        print(f"{name:<28}{seconds * 1e6:>10.2f}{1 / seconds:>12,.0f}")
    ratios = {
        "single read to memmap, time (2 or less)": found["single"] / found["memmap"],
        "raw batches to memcpy, speed": found["memcpy"] / found["raw"],
        "raw batches, images/s (300,000 or 0.6 of memcpy)": 1 / found["raw"],
        "gzip to h5py, sample by sample, speed (5 or more)": found["h5py gzip"] / found["gzip"],
        "gzip to inflating alone, speed (0.7 or more)": found["inflate"] / found["gzip"],
        "live to generator, speed (0.9 or more)": found["generator"] / found["live"],
    }
    print()
    for name, value in ratios.items():
        print(f"{name:<52}{value:>12,.2f}")


def print_workers(datasets: dict[str, Dataset]) -> None:
    """Print images a second with 0, 1 and 2 workers."""
    print(f"\n{'images/s with workers':<28}{'0':>10}{'1':>10}{'2':>10}{'2 to 0':>10}")
    for name, data in datasets.items():
        batches = LOADED // 3 if name == "live" else LOADED
        turns = [[with_workers(data, w, batches) for w in (0, 1, 2)] for _ in range(5)]
        speeds = [statistics.median(speed) for speed in zip(*turns, strict=True)]
        shown = "".join(f"{speed:>10,.0f}" for speed in speeds)
        print(f"{name:<28}{shown}{speeds[2] / speeds[0]:>10.2f}")


if __name__ == "__main__":
    main()
