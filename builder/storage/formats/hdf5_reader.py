"""Where the values of each field lie in an HDF5 file, and how they are read without HDF5.

HDF5 is asked once, at opening, where each dataset lies. Each must be exactly what the
configuration implies. So a file cannot name other files (external links, external storage, virtual
datasets), load filters, or claim more than it holds. From then on values are taken from a memory
map of the file, and chunks are inflated here into a buffer of the right size: HDF5's own deflate
grows its buffer for as long as a chunk goes on. A single image takes 3 us, and 1.2 ms with HDF5.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from builder.common import untrusted_files
from builder.common.constants import Ints
from builder.common.errors import DatasetError
from builder.storage.config import Shard, StoredField, StoredFields

if TYPE_CHECKING:
    from h5py.h5d import DatasetID, StoreInfo
    from h5py.h5f import FileID

DATASET_NAMES = {"seeds": "seed"}
"""Names of HDF5 datasets that are not the names of the batch's fields."""

EXCESS = 1024
"""Bytes that a deflated chunk may exceed its values by: data that does not deflate is stored."""


Rows = Callable[[int, int], "bytes | memoryview"]
"""Returns the bytes of rows [start, stop) of a field, all of one block."""


class Contiguous(NamedTuple):
    """Where a field in one piece lies: its first byte, and the bytes of a row."""

    offset: int
    row: int

    def values(self, data: memoryview) -> Rows:
        """Return the function that takes rows out of the bytes of the file."""
        offset, row = self
        return lambda start, stop: data[offset + start * row : offset + stop * row]


class Chunks(NamedTuple):
    """Where the deflated chunks of a field lie: `where` (C, 2) int64, first byte and bytes."""

    title: str
    where: Ints
    rows: int
    row: int

    def values(self, data: memoryview) -> Rows:
        """Return the function that takes rows, all of one chunk, out of the bytes of the file."""
        inflate = lru_cache(maxsize=1)(partial(self.inflate, data))

        def take(start: int, stop: int) -> memoryview:
            number, first = divmod(start, self.rows)
            end = first + stop - start
            return memoryview(inflate(number))[first * self.row : end * self.row]

        return take

    def inflate(self, data: memoryview, number: int) -> bytes:
        """Return the values of a chunk. Raises `DatasetError` unless they are as many as due."""
        from isal import igzip_lib as isal

        offset, size = self.where[number].tolist()
        expected = self.rows * self.row
        inflate = isal.IgzipDecompressor(flag=isal.DECOMP_ZLIB)
        try:
            chunk: bytes = inflate.decompress(data[offset : offset + size], expected + 1)
        except Exception as error:  # ISA-L's own type, no subclass of zlib's
            raise DatasetError(
                f"{self.title} is damaged in chunk {number}, expected zlib ({error})"
            ) from None
        if len(chunk) != expected or not inflate.eof:
            raise DatasetError(
                f"{self.title} is cut or longer in chunk {number}, expected {expected} bytes"
            )
        return chunk


class FieldsLayout(NamedTuple):
    """Which file it is (device, inode, size, time), and where each field lies in it."""

    identity: tuple[int, ...]
    places: dict[str, Contiguous | Chunks]


class Hdf5Reader:
    """The fields file of a shard, open for reading: a memory map whose layout is verified.

    Args:
        folder: The dataset's folder.
        fields: The fields that the file must have.
        shard: The shard.
        layout: That of an earlier reader. HDF5 is asked again only if the file has changed.

    Raises:
        DatasetError: The file is not there, or not what the fields imply.
    """

    def __init__(
        self, folder: Path, fields: StoredFields, shard: Shard, layout: FieldsLayout | None
    ) -> None:
        self._path = path = folder / shard.fields_name
        with untrusted_files.open_untrusted(folder, shard.fields_name) as file:
            status = os.fstat(file.fileno())
            try:
                self._map = untrusted_files.with_free_handles(
                    lambda: mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ)
                )
            except (OSError, ValueError) as error:  # `ValueError` for an empty file
                raise DatasetError(f"{path}: cannot be mapped into memory ({error})") from None
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if layout is None or layout.identity != identity:
                layout = FieldsLayout(identity, locate(file, path, fields, shard.count))
        self.layout = layout
        self._data = memoryview(self._map)
        self._rows: dict[str, Rows] = {}

    def check(self) -> None:
        """Raise `DatasetError` if the file got shorter: access beyond its end ends a process."""
        if (size := self._map.size()) < len(self._map):
            sizes = f"{len(self._map)} to {size} bytes"
            raise DatasetError(f"{self._path}: was cut from {sizes} since it was opened")

    def values(self, field: str) -> Rows:
        """Return the function that reads rows of a field."""
        if field not in self._rows:
            self._rows[field] = self.layout.places[field].values(self._data)
        return self._rows[field]


def locate(
    file: io.BufferedReader, path: Path, fields: StoredFields, count: int
) -> dict[str, Contiguous | Chunks]:
    """Return where each field of `count` samples lies in an open HDF5 file.

    Raises `DatasetError` for the first dataset that is not as expected, before any value is read.
    """
    import h5py

    size = os.fstat(file.fileno()).st_size
    try:
        # a file of Python's, not a path: no other file can have taken its place meanwhile
        with h5py.File(file.raw, "r") as opened:
            if opened.userblock_size:
                raise DatasetError(f"{path}: has a user block, expected none")
            return {
                name: _Expected(path, name, field, count).locate(opened.id, size)
                for name, field in fields.items()
            }
    except DatasetError:
        raise
    except Exception as error:  # a damaged file makes HDF5 raise errors of any type
        reason = str(error).partition("\n")[0][:200]
        raise DatasetError(f"{path}: cannot be opened ({reason})") from None


class _Expected:
    """A dataset as it has to be: its shape, type, and the shape of its chunks if it has any."""

    def __init__(self, path: Path, name: str, field: StoredField, count: int) -> None:
        self._name = DATASET_NAMES.get(name, name)
        self._title = f"{path}: dataset '{self._name}'"
        self._dtype, self._row = field.dtype, field.bytes
        self._shape, self._chunk = (count, *field.tail), field.chunk(count)

    def __str__(self) -> str:
        stored = f"in deflated chunks of {self._chunk}" if self._chunk else "in one piece"
        return f"{self._shape} of {self._dtype} {stored}"

    def _error(self, value: str, expected: str = "") -> DatasetError:
        return DatasetError(f"{self._title} is {value}, expected {expected or self}")

    def locate(self, file: FileID, size: int) -> Contiguous | Chunks:
        """Return where the dataset lies in a file of `size` bytes.

        What could make HDF5 open other files is never asked for its values.
        """
        from h5py import h5d, h5l, h5s, h5t, h5z

        key = self._name.encode()
        if not file.links.exists(key):
            raise self._error("not there")
        if file.links.get_info(key).type != h5l.TYPE_HARD:
            raise self._error("a link to elsewhere")
        dataset = h5d.open(file, key)
        properties = dataset.get_create_plist()
        layout = {h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked"}.get(properties.get_layout())
        if layout is None or (layout == "contiguous" and properties.get_external_count()):
            raise self._error("virtual, compact, or stored in other files")
        kind, space = dataset.get_type(), dataset.get_space()
        shape = space.shape if space.get_simple_extent_type() == h5s.SIMPLE else None
        same_kind = kind.equal(h5t.py_create(self._dtype)) and not kind.committed()
        if shape != self._shape or not same_kind:
            raise self._error(f"{shape} of {self._dtype if same_kind else 'another type'}")
        filters = [properties.get_filter(n)[0] for n in range(properties.get_nfilters())]
        chunk = properties.get_chunk() if layout == "chunked" else None
        if chunk != self._chunk or filters != ([] if chunk is None else [h5z.FILTER_DEFLATE]):
            raise self._error(f"{layout}, in chunks of {chunk}, with filters {filters}")
        if chunk is None:
            return self._contiguous(dataset, size)
        return self._chunks(dataset, size, chunk[0])

    def _contiguous(self, dataset: DatasetID, size: int) -> Contiguous:
        """Return where a contiguous dataset lies: all of it is in the file."""
        offset, stored = dataset.get_offset(), dataset.get_storage_size()
        expected = self._shape[0] * self._row
        if offset is None or stored != expected or offset + expected > size:
            raise self._error(f"{stored} bytes at {offset} of {size}", f"{expected} in it")
        return Contiguous(offset, self._row)

    def _chunks(self, dataset: DatasetID, size: int, rows: int) -> Chunks:
        """Return where each chunk lies: all are there, and the file has room for them."""
        begin = (0,) * (len(self._shape) - 1)
        count, most = -(-self._shape[0] // rows), rows * self._row + EXCESS
        places: dict[int, tuple[int, int]] = {}

        def add(chunk: StoreInfo) -> bool | None:
            """Add a chunk; True, which ends the iteration, for one that cannot be."""
            number = chunk.chunk_offset[0] // rows
            fits = chunk.chunk_offset == (number * rows, *begin) and number not in places
            if not fits or chunk.filter_mask or chunk.size > most:
                return True
            places[number] = (chunk.byte_offset, chunk.size)
            return None if len(places) <= count else True

        stopped = dataset.chunk_iter(add)
        used = sum(length for _, length in places.values())
        end = max((offset + length for offset, length in places.values()), default=0)
        if stopped or len(places) != count or max(used, end) > size:
            fitting = f"{used} bytes in chunks of which {len(places)} fit into {size} bytes"
            raise self._error(fitting, f"{count} whole ones")
        where = np.array([places[number] for number in range(count)], dtype=np.int64)
        return Chunks(self._title, where, rows, self._row)
