"""Where the values of each dataset lie in an HDF5 file, and how they get out without HDF5.

HDF5 is asked once, at opening, where each dataset lies. Each must be exactly what the plan
implies, so a file cannot name others (external links, external storage, virtual datasets), load
filters, or claim more than it holds. From then on its bytes are taken from a map of the file that
was checked, and inflated here into a buffer of the right size: HDF5's own deflate grows its buffer
for as long as a chunk goes on. A single image takes 3 us so, and 1.2 ms with HDF5.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from builder.common.errors import DatasetError

LONGER = 1024
"""Bytes that a chunk may be longer by, deflated: what does not deflate is stored with a little."""


class Expected(NamedTuple):
    """What a dataset must be: shape, type, and the shape of its chunks if it has any."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    chunk: tuple[int, ...] | None

    def __str__(self) -> str:
        stored = f"in deflated chunks of {self.chunk}" if self.chunk else "in one piece"
        return f"{self.shape} of {self.kind} {stored}"

    def bytes_of(self, shape: tuple[int, ...]) -> int:
        """Return the bytes of an array of this type, of any size."""
        size = self.kind.itemsize
        for length in shape:
            size *= length
        return size


class MappedFile:
    """An open file mapped into memory. The map keeps it open until nobody has a part of it."""

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        found = os.fstat(file.fileno())
        self.identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        self.path, self.size = path, found.st_size
        if not self.size:
            raise DatasetError(f"{path}: cannot be opened (it is empty)")
        try:
            self._map = mmap.mmap(file.fileno(), self.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: cannot be mapped into memory ({error})") from None
        self.bytes = memoryview(self._map)

    def check(self) -> None:
        """Raise `DatasetError` if the file got shorter: touching what is gone ends a process."""
        if self._map.size() < self.size:
            raise DatasetError(
                f"{self.path}: was cut from {self.size} to {self._map.size()} bytes since it was "
                "opened"
            )


class Piece:
    """Where a contiguous dataset lies: its first byte, and the bytes of a row."""

    def __init__(self, offset: int, row: int) -> None:
        self._offset, self._row = offset, row

    def values(self, data: memoryview) -> Callable[[int, int], memoryview]:
        """Return what gives the bytes of rows [start, stop) out of those of the file."""
        offset, row = self._offset, self._row
        return lambda start, stop: data[offset + start * row : offset + stop * row]


class Chunks:
    """Where the deflated chunks of a dataset lie: `where` (C, 2) int64, first byte and bytes."""

    def __init__(self, what: str, form: Expected, where: npt.NDArray[np.int64]) -> None:
        assert form.chunk is not None
        self._what, self._where, self.rows = what, where, form.chunk[0]
        self.bytes, self.row = form.bytes_of(form.chunk), form.bytes_of(form.shape[1:])

    def values(self, data: memoryview) -> Callable[[int, int], memoryview]:
        """Return what gives the bytes of rows [start, stop), all of one chunk."""
        return Inflated(self, data).values

    def inflated(self, data: memoryview, number: int) -> bytes:
        """Return a chunk, inflated. Raises `DatasetError` for one of another length."""
        from isal import igzip_lib as isal

        offset, size = self._where[number].tolist()
        inflate = isal.IgzipDecompressor(flag=isal.DECOMP_ZLIB)
        try:
            chunk: bytes = inflate.decompress(data[offset : offset + size], self.bytes + 1)
        except Exception as error:  # ISA-L's own, which is no kind of zlib's
            said = f"is damaged in chunk {number}, expected zlib ({error})"
            raise DatasetError(f"{self._what} {said}") from None
        if len(chunk) != self.bytes or not inflate.eof:
            said = f"is cut or longer in chunk {number}, expected {self.bytes} bytes"
            raise DatasetError(f"{self._what} {said}")
        return chunk


class Inflated:
    """The chunks of a dataset in a file that is open; the one that was inflated last is kept."""

    def __init__(self, chunks: Chunks, data: memoryview) -> None:
        self._chunks, self._data = chunks, data
        self._kept: tuple[int, bytes] = (-1, b"")

    def values(self, start: int, stop: int) -> memoryview:
        """Return the bytes of rows [start, stop), all of one chunk."""
        chunks = self._chunks
        number, chunk = self._kept  # both at once: other threads put theirs there
        if number != start // chunks.rows:
            number = start // chunks.rows
            chunk = chunks.inflated(self._data, number)
            self._kept = number, chunk
        first = number * chunks.rows
        return memoryview(chunk)[(start - first) * chunks.row : (stop - first) * chunks.row]


Place = Piece | Chunks


def locate(file: io.BufferedReader, path: Path, expected: dict[str, Expected]) -> dict[str, Place]:
    """Return where the datasets of an open HDF5 file lie, each one found to be as expected.

    Raises `DatasetError` for the first that is not, before any value of it is read.
    """
    import h5py

    size = os.fstat(file.fileno()).st_size
    try:
        # a file of Python's, not a path: no other file can have taken its place meanwhile
        with h5py.File(file.raw, "r") as opened:
            if opened.userblock_size:
                raise DatasetError(f"{path}: has a user block, expected none")
            return {
                name: _located(opened.id, _Wanted(f"{path}: dataset '{name}'", name, wanted, size))
                for name, wanted in expected.items()
            }
    except DatasetError:
        raise
    except Exception as error:  # a damaged file makes HDF5 raise errors of any kind
        said = str(error).partition("\n")[0][:200]
        raise DatasetError(f"{path}: cannot be opened ({said})") from None


class _Wanted(NamedTuple):
    """A dataset to be found in a file of `size` bytes, and how errors call it."""

    what: str
    name: str
    form: Expected
    size: int

    def wrong(self, found: object, wanted: object) -> DatasetError:
        """Return the error that says what was found, and what was expected."""
        return DatasetError(f"{self.what} is {found}, expected {wanted}")


def _located(group: Any, wanted: _Wanted) -> Place:
    """Return where a dataset lies. What could open other files is looked at last."""
    from h5py import h5d, h5l, h5s, h5t, h5z

    key, form = wanted.name.encode(), wanted.form
    if not group.links.exists(key):
        raise wanted.wrong("not there", form)
    if group.links.get_info(key).type != h5l.TYPE_HARD:
        raise wanted.wrong("a link to elsewhere", form)
    dataset = h5d.open(group, key)
    made = dataset.get_create_plist()
    layout = {h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked"}.get(made.get_layout())
    if layout is None or (layout == "contiguous" and made.get_external_count()):
        raise wanted.wrong("virtual, compact, or stored in other files", form)
    kind, space = dataset.get_type(), dataset.get_space()
    shape = space.shape if space.get_simple_extent_type() == h5s.SIMPLE else None
    same_kind = kind.equal(h5t.py_create(form.kind)) and not kind.committed()
    if shape != form.shape or not same_kind:
        said = str(form.kind) if same_kind else "another type"
        raise wanted.wrong(f"{shape} of {said}", form)
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    chunk = made.get_chunk() if layout == "chunked" else None
    if chunk != form.chunk or filters != ([] if chunk is None else [h5z.FILTER_DEFLATE]):
        raise wanted.wrong(f"{layout}, in chunks of {chunk}, with filters {filters}", form)
    return _piece(dataset, wanted) if chunk is None else _chunks(dataset, wanted)


def _piece(dataset: Any, wanted: _Wanted) -> Piece:
    """Return where a contiguous dataset lies: all of it is in the file."""
    offset, size = dataset.get_offset(), wanted.form.bytes_of(wanted.form.shape)
    if offset is None or dataset.get_storage_size() != size or offset + size > wanted.size:
        raise wanted.wrong(
            f"{dataset.get_storage_size()} bytes at {offset} of {wanted.size}", f"{size} in it"
        )
    return Piece(offset, wanted.form.bytes_of(wanted.form.shape[1:]))


def _chunks(dataset: Any, wanted: _Wanted) -> Chunks:
    """Return where each chunk lies: all are there, and the file has room for them."""
    form = wanted.form
    assert form.chunk is not None
    rows, most = form.chunk[0], form.bytes_of(form.chunk) + LONGER
    count, begin = -(-form.shape[0] // rows), (0,) * (len(form.shape) - 1)
    found: dict[int, tuple[int, int]] = {}

    def note(chunk: Any) -> bool | None:
        number, place = chunk.chunk_offset[0] // rows, chunk.chunk_offset
        fits = place == (number * rows, *begin) and number not in found
        if not fits or chunk.filter_mask or chunk.size > most:
            return True
        found[number] = (chunk.byte_offset, chunk.size)
        return None if len(found) <= count else True

    stopped = dataset.chunk_iter(note)
    used = sum(size for _, size in found.values())
    ends = max((offset + size for offset, size in found.values()), default=0)
    if stopped or len(found) != count or max(used, ends) > wanted.size:
        raise wanted.wrong(
            f"{used} bytes in chunks of which {len(found)} fit into {wanted.size} bytes",
            f"{count} whole ones",
        )
    where = np.array([found[number] for number in range(count)], dtype=np.int64)
    return Chunks(wanted.what, form, where)
