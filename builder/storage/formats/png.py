"""PNG folders: one folder a shard, one file an image, and `metadata.parquet` beside them.

The encoder is a few lines over ISA-L's deflate, with no filter: 12 us an image against 66 us
of OpenCV's, and 16 % larger. ISA-L's next level takes 26 us for 4 % less than OpenCV's size, but
a file of either fills one block of 4 KiB on the disk. What OpenCV or any other reader decodes is
the same array (tested). Format: ISO/IEC 15948, "Portable Network Graphics", sections 5 and 11.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.common import atomic_files, untrusted_files
from builder.common.constants import PAD
from builder.common.errors import DatasetError
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard
from builder.storage.formats.fields import Field, all_fields
from builder.storage.manifest import FileRecord
from builder.storage.output_folder import OutputFolder

METADATA = "metadata.parquet"
"""The name that generic image-folder loaders look for."""

MORE_BYTES = 1 << 16
"""Bytes that a PNG file may have beside twice its pixels."""

LABELS = ("labels", "lengths", "index", "seeds", "glyphs", "boxes")
"""What a reader has from the labels file, by the names of a batch's fields."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEFLATE_LEVEL = 0
GREY_8 = (8, 0, 0, 0, 0)
"""Bit depth 8, greyscale, and the only compression, filter and interlace methods used."""


def image_file(shard: Shard) -> str:
    """Return the name of a shard's folder."""
    return shard.name


def labels_file(shard: Shard) -> str:
    """Return the name of a shard's labels."""
    return f"{shard.name}/{METADATA}"


def png_name(index: int, text: str) -> str:
    """Return the file name of a sample: index, label."""
    return f"{index:012d}_{text}.png"


def encoded(image: npt.NDArray[np.uint8]) -> bytes:
    """Return a grey image (H, W) uint8 as a PNG file."""
    return next(encoded_all(image[None]))


def encoded_all(images: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield each of some grey images (B, H, W) uint8 as a PNG file."""
    from isal import isal_zlib

    samples, height, width = images.shape
    rows = np.zeros((samples, height, width + 1), dtype=np.uint8)  # a 0, no filter, before each row
    rows[:, :, 1:] = images
    head = _head(height, width)
    end = _chunk(b"IEND", b"")
    for row in rows.reshape(samples, -1):
        yield head + _chunk(b"IDAT", isal_zlib.compress(row, DEFLATE_LEVEL)) + end


def _head(height: int, width: int) -> bytes:
    """Return what a grey PNG of a size begins with."""
    return SIGNATURE + _chunk(b"IHDR", struct.pack(">II5B", width, height, *GREY_8))


def _chunk(kind: bytes, data: bytes) -> bytes:
    from isal import isal_zlib

    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", isal_zlib.crc32(body))


@contextmanager
def writer(folder: OutputFolder, plan: DatasetConfig, shard: Shard) -> Iterator[PngWriter]:
    """Yield the writer of a shard; publish its folder at the end, or leave nothing."""
    with folder.publish(image_file(shard)) as temporary:
        temporary.mkdir()
        opened = PngWriter(temporary, shard)
        try:
            yield opened
            opened.close()
        finally:
            opened.abandon()


class PngWriter:
    """An open PNG folder with its labels."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        from builder.storage.formats.parquet import LabelsWriter

        self._folder, self._shard, self._row = folder, shard, 0
        self._labels = LabelsWriter(folder / METADATA)
        self._handle = os.open(folder, os.O_RDONLY)
        self._lines: list[str] = []
        self._bytes = 0

    def write(self, batch: Batch) -> None:
        """Add the next samples."""
        names = [png_name(int(i), text) for i, text in zip(batch.index, batch.texts, strict=True)]
        for name, data in zip(names, encoded_all(batch.images), strict=True):
            self._create(name, data)
            self._note(name, data)
        self._labels.write(batch, names)
        self._row += len(batch)

    def _create(self, name: str, data: bytes) -> None:
        """Write a file. Named from the open folder, it takes 9 us, and 21 us by its path."""
        try:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self._handle)
            try:
                atomic_files.write_at(handle, data, 0)
            finally:
                os.close(handle)
        except OSError as error:
            error.filename = f"{self._shard.name}/{name}"
            raise

    def _note(self, name: str, data: bytes) -> None:
        self._lines.append(f"{name} {len(data)} {hashlib.sha256(data).hexdigest()}\n")
        self._bytes += len(data)

    def close(self) -> None:
        """End the labels, or raise if not all samples came."""
        if self._row != self._shard.count:
            raise DatasetError(f"{self._shard.name}: {self._row} of {self._shard.count} samples")
        self._labels.close()
        data = (self._folder / METADATA).read_bytes()
        self._note(METADATA, data)
        self._labels_file = FileRecord(
            name=labels_file(self._shard), bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )

    def abandon(self) -> None:
        """Close what is open; what goes wrong with that must not hide an error before it."""
        os.close(self._handle)
        with suppress(Exception):
            self._labels.close()

    def files(self) -> tuple[FileRecord, FileRecord]:
        """Return the images' folder and the labels' file, after publishing.

        The sha256 of the folder is that of its sorted lines `name size sha256`.
        """
        lines = "".join(sorted(self._lines)).encode()
        digest = hashlib.sha256(lines).hexdigest()
        folder = FileRecord(name=image_file(self._shard), bytes=self._bytes, sha256=digest)
        return folder, self._labels_file


def fields(plan: DatasetConfig) -> dict[str, Field]:
    """Return what is stored of samples: images, and what the labels file has."""
    stored = all_fields(plan)
    return {name: stored[name] for name in ("images", *LABELS)}


def block(plan: DatasetConfig) -> int:
    """Return how many neighbours are had for the price of one: each image is a file."""
    return 1


def open_shard(folder: Path, plan: DatasetConfig, shard: Shard, layout: None = None) -> PngReader:
    """Return a reader of a shard. Raises `DatasetError` where its labels cannot be read."""
    return PngReader(folder, plan, shard)


class PngReader:
    """A PNG folder open for reading: labels in memory, images through OpenCV when asked for."""

    layout = None

    def __init__(self, folder: Path, plan: DatasetConfig, shard: Shard) -> None:
        from builder.storage.formats.parquet import stored_labels

        stored, path = fields(plan), folder / labels_file(shard)
        self._folder, self._name = folder, shard.name
        self._shape = stored["images"].tail
        self._head = _head(*self._shape)
        (longest,) = stored["labels"].tail
        table = stored_labels(folder, labels_file(shard), shard.count, longest)
        self._texts = table["label"].to_pylist()
        lengths, index = table["length"].to_numpy(), table["index"].to_numpy()
        _check_labels(path, shard, longest, (self._texts, lengths, index))
        shown = np.arange(longest) < lengths[:, None]
        labels = np.full(shown.shape, PAD, dtype=np.int8)
        labels[shown] = [int(digit) for text in self._texts for digit in text]
        lists = {name: table[name].combine_chunks() for name in ("glyphs", "boxes")}
        for values in lists.values():
            if not np.array_equal(np.diff(values.offsets.to_numpy()), lengths):
                raise DatasetError(f"{path}: lists and lengths differ")
        glyphs = np.full(shown.shape, PAD, dtype=np.int32)
        glyphs[shown] = lists["glyphs"].flatten().to_numpy()
        boxes = np.zeros((*shown.shape, 4), dtype=np.float32)
        boxes[shown] = lists["boxes"].flatten().flatten().to_numpy().reshape(-1, 4)
        values = (labels, lengths, index, table["seed"].to_numpy(), glyphs, boxes)
        self._values = dict(zip(LABELS, map(np.ascontiguousarray, values), strict=True))

    def check(self) -> None:
        """Nothing can be amiss: what is read later is opened later."""

    def values(self, field: str) -> Callable[[int, int], Any]:
        """Return what gives the bytes of rows [start, stop) of a field."""
        if field == "images":
            return lambda start, stop: b"".join(
                self._image(row).tobytes() for row in range(start, stop)
            )
        values = self._values[field].reshape(len(self._texts), -1).view(np.uint8)
        return lambda start, stop: values[start:stop].reshape(-1)

    def _image(self, row: int) -> npt.NDArray[np.uint8]:
        import cv2

        index = int(self._values["index"][row])
        name = f"{self._name}/{png_name(index, self._texts[row])}"
        height, width = self._shape
        data = untrusted_files.read_untrusted(self._folder, name, MORE_BYTES + 2 * height * width)
        image = None
        if data.startswith(self._head):  # of another size, nothing is decoded
            with suppress(cv2.error):
                image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
        if image is None or image.shape != self._shape:
            raise DatasetError(f"{self._folder / name}: is not a grey PNG of {width} x {height} px")
        return np.asarray(image, dtype=np.uint8)


def _check_labels(path: Path, shard: Shard, longest: int, columns: tuple[Any, Any, Any]) -> None:
    """Raise `DatasetError` unless texts, lengths and indices name the shard's files, no others."""
    texts, lengths, index = columns
    if not np.array_equal(index, np.arange(shard.start, shard.start + shard.count)):
        raise DatasetError(f"{path}: has other indices than those from {shard.start} on")
    for text, length in zip(texts, lengths.tolist(), strict=True):
        if not (text.isascii() and text.isdecimal() and len(text) == length <= longest):
            raise DatasetError(
                f"{path}: label '{text[:60]}' of length {length}, expected 1 to {longest} digits"
            )
