"""The files of a digit source: IDX and `.npz` files, read and checked.

Format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
section "File formats": a four-byte magic number, lengths, and a big-endian array. QMNIST's
eight-column labels (Yadav and Bottou 2019) are the one extension that is read: their first column
is the class. `.npz` files are numpy's; that of Keras has arrays `x_train`, `y_train`, `x_test` and
`y_test`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from builder.common import untrusted_files
from builder.common.constants import CLASSES, FRAME, AnyArray, UInt8s
from builder.common.errors import UsageError

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The array's type by the third byte of the magic number."""

MAX_IDX_BYTES = 1 << 31
"""Limit of what is read: 2.7 million glyphs, four times the largest known set (EMNIST)."""

MAX_HEADER_BYTES = 16
"""Bytes of the longest header: magic number and three lengths."""

IDX_NAME = re.compile(
    r"(?!\.|copy of ).*idx[1-4]?([-._](u?byte|short|int|float|double))?(\.gz)?", re.IGNORECASE
)
"""Names of IDX files. `._x`, `x.md5`, `x.part`, `x (1)` and such are not among them."""

SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
"""Words of which a name of each split contains one."""

KIND_WORDS = {"images": ("images", "image", "imgs", "x"), "labels": ("labels", "label", "y")}
"""Words of which the name of an array in a `.npz` file contains one."""

UNFRAMED = 20
"""The side of NIST's digits before MNIST centred them in 28 x 28."""

SIDES_OF_ROWS = {side * side: side for side in (FRAME, UNFRAMED)}
"""The side of a square image by the numbers in its row."""

QMNIST_COLUMNS = 8
"""Columns of QMNIST's labels; the first is the class."""


class DigitFile(NamedTuple):
    """The glyphs of one image file with their classes.

    Attributes:
        images: Images (K, 28, 28), 0 is background.
        labels: Classes (K,), 0 to 9.
    """

    images: UInt8s
    labels: UInt8s


def load_digits(path: Path) -> dict[str, DigitFile]:
    """Load the digits of a folder or a `.npz` file, as they are stored, as `train` and `test`.

    Names of IDX files, plain or gzipped, need only contain `train` or `t10k`/`test`, `images` or
    `labels`, and end with `idx...`, as those of MNIST, EMNIST digits and QMNIST do. A folder
    without any may have one `.npz` file. Its arrays are named so too, or `x_train`, `y_train`, ...

    Raises:
        UsageError: A file is missing or wrong; the text names the file and the fault.
    """
    if not path.is_dir():
        if path.is_file() and path.suffix == ".npz":
            return _load_npz(path)
        raise UsageError(f"{path}: no such folder; name one that holds the four IDX files")
    packed = sorted(path.glob("*.npz"))
    if len(packed) == 1 and not any(map(_is_idx, path.glob("*"))):
        return _load_npz(packed[0])
    return {split: load_split(path, split) for split in SPLIT_WORDS}


def load_split(folder: Path, split: str) -> DigitFile:
    """Load the two IDX files of one split; see `load_digits`."""
    images, labels = (_find_file(folder, split, kind) for kind in KIND_WORDS)
    return _check_arrays((str(images), read_idx(images)), (str(labels), read_idx(labels)))


def _check_arrays(images: tuple[str, AnyArray], labels: tuple[str, AnyArray]) -> DigitFile:
    """Return the glyphs of two arrays, each given with its name."""
    file = DigitFile(_to_images(*images), _to_labels(*labels))
    if len(file.images) != len(file.labels):
        raise UsageError(
            f"{images[0]}: {len(file.images)} images, but {Path(labels[0]).name} has "
            f"{len(file.labels)} labels; expected as many of one as of the other"
        )
    return file


def _is_idx(path: Path) -> bool:
    """Tell whether a name is that of an IDX file, and of no copy, part or checksum of one."""
    return bool(IDX_NAME.fullmatch(path.name)) and path.is_file()


def _find_file(folder: Path, split: str, kind: str) -> Path:
    """Return the one file of a split and kind (`images` or `labels`) in a folder."""
    paths = sorted(
        path
        for path in folder.glob("*")
        if kind in path.name.lower() and any(w in path.name.lower() for w in SPLIT_WORDS[split])
    )
    found = [path for path in paths if _is_idx(path)]
    if len({path.name.lower().removesuffix(".gz") for path in found}) != 1:
        names = ", ".join(path.name for path in found) or "none"
        passed = ", ".join(path.name for path in paths if path not in found)
        example = f"{SPLIT_WORDS[split][0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        raise UsageError(
            f"{folder}: expected one {split} {kind} file, such as {example} (or .gz), found {names}"
            f"{f' (passed over: {passed})' if passed else ''}"
        )
    return found[0]


def _load_npz(path: Path) -> dict[str, DigitFile]:
    """Load the four arrays of a `.npz` file."""
    try:
        with untrusted_files.open_named(path) as file, np.load(file, allow_pickle=False) as arrays:
            sizes = [info.file_size for info in arrays.zip.infolist()]
            if sum(sizes) > MAX_IDX_BYTES:
                raise ValueError(f"{sum(sizes)} bytes, expected at most {MAX_IDX_BYTES}")
            found = {
                split: [
                    (f"{path}: {name}", np.asarray(arrays[name]))
                    for kind in KIND_WORDS
                    for name in [_find_array(arrays.files, split, kind)]
                ]
                for split in SPLIT_WORDS
            }
    except Exception as error:  # of many types, for damaged archives and arrays of objects
        raise UsageError(f"{path}: cannot be read ({error})") from error
    return {split: _check_arrays(images, labels) for split, (images, labels) in found.items()}


def _find_array(names: list[str], split: str, kind: str) -> str:
    """Return the one name of an array of a split and kind."""
    needed = ({*SPLIT_WORDS[split]}, {*KIND_WORDS[kind]})
    words = {name: {*re.split("[^a-z0-9]+", name.lower())} for name in names}
    found = [name for name in names if all(words[name] & some for some in needed)]
    if len(found) != 1:
        raise UsageError(
            f"expected one array of {split} {kind}, such as {KIND_WORDS[kind][-1]}_{split}, found "
            f"{', '.join(found) or 'none'} among {', '.join(names) or 'no arrays'}"
        )
    return found[0]


def _to_images(name: str, array: AnyArray) -> UInt8s:
    """Return an array as images (K, 28, 28), if it can be taken without a guess."""
    if array.ndim == 2 and array.shape[1] in SIDES_OF_ROWS:
        side = SIDES_OF_ROWS[array.shape[1]]
        array = array.reshape(-1, side, side)
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):  # one channel, first or last
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.ndim != 3 or array.dtype.kind not in "uifb":
        raise _wrong_array(name, array, "images (is it a label file?)")
    if array.shape[1:] not in ((FRAME, FRAME), (UNFRAMED, UNFRAMED)):
        raise UsageError(
            f"{name}: images are {array.shape[1]} x {array.shape[2]}, expected {FRAME} x {FRAME} "
            f"(or {UNFRAMED} x {UNFRAMED}, which are centred in that): scale or crop them"
        )
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if array.dtype.kind not in "ui" or low < 0 or high > 255:
        raise UsageError(
            f"{name}: holds {array.dtype.name} values from {low} to {high}, expected whole grey "
            "values from 0 to 255: convert them"
        )
    if high == 1:
        raise UsageError(f"{name}: holds 0 and 1 only, expected 0 to 255: multiply it by 255")
    images = array.astype(np.uint8, copy=False)
    if images.shape[1] == FRAME or not images.size:
        return images.reshape(-1, FRAME, FRAME)
    margin = (FRAME - UNFRAMED) // 2
    background = 255 * int(np.median(images[:, (0, -1)]) > 127)  # of black digits it is white
    around = ((0, 0), (margin, margin), (margin, margin))
    return np.pad(images, around, constant_values=background)


def _to_labels(name: str, array: AnyArray) -> UInt8s:
    """Return an array as classes (K,), if it can be taken without a guess."""
    if array.ndim == 2 and (array.shape[1] == 1 or array.shape[1] == QMNIST_COLUMNS):
        array = array[:, 0]
    if array.ndim != 1:
        raise _wrong_array(name, array, "labels (is it an image file?)")
    if array.dtype.kind not in "ui":
        raise _wrong_array(name, array, "labels that are whole numbers")
    wrong = np.flatnonzero((array < 0) | (array >= CLASSES))
    if wrong.size:
        raise UsageError(
            f"{name}: label {array[wrong[0]]} of item {wrong[0]} is not a digit, expected 0 to 9"
        )
    return array.astype(np.uint8)


def _wrong_array(name: str, array: AnyArray, expected: str) -> UsageError:
    shape = " x ".join(map(str, array.shape))
    return UsageError(
        f"{name}: holds a {array.ndim}-dimensional array of {array.dtype.name}, {shape}; "
        f"expected {expected}"
    )


def read_idx(path: Path) -> AnyArray:
    """Return the array of one IDX file, read-only: uint8 or big-endian int32.

    Raises:
        UsageError: The magic number is wrong, or the file has another size than its header says.
    """
    try:
        with untrusted_files.open_named(path) as file:
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
