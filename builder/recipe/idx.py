"""IDX files, the format of MNIST: big-endian arrays behind a four-byte magic number.

Format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
section "File formats". QMNIST's eight-column labels (Yadav and Bottou 2019) are the one
extension read here: their first column is the class.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common import untrusted_files
from builder.common.errors import UsageError

SIDE = 28
"""Height and width of a glyph, px."""

TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
MOST_BYTES = 1 << 31
"""Bytes that are read at most: 2.7 million glyphs, four times the largest set there is (EMNIST)."""

HEAD = 16
"""Bytes of the longest header: magic number and three lengths."""

SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}


@dataclass(frozen=True)
class DigitFile:
    """The glyphs of one image file with their classes.

    `images` (K, 28, 28) uint8, 0 is background; `labels` (K,) uint8, 0 to 9.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def load_folder(folder: Path) -> dict[str, DigitFile]:
    """Load the four IDX files of a folder, plain or gzipped, as `train` and `test`.

    Names need only contain `train` or `t10k`/`test`, `images` or `labels`, and `idx`, as
    those of MNIST, EMNIST digits and QMNIST do. EMNIST's images are stored transposed and
    are turned upright. Raises `UsageError` that names the file and what is wrong with it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name one that holds the four IDX files")
    return {split: _load_split(folder, split) for split in SPLIT_WORDS}


def _load_split(folder: Path, split: str) -> DigitFile:
    image_path = _find(folder, split, "images")
    label_path = _find(folder, split, "labels")
    images = _checked_images(image_path)
    labels = _checked_labels(label_path)
    if len(images) != len(labels):
        raise UsageError(
            f"{image_path}: {len(images)} images, but {label_path.name} has {len(labels)} labels; "
            "expected as many of one as of the other"
        )
    if image_path.name.startswith("emnist"):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return DigitFile(images, labels)


def _find(folder: Path, split: str, kind: str) -> Path:
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and kind in path.name
        and "idx" in path.name
        and any(word in path.name for word in SPLIT_WORDS[split])
    )
    stems = {path.name.removesuffix(".gz") for path in found}
    if len(stems) != 1:
        seen = ", ".join(path.name for path in found) or "none"
        example = f"{SPLIT_WORDS[split][0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        raise UsageError(
            f"{folder}: expected one {split} {kind} file, such as {example} (or .gz), found {seen}"
        )
    return found[0]


def _checked_images(path: Path) -> npt.NDArray[np.uint8]:
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise UsageError(f"{path}: holds {_describe(array)}; expected images (is it a label file?)")
    if array.shape[1:] != (SIDE, SIDE):
        raise UsageError(
            f"{path}: images are {array.shape[1]} x {array.shape[2]}, expected {SIDE} x {SIDE}"
        )
    return array


def _checked_labels(path: Path) -> npt.NDArray[np.uint8]:
    array = read_idx(path)
    if array.dtype != np.uint8 and array.ndim == 2 and array.shape[1] > 0:
        array = array[:, 0]
    if array.ndim != 1:
        raise UsageError(
            f"{path}: holds {_describe(array)}; expected labels (is it an image file?)"
        )
    wrong = np.flatnonzero((array < 0) | (array > 9))
    if wrong.size:
        raise UsageError(
            f"{path}: label {array[wrong[0]]} of item {wrong[0]} is not a digit, expected 0 to 9"
        )
    return array.astype(np.uint8)


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Return the array of one IDX file, read-only: uint8 or big-endian int32.

    Raises `UsageError` for a wrong magic number, or more or fewer bytes than the header says.
    """
    data, expected = _read_bytes(path)
    dtype, header = TYPES[data[2]], 4 + 4 * data[3]
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "too long"
        more = " or more" if len(data) > expected else ""
        raise UsageError(
            f"{path}: {state}: {len(data)} bytes{more} where its header says {expected}"
        )
    return np.frombuffer(data, dtype, offset=header).reshape(_shape(data))


def _read_bytes(path: Path) -> tuple[bytes, int]:
    """Return the bytes of a file, at most one more than its header says, and what that says."""
    try:
        with path.open("rb") as file:
            head = untrusted_files.read_maybe_gzipped(file, HEAD - 1)
        expected = _expected(path, head)
        with path.open("rb") as file:
            return untrusted_files.read_maybe_gzipped(file, min(expected, MOST_BYTES)), expected
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: cannot be read ({error}); fetch the file anew") from error


def _expected(path: Path, head: bytes) -> int:
    """Return how many bytes a file has that begins with `head`."""
    magic = head[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 3:
        raise UsageError(
            f"{path}: begins with bytes '{magic.hex(' ')}'; expected an IDX file, which "
            "begins with 00 00 08 03 (images) or 00 00 08 01 (labels)"
        )
    return 4 + 4 * magic[3] + math.prod(_shape(head)) * TYPES[magic[2]].itemsize


def _shape(data: bytes) -> tuple[int, ...]:
    header = 4 + 4 * data[3]
    return tuple(int(n) for n in np.frombuffer(data[4:header].ljust(header - 4, b"\0"), ">u4"))


def _describe(array: npt.NDArray[Any]) -> str:
    return f"a {array.ndim}-dimensional array of {array.dtype.name}"
