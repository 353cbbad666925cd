"""Tell what the number of images in a gzipped chunk costs: bytes, deflating, reading one image.

    python benchmarks/chunks.py [--ram DIR]

8,192 samples of five digits, 28 x 200, blurred and of all thicknesses, are stored by chunks of 1 to
256 images, each deflated by ISA-L and passed through HDF5 whole, as in a build. Then single images
are read in random order through h5py alone, the file in memory: each read inflates a chunk, since
hardly any is still in h5py's cache. Medians of five turns, the processor's time.
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
from builder.storage.formats.hdf5_writer import DEFLATE_LEVEL

SAMPLES, READS, ROUNDS = 8192, 300, 5
SIZES = (1, 4, 8, 16, 32, 64, 256)


def deflated(images: np.ndarray, rows: int) -> list[bytes]:
    """Return chunks of `rows` images, deflated."""
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


def read(path: Path, images: np.ndarray, rng: np.random.Generator) -> float:
    """Return the seconds of reading an image, the mean of `READS` at random."""
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
                chunks = deflated(images, rows)
                packing[rows].append((time.thread_time() - began) / SAMPLES * 1e6)
                path = Path(folder) / f"{rows}.h5"
                packed[rows] = sum(map(len, chunks)), store(path, images, rows, chunks)
                reading[rows].append(read(path, images, rng) * 1e6)
    print("images/chunk   ratio   deflate us/image   file bytes   read us/image")
    for rows in SIZES:
        size, file = packed[rows]
        times = statistics.median(packing[rows]), statistics.median(reading[rows])
        row = f"{rows:>12}{images.nbytes / size:>8.2f}{times[0]:>19.2f}{file:>13,}{times[1]:>16.1f}"
        print(row)


if __name__ == "__main__":
    main()
