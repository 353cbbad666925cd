"""Measure how fast samples reach a training loop: from shards, live, and from PyTorch's workers.

    python benchmarks/loading.py [--count N] [--ram DIR]

Samples of preset `standard`, 28 x 200, are built in memory as raw and as gzipped HDF5. One process
reads single images, shuffled batches of 256 and live batches. In the same rounds it runs the bound
of each: a bare `numpy.memmap`, a plain copy of the same bytes, inflating by ISA-L alone, the
generator alone; and the usual hand-written loader, h5py sample by sample. Figures are medians of
processor time. With PyTorch, the last table is the wall time of a `Loader` with 0, 1 and 2 workers.
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
WARM_UP, MEASURED = 10, 500
"""Batches of a loader before the measurement, and during it."""
RECIPE = Recipe(length=5)


def time_per_sample(task: Callable[[], int]) -> float:
    """Return the processor seconds a sample of a task, which returns its number of samples."""
    began = time.thread_time()
    samples = task()
    return (time.thread_time() - began) / samples


def median_times(tasks: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Return the median seconds a sample of each task; every round runs all of them."""
    for task in tasks.values():
        task()
    rounds = [{name: time_per_sample(task) for name, task in tasks.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(turn[name] for turn in rounds) for name in tasks}


def read_batches(batches: Iterator[Batch], most: int | None = None) -> int:
    """Read images and labels of batches, and return the number of samples."""
    samples = 0
    for batch in itertools.islice(batches, most):
        samples += len(batch.images)
        batch.labels.sum(), batch.lengths.sum()
    return samples


def read_images(read: Callable[[int], np.ndarray], order: list[int]) -> int:
    """Read images one by one, and return their number."""
    for index in order:
        read(index)
    return len(order)


def raw_tasks(folder: Path, data: Dataset) -> dict[str, Callable[[], int]]:
    """Return the tasks of a raw dataset, and of its bytes alone."""
    files = [h5py.File(path)["images"] for path in sorted(folder.glob("*.h5"))]
    maps = [
        np.memmap(images.file.filename, np.uint8, "r", images.id.get_offset(), images.shape)
        for images in files
    ]
    order = np.random.default_rng(0).integers(0, len(maps[0]), READS).tolist()

    def copy_images() -> int:
        for images in map(np.asarray, maps):
            for start in range(0, len(images), BATCH):
                images[start : start + BATCH].copy()
        return sum(map(len, maps))

    epochs = itertools.count()
    return {
        "memmap": lambda: read_images(lambda i: np.array(maps[0][i]), order),
        "single": lambda: read_images(lambda i: data[i].image, order),
        "h5py single": lambda: read_images(lambda i: files[0][i], order[:SLOW_READS]),
        "memcpy": copy_images,
        "raw": lambda: read_batches(data.batches(BATCH, shuffle=True, epoch=next(epochs))),
    }


def gzip_tasks(folder: Path, data: Dataset) -> dict[str, Callable[[], int]]:
    """Return the tasks of a gzipped dataset, and of its chunks alone."""
    images = h5py.File(folder / "shard-000000.h5")["images"]
    order = np.random.default_rng(1).permutation(len(images))[:SLOW_READS].tolist()
    rows = images.chunks[0]
    chunks = [images.id.read_direct_chunk((at, 0, 0))[1] for at in range(0, len(images), rows)]
    size = rows * images[0].nbytes

    def inflate_chunks() -> int:
        for chunk in chunks:
            isal_zlib.decompress(chunk, bufsize=size)
        return len(images)

    epochs = itertools.count()
    return {
        "inflate": inflate_chunks,
        "gzip": lambda: read_batches(data.batches(BATCH, shuffle=True, epoch=next(epochs))),
        "h5py gzip": lambda: read_images(lambda i: images[i], order),
    }


def live_tasks() -> dict[str, Callable[[], int]]:
    """Return the tasks of live batches, and of the generator alone."""
    live, starts = LiveDataset(RECIPE, 10**9), itertools.count(0, BATCH)
    order, epochs = Order(BATCH, shuffle=True), itertools.count()

    def generate_batches() -> int:
        for start in itertools.islice(starts, LIVE_BATCHES):
            generate(RECIPE, range(start, start + BATCH))
        return BATCH * LIVE_BATCHES

    return {
        "generator": generate_batches,
        "live": lambda: read_batches(live.in_order(order, next(epochs)), LIVE_BATCHES),
    }


def loader_speed(data: Dataset, workers: int, batches: int) -> float:
    """Return the samples a second of wall time that a `Loader` with some workers delivers."""
    from builder.torch import Loader

    loader = Loader(data, Order(BATCH, shuffle=True), num_workers=workers)
    delivered = iter(loader)
    for _ in range(WARM_UP):
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
    least = (WARM_UP + MEASURED + 1) * BATCH
    if options.count < least:
        parser.error(f"--count is {options.count}, expected {least} or more")
    with tempfile.TemporaryDirectory(dir=options.ram) as folder:
        raw, packed = Path(folder) / "raw", Path(folder) / "gzip"
        build(RECIPE, options.count, raw, progress=True)
        build(RECIPE, options.count, packed, compression="gzip", progress=True)
        stored, deflated = open_dataset(raw), open_dataset(packed)
        times = median_times(raw_tasks(raw, stored))
        times |= median_times(gzip_tasks(packed, deflated))
        times |= median_times(live_tasks())
        print_figures(times)
        try:
            print_workers({"raw": stored, "gzip": deflated, "live": LiveDataset(RECIPE, 10**9)})
        except ModuleNotFoundError as error:
            print(error)


def print_figures(times: dict[str, float]) -> None:
    """Print times a sample, and ratios to the bounds."""
    print(f"{'':<28}{'us/image':>10}{'images/s':>12}")
    for name, seconds in times.items():
        print(f"{name:<28}{seconds * 1e6:>10.2f}{1 / seconds:>12,.0f}")
    ratios = {
        "single read to memmap, time (2 or less)": times["single"] / times["memmap"],
        "raw batches to memcpy, speed": times["memcpy"] / times["raw"],
        "raw batches, images/s (300,000 or 0.6 of memcpy)": 1 / times["raw"],
        "gzip to h5py, sample by sample, speed (5 or more)": times["h5py gzip"] / times["gzip"],
        "gzip to inflating alone, speed (0.7 or more)": times["inflate"] / times["gzip"],
        "live to generator, speed (0.9 or more)": times["generator"] / times["live"],
    }
    print()
    for name, value in ratios.items():
        print(f"{name:<52}{value:>12,.2f}")


def print_workers(datasets: dict[str, Dataset]) -> None:
    """Print the images a second with 0, 1 and 2 workers."""
    print(f"\n{'images/s with workers':<28}{'0':>10}{'1':>10}{'2':>10}{'2 to 0':>10}")
    for name, data in datasets.items():
        batches = MEASURED // 3 if name == "live" else MEASURED
        turns = [[loader_speed(data, w, batches) for w in (0, 1, 2)] for _ in range(5)]
        speeds = [statistics.median(speed) for speed in zip(*turns, strict=True)]
        shown = "".join(f"{speed:>10,.0f}" for speed in speeds)
        print(f"{name:<28}{shown}{speeds[2] / speeds[0]:>10.2f}")


if __name__ == "__main__":
    main()
