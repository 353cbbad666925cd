"""Compare sizes of gzipped chunks: bytes, time of deflating, time of reading one image.

    python benchmarks/chunks.py [--ram DIR]

8,192 samples of five digits, 28 x 200, with blur and all thicknesses, are stored in chunks of 1 to
256 images, which ISA-L deflates and HDF5 writes as they are, as in a build. Then h5py alone, with
the file in memory, takes single images in random order: almost every time it inflates a chunk,
since few are in its cache. Figures are medians of processor time over five rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from isal import isal_zlib
from kernel import EVERYTHING

from builder import generate
from builder.storage.formats.hdf5 import DEFLATE_LEVEL

SAMPLES, READS, ROUNDS = 8192, 300, 5
SIZES = (1, 4, 8, 16, 32, 64, 256)


def deflate(images: np.ndarray, rows: int) -> list[bytes]:
    """Return the deflated bytes of chunks of `rows` images."""
    starts = range(0, len(images), rows)
    return [isal_zlib.compress(images[row : row + rows].data, DEFLATE_LEVEL) for row in starts]


def store(path: Path, images: np.ndarray, rows: int, chunks: list[bytes]) -> int:
    """Write deflated chunks to an HDF5 file, and return its size."""
    with h5py.File(path, "w", libver=("v108", "v110")) as file:
        dataset = file.create_dataset(
            "images",
            images.shape,
            images.dtype,
            chunks=(rows, *images.shape[1:]),
            compression=DEFLATE_LEVEL,
        )
        for number, chunk in enumerate(chunks):
            dataset.id.write_direct_chunk((number * rows, 0, 0), chunk)
    return path.stat().st_size


def time_reads(path: Path, images: np.ndarray, rng: np.random.Generator) -> float:
    """Return the mean seconds of `READS` random accesses to an image."""
    with h5py.File(path) as file:
        dataset, order = file["images"], rng.integers(0, len(images), READS).tolist()
        assert np.array_equal(dataset[order[0]], images[order[0]])
        began = time.thread_time()
        for row in order:
            dataset[row]
        return (time.thread_time() - began) / READS


def main() -> None:
    """Print the table."""
    memory = Path("/dev/shm")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ram", type=Path, default=memory if memory.is_dir() else None)
    options = parser.parse_args()
    images = generate(EVERYTHING.recipe, range(SAMPLES)).images
    rng = np.random.default_rng(0)
    packing: dict[int, list[float]] = {rows: [] for rows in SIZES}
    reading: dict[int, list[float]] = {rows: [] for rows in SIZES}
    packed: dict[int, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory(dir=options.ram) as folder:
        for _ in range(ROUNDS):
            for rows in SIZES:
                began = time.thread_time()
                chunks = deflate(images, rows)
                packing[rows].append((time.thread_time() - began) / SAMPLES * 1e6)
                path = Path(folder) / f"{rows}.h5"
                packed[rows] = sum(map(len, chunks)), store(path, images, rows, chunks)
                reading[rows].append(time_reads(path, images, rng) * 1e6)
    print("images/chunk   ratio   deflate us/image   file bytes   read us/image")
    for rows in SIZES:
        size, file = packed[rows]
        times = statistics.median(packing[rows]), statistics.median(reading[rows])
        row = f"{rows:>12}{images.nbytes / size:>8.2f}{times[0]:>19.2f}{file:>13,}{times[1]:>16.1f}"
        print(row)


if __name__ == "__main__":
    main()
