"""The files of a digit source: IDX files, read and checked, and what is measured of their glyphs.

Format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
section "File formats": a four-byte magic number, lengths, and a big-endian array. QMNIST's
eight-column labels (Yadav and Bottou 2019) are the one extension that is read: their first column
is the class.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from builder.common import untrusted_files
from builder.common.cache import Arrays
from builder.common.constants import (
    CLASSES,
    FRAME,
    MARGIN,
    PADDED,
    AnyArray,
    Float32s,
    Int16s,
    Ints,
    UInt8s,
)
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
    image_path, label_path = (_find_file(folder, split, kind) for kind in ("images", "labels"))
    images, labels = _read_images(image_path), _read_labels(label_path)
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
        for word in SPLIT_WORDS[split]
        for path in folder.glob(f"*{word}*")
        if path.is_file() and kind in path.name and "idx" in path.name
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
        raise _wrong_array(path, array, "images (is it a label file?)")
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
        raise _wrong_array(path, array, "labels (is it an image file?)")
    wrong = np.flatnonzero((array < 0) | (array >= CLASSES))
    if wrong.size:
        raise UsageError(
            f"{path}: label {array[wrong[0]]} of item {wrong[0]} is not a digit, expected 0 to 9"
        )
    return array.astype(np.uint8)


def _wrong_array(path: Path, array: AnyArray, expected: str) -> UsageError:
    kind = f"a {array.ndim}-dimensional array of {array.dtype.name}"
    return UsageError(f"{path}: holds {kind}; expected {expected}")


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


def derive_arrays(decoded: dict[str, DigitFile]) -> Arrays:
    """Return the arrays that a `DigitBank` is made of, for each file of a folder."""
    arrays: Arrays = {}
    for split, (images, labels) in decoded.items():
        padded = np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
        arrays[f"{split}-glyphs"] = padded.reshape(len(images), PADDED * PADDED)
        arrays[f"{split}-labels"] = labels
        arrays[f"{split}-ink"] = measure_ink(images)
        arrays[f"{split}-diagonals"] = measure_diagonals(images)
        arrays[f"{split}-strokes"] = measure_strokes(padded)
    return arrays


def measure_ink(images: UInt8s) -> Int16s:
    """Return half-open bounds x0, y0, x1, y1 of the pixels >= 1 of images (K, h, w).

    Returns:
        Bounds (K, 4), px, zeros where there are no such pixels.
    """
    (x0, x1), (y0, y1) = (_find_ends(images.max(axis=axis)) for axis in (1, 2))
    return _join_bounds(images, x0, y0, x1, y1)


def measure_diagonals(images: UInt8s) -> Int16s:
    """Return diagonal bounds of the pixels >= 1 of images (K, 28, 28).

    Returns:
        The least x + y and x - y of the corners of these pixels, and the largest, px, (K, 4);
        zeros where there are no such pixels.
    """
    side = images.shape[1]
    ends = []
    for turned in (images, images[:, ::-1]):
        # shearing by one pixel a row turns diagonals into columns
        columns = np.zeros((len(images), 2 * side), dtype=np.uint8)
        for row in range(side):
            columns[:, row : row + side] |= turned[:, row]
        ends.append(_find_ends(columns))
    (low, high), (left, right) = ends
    return _join_bounds(images, low, left - side, high + 1, right + 1 - side)


def _find_ends(values: UInt8s) -> tuple[Ints, Ints]:
    """Return the first column and the end of what is not 0 in each row (K, n)."""
    lit = values > 0
    return lit.argmax(axis=1), lit.shape[1] - lit[:, ::-1].argmax(axis=1)


def _join_bounds(images: UInt8s, *sides: Ints) -> Int16s:
    """Return four sides (K,) as bounds (K, 4), zeros for images without a pixel >= 1."""
    has_ink = images.max(axis=(1, 2))[:, None] > 0
    return np.where(has_ink, np.stack(sides, axis=1), 0).astype(np.int16)


def measure_strokes(images: UInt8s) -> Float32s:
    """Return the mean width of the strokes of images (K, h, w) with black edges, px, (K,).

    A stroke of length l and width w holds l w of ink and has two edges of length l. Across an
    edge the grey value rises from black to white, so the lengths of the gradients add up to 2 l.
    So w is twice the sum of values over the sum of the lengths of their gradients. The sums are of
    integers, so they do not depend on an order.
    """
    widths = np.zeros(len(images), dtype=np.float32)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000].astype(np.float64)
        across = part[:, :-1, 1:] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, 1:, :-1]
        down = part[:, 1:, :-1] - part[:, :-1, :-1] + part[:, 1:, 1:] - part[:, :-1, 1:]
        gradients = np.floor(np.sqrt(across * across + down * down) * 128.0)
        edges = gradients.astype(np.int64).sum(axis=(1, 2))
        ink = images[start : start + 1000].sum(axis=(1, 2), dtype=np.int64)
        widths[start : start + 1000] = 512.0 * ink / np.maximum(edges, 1)
    return widths
