"""What builds are compared with: hand-written loops, a lower bound, and plain writes.

Only the glyphs come from this program. `benchmarks/builds.py` times the functions.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from isal import isal_zlib
from kernel import GEOMETRY, GLYPHS, LEFT

DIGITS, HEIGHT, WIDTH, GLYPH = 5, 28, 200, 28
BLOCK, CHUNK, LEVEL = 256, 16, 1

BANK = GEOMETRY.bank
DIGIT_GLYPHS = np.ascontiguousarray(BANK.glyphs.reshape(-1, 32, 32)[:, 2:30, 2:30])
OF_CLASS = [BANK.members[a:b] for a, b in zip(BANK.starts, [*BANK.starts[1:], None], strict=True)]
SIZES = np.array([len(rows) for rows in OF_CLASS])

LOW = np.array([0.85, 0.85, math.radians(-10), -0.2])
HIGH = np.array([1.15, 1.15, math.radians(10), 0.2])
"""Scale in x and y, rotation, shear: as in `benchmarks/kernel.py`. Tilt, perspective, shifts,
elastic deformation and thickness are left out, which favours the loops."""

PART = 40
"""Width of a warped digit, px: none is clipped."""


def by_hand(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return one random image (28, 200) uint8 and its digits (5,) int8.

    Each of three draws serves all digits of the image. The matrices are made of Python's floats:
    small arrays of numpy took 10 to 30 us longer per image.
    """
    digits = rng.integers(0, 10, DIGITS, dtype=np.int8)
    picks = rng.integers(0, SIZES[digits]).tolist()
    numbers = rng.uniform(LOW, HIGH, (DIGITS, len(LOW))).tolist()
    gaps = rng.integers(5, 11, DIGITS).tolist()  # the last is not used
    spare = WIDTH - DIGITS * GLYPH - sum(gaps[:-1])
    left = int(rng.integers(0, spare + 1))
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = GLYPH / 2 - 0.5
    for digit, pick, (sx, sy, angle, shear), gap in zip(
        digits.tolist(), picks, numbers, gaps, strict=True
    ):
        begin = min(max(left - (PART - GLYPH) // 2, 0), WIDTH - PART)
        cos, sin = math.cos(angle), math.sin(angle)
        a, b = sx * cos, sy * (shear * cos - sin)
        c, d = sx * sin, sy * (shear * sin + cos)
        x, y = left - begin + centre - (a + b) * centre, centre - (c + d) * centre
        glyph = DIGIT_GLYPHS[OF_CLASS[digit][pick]]
        warped = cv2.warpAffine(glyph, np.array([[a, b, x], [c, d, y]]), (PART, HEIGHT))
        part = image[:, begin : begin + PART]
        np.maximum(part, warped, out=part)
        left += GLYPH + gap
    return image, digits


def loop_hdf5(folder: Path, count: int, **storage: Any) -> None:
    """Fill an HDF5 file image by image."""
    rng = np.random.default_rng(0)
    with h5py.File(folder / "loop.h5", "w") as file:
        images = file.create_dataset("images", (count, HEIGHT, WIDTH), "u1", **storage)
        labels = file.create_dataset("labels", (count, DIGITS), "i1")
        for row in range(count):
            images[row], labels[row] = by_hand(rng)


def loop_in_blocks(folder: Path, count: int, **storage: Any) -> None:
    """Fill an HDF5 file through a buffer that is written when it is full.

    Gzip 4 took 130 us per image with chunks of 16 images, 132 us with chunks that h5py chooses,
    136 us with chunks of 256 images, 164 us with chunks of one.
    """
    rng = np.random.default_rng(0)
    images = np.empty((BLOCK, HEIGHT, WIDTH), np.uint8)
    labels = np.empty((BLOCK, DIGITS), np.int8)
    with h5py.File(folder / "loop.h5", "w") as file:
        stored = file.create_dataset("images", (count, HEIGHT, WIDTH), "u1", **storage)
        stored_labels = file.create_dataset("labels", (count, DIGITS), "i1")
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            for row in range(size):
                images[row], labels[row] = by_hand(rng)
            stored[start : start + size] = images[:size]
            stored_labels[start : start + size] = labels[:size]


GZIP: dict[str, Any] = {
    "compression": "gzip",
    "compression_opts": 4,
    "chunks": (CHUNK, HEIGHT, WIDTH),
}


def loop_png(folder: Path, count: int) -> None:
    """Write each image with `cv2.imwrite`, and a line of a CSV file for its label."""
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        for index in range(count):
            image, digits = by_hand(rng)
            name = f"{index:06d}.png"
            cv2.imwrite(f"{folder}/{name}", image)
            lines.writerow([name, "".join(map(str, digits.tolist()))])


def copy_chunks(count: int) -> Iterator[np.ndarray]:
    """Yield chunks of images (16, 28, 200): glyphs copied into place, without a warp."""
    chunk = np.empty((CHUNK, HEIGHT, WIDTH), np.uint8)
    for start in range(0, count, CHUNK):
        chunk[:] = 0
        for row, image in enumerate(chunk):
            sample = (start + row) % len(GLYPHS)
            for glyph, left in zip(GLYPHS[sample], LEFT[sample], strict=True):
                image[:, left : left + GLYPH] = glyph
        yield chunk


def floor_gzip(folder: Path, count: int) -> None:
    """Copy glyphs into place, deflate them by ISA-L and write them to a file: the lower bound."""
    with (folder / "floor").open("wb") as file:
        for chunk in copy_chunks(count):
            file.write(isal_zlib.compress(chunk.data, LEVEL))


def write_files(folder: Path, size: int, files: int) -> None:
    """Write files of `size` bytes each from memory, and sync each file."""
    for number in range(files):
        with (folder / f"plain-{number}").open("wb", buffering=0) as file:
            left = size
            while left:
                left -= file.write(BYTES[:left])
            os.fsync(file.fileno())


BYTES = memoryview(b"".join(chunk.tobytes() for chunk in copy_chunks(512)))
"""Images to write: 512 of them, one after the other."""
