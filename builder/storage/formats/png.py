"""Format png: one folder a shard, one PNG file an image, and `metadata.parquet` beside them."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from builder.common import atomic_files, untrusted_files
from builder.common.constants import CLASSES, UInt8s
from builder.common.errors import DatasetError
from builder.common.validation import format_value
from builder.generator.batch import Batch
from builder.storage.config import DatasetConfig, Shard, StoredFields
from builder.storage.formats.base import FileWriter, Format, sha256_of_lines
from builder.storage.formats.hdf5 import Hdf5Writer
from builder.storage.formats.hdf5_reader import FieldsLayout, Hdf5Reader, Rows
from builder.storage.formats.png_file import decode, encode_all, file_name
from builder.storage.manifest_check import Fault
from builder.storage.output_folder import OutputFolder

METADATA = "metadata.parquet"
"""The name that generic image-folder loaders look for."""

EXCESS = 1 << 16
"""Bytes that a PNG file may have beside twice its pixels."""

IMAGE_NAME = re.compile(r"(0\d{11}|[1-9]\d{11,18})_(\d+)\.png", re.ASCII)
"""Index of twelve digits or more, and label: see `png_file.file_name`."""

CHARACTERS = bytes(range(ord("0"), ord("0") + CLASSES)).ljust(256, b"?")
"""The character of each stored digit, by its byte; a question mark for what is no digit."""


class PngFolderWriter:
    """A folder of PNG files, with their labels as Parquet. `handle` is its descriptor."""

    def __init__(self, handle: int, shard: Shard) -> None:
        from builder.storage.formats.parquet import LabelsWriter

        self._shard, self._handle = shard, handle
        self._metadata = atomic_files.create_file(METADATA, handle)
        self._labels = LabelsWriter(self._metadata, _file_names)
        self._lines: list[str] = []
        self._size = 0

    def write(self, batch: Batch) -> None:
        """Add the images and labels of the next samples."""
        for name, data in zip(_file_names(batch), encode_all(batch.images), strict=True):
            self._create(name, data)
            self._add(name, len(data), hashlib.sha256(data).hexdigest())
        self._labels.write(batch)

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

    def _add(self, name: str, size: int, sha256: str) -> None:
        self._lines.append(f"{name} {size} {sha256}\n")
        self._size += size

    def close(self) -> tuple[int, str]:
        """Complete the labels; return the bytes of all files, and the sha256 of the folder.

        That sha256 is of the sorted lines `name size sha256` of the files.
        """
        self._add(METADATA, *self._labels.close())
        return self._size, sha256_of_lines(self._lines)

    def abandon(self) -> None:
        """Close what is open."""
        self._labels.abandon()
        self._metadata.close()


def _file_names(batch: Batch) -> list[str]:
    """Return the file name of each sample of a batch."""
    return [file_name(i, text) for i, text in zip(batch.index.tolist(), batch.texts, strict=True)]


class PngReader(Hdf5Reader):
    """A PNG shard, open for reading: the fields file, and images through OpenCV one by one.

    An image is found by the index that its row has, and the label in the fields file.
    """

    def __init__(
        self, folder: Path, fields: StoredFields, shard: Shard, layout: FieldsLayout | None
    ) -> None:
        super().__init__(folder, _without_images(fields), shard, layout)
        self._folder, self._shard = folder, shard
        self._height, self._width = fields["images"].tail

    def values(self, field: str) -> Rows:
        """Return the function that reads rows of a field."""
        return self._images if field == "images" else super().values(field)

    def _images(self, start: int, stop: int) -> bytes:
        return b"".join(self._image(row).tobytes() for row in range(start, stop))

    def _image(self, row: int) -> UInt8s:
        name = f"{self._shard.name}/{file_name(self._shard.start + row, self._label(row))}"
        height, width = self._height, self._width
        data = untrusted_files.read_untrusted(self._folder, name, EXCESS + 2 * height * width)
        image = decode(data, (height, width))
        if image is None:
            raise DatasetError(f"{self._folder / name}: is not a grey PNG of {width} x {height} px")
        return image

    def _label(self, row: int) -> str:
        """Return the label in a row. Raises `DatasetError` for what is no label."""
        (length,) = self.values("lengths")(row, row + 1)
        stored = bytes(self.values("labels")(row, row + 1))
        label = stored[:length].translate(CHARACTERS).decode("ascii")
        if not label.isdecimal() or len(label) != length:
            raise DatasetError(
                f"{self._folder / self._shard.fields_name}: holds label {format_value(label)} of "
                f"length {length} for sample {self._shard.start + row}, expected "
                f"1 to {len(stored)} digits"
            )
        return label


class PngFormat(Format):
    """Shards of a folder with PNG files and their labels, beside the fields file."""

    reader = PngReader

    def create(
        self, stack: ExitStack, folder: OutputFolder, name: str, config: DatasetConfig, shard: Shard
    ) -> FileWriter:
        """Create a file or folder of a shard, and return its writer."""
        if name == shard.fields_name:
            file = stack.enter_context(folder.publish_file(name))
            return Hdf5Writer(file, config, shard, _without_images(config.fields))
        return PngFolderWriter(stack.enter_context(folder.publish_folder(name)), shard)

    def labels_name(self, shard: Shard) -> str:
        """Return where the Parquet file of a shard is: beside its images."""
        return f"{shard.name}/{METADATA}"

    def image_names(self, shard: Shard, batch: Batch) -> list[str]:
        """Return the names of the PNG files of a batch."""
        return _file_names(batch)

    def check_folder(self, folder: Path, shard: Shard) -> Iterator[Fault]:
        """Yield a fault for what is missing from a shard's folder, or does not belong there.

        No file is opened: names are held against the indices of the shard.
        """
        seen, has_metadata = Counter[int](), False
        for entry in OutputFolder(folder).entries(shard.name):
            match = IMAGE_NAME.fullmatch(entry.name)
            name = f"{shard.name}/{entry.name}"
            if not entry.is_file(follow_symlinks=False):
                expected = "is no plain file, expected PNG files and labels only"
                yield Fault(shard.name, f"{name}: {expected}", obstacle=name)
            elif entry.name == METADATA:
                has_metadata = True
            elif match is not None and int(match[1]) in shard.indices:
                seen[int(match[1])] += 1
            else:
                yield Fault(shard.name, f"{name}: does not belong to this shard", obstacle=name)
        if not has_metadata:
            yield Fault(shard.name, f"{METADATA} is not there")
        if missing := [index for index in shard.indices if index not in seen]:
            text = f"{len(missing)} of {shard.count} images are not there, as of index {missing[0]}"
            yield Fault(shard.name, text)
        if several := [index for index in shard.indices if seen[index] > 1]:
            text = f"{len(several)} images are there more than once, as of index {several[0]}"
            yield Fault(shard.name, text)


def _without_images(fields: StoredFields) -> StoredFields:
    return {name: field for name, field in fields.items() if name != "images"}
