"""IDX files, the format of MNIST: a four-byte magic number, lengths, and a big-endian array.

Format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
section "File formats". QMNIST's eight-column labels (Yadav and Bottou 2019) are the one
extension that is read: their first column is the class.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from builder.common import untrusted_files
from builder.common.constants import CLASSES, FRAME, AnyArray, UInt8s
from builder.common.errors import UsageError

DTYPES = {0x08: "u1", 0x0C: ">i4"}
"""The array's type by the third byte of the magic number."""

MAX_IDX_BYTES = 1 << 31
"""Limit of what is read: 2.7 million glyphs, four times the largest known set (EMNIST)."""

MAX_HEADER_BYTES = 16
"""Bytes of the longest header: magic number and three lengths."""

SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
"""Words of which a file name of each split contains one."""


class DigitFile(NamedTuple):
    """The glyphs of one image file with their classes.

    Attributes:
        images: Images (K, 28, 28), 0 is background.
        labels: Classes (K,), 0 to 9.
    """

    images: UInt8s
    labels: UInt8s


def load_folder(folder: Path) -> dict[str, DigitFile]:
    """Load the four IDX files of a folder, plain or gzipped, as `train` and `test`.

    Names need only contain `train` or `t10k`/`test`, `images` or `labels`, and `idx`, as
    those of MNIST, EMNIST digits and QMNIST do. EMNIST stores images transposed; they are
    transposed back.

    Raises:
        UsageError: A file is missing or wrong; the text names the file and the fault.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name one that holds the four IDX files")
    return {split: _load_split(folder, split) for split in SPLIT_WORDS}


def _load_split(folder: Path, split: str) -> DigitFile:
    image_path = _find_file(folder, split, "images")
    label_path = _find_file(folder, split, "labels")
    images = _read_images(image_path)
    labels = _read_labels(label_path)
    if len(images) != len(labels):
        raise UsageError(
            f"{image_path}: {len(images)} images, but {label_path.name} has {len(labels)} labels; "
            "expected as many of one as of the other"
        )
    if image_path.name.startswith("emnist"):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return DigitFile(images, labels)


def _find_file(folder: Path, split: str, kind: str) -> Path:
    """Return the one file of a split and kind (`images` or `labels`) in a folder."""
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and kind in path.name
        and "idx" in path.name
        and any(word in path.name for word in SPLIT_WORDS[split])
    )
    stems = {path.name.removesuffix(".gz") for path in paths}
    if len(stems) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        example = f"{SPLIT_WORDS[split][0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        raise UsageError(
            f"{folder}: expected one {split} {kind} file, such as {example} (or .gz), found {names}"
        )
    return paths[0]


def _read_images(path: Path) -> UInt8s:
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise UsageError(f"{path}: holds {_describe(array)}; expected images (is it a label file?)")
    if array.shape[1:] != (FRAME, FRAME):
        raise UsageError(
            f"{path}: images are {array.shape[1]} x {array.shape[2]}, expected {FRAME} x {FRAME}"
        )
    return array


def _read_labels(path: Path) -> UInt8s:
    array = read_idx(path)
    if array.dtype != np.uint8 and array.ndim == 2 and array.shape[1] > 0:
        array = array[:, 0]
    if array.ndim != 1:
        raise UsageError(
            f"{path}: holds {_describe(array)}; expected labels (is it an image file?)"
        )
    wrong = np.flatnonzero((array < 0) | (array >= CLASSES))
    if wrong.size:
        raise UsageError(
            f"{path}: label {array[wrong[0]]} of item {wrong[0]} is not a digit, expected 0 to 9"
        )
    return array.astype(np.uint8)


def read_idx(path: Path) -> AnyArray:
    """Return the array of one IDX file, read-only: uint8 or big-endian int32.

    Raises:
        UsageError: The magic number is wrong, or the file has another size than its header says.
    """
    try:
        with path.open("rb") as file:
            contents = untrusted_files.unzip(file)
            dtype, shape = _parse_header(path, contents.read(MAX_HEADER_BYTES))
            begin = 4 + 4 * len(shape)
            expected = begin + math.prod(shape) * dtype.itemsize
            contents.seek(0)
            data = contents.read(min(expected, MAX_IDX_BYTES) + 1)
    except untrusted_files.READ_ERRORS as error:
        raise UsageError(f"{path}: cannot be read ({error}); fetch the file anew") from error
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "too long"
        more = " or more" if len(data) > expected else ""
        raise UsageError(
            f"{path}: {state}: {len(data)} bytes{more} where its header says {expected}"
        )
    return np.frombuffer(data, dtype, offset=begin).reshape(shape)


def _parse_header(path: Path, header: bytes) -> tuple[np.dtype[np.generic], list[int]]:
    """Return type and shape of an array; missing bytes of a truncated header count as 0."""
    magic = header[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 1 <= magic[3] <= 3:
        raise UsageError(
            f"{path}: begins with bytes '{magic.hex(' ')}'; expected an IDX file, which "
            "begins with 00 00 08 03 (images) or 00 00 08 01 (labels)"
        )
    size = 4 * magic[3]
    shape = np.frombuffer(header[4 : 4 + size].ljust(size, b"\0"), ">u4")
    return np.dtype(DTYPES[magic[2]]), shape.tolist()


def _describe(array: AnyArray) -> str:
    return f"a {array.ndim}-dimensional array of {array.dtype.name}"
