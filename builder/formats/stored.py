"""How the values of one dataset get out of an HDF5 file: by plain reads, whatever it says.

HDF5 is asked once, at opening, where each dataset lies. Each must be exactly what the plan
implies, so a file cannot name others (external links, external storage, virtual datasets), load
filters, or claim more than it holds. From then on its bytes are read from the file that was
checked, and inflated here into a buffer of the right size: HDF5's own deflate grows its buffer
for as long as a chunk goes on, and a single image takes 9 reads of 2 us rather than 1.2 ms.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from builder.errors import DatasetError
from builder.streams import Ints

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


class Stored(Protocol):
    """A dataset that can be read."""

    def read(self, rows: Ints) -> npt.NDArray[Any]:
        """Return increasing rows (B,), an array (B, ...) of the dataset's type."""


def locate(file: io.BufferedReader, path: Path, expected: dict[str, Expected]) -> dict[str, Stored]:
    """Return where the datasets of an open HDF5 file are, each one found to be as expected.

    Raises `DatasetError` for the first that is not, before any value of it is read.
    """
    import h5py

    try:
        # a file of Python's, not a path: no other file can have taken its place meanwhile
        with h5py.File(file.raw, "r") as opened:
            if opened.userblock_size:
                raise DatasetError(f"{path}: has a user block, expected none")
            return {
                name: _located(opened.id, name, wanted, _Source(file, path, name))
                for name, wanted in expected.items()
            }
    except DatasetError:
        raise
    except Exception as error:  # a damaged file makes HDF5 raise errors of any kind
        said = str(error).partition("\n")[0][:200]
        raise DatasetError(f"{path}: cannot be opened ({said})") from None


class _Source:
    """One dataset's file: reads at offsets, and errors that name the dataset."""

    def __init__(self, file: io.BufferedReader, path: Path, name: str) -> None:
        self._handle = file.fileno()
        self._what = f"{path}: dataset '{name}'"
        self.size = os.fstat(self._handle).st_size

    def wrong(self, found: object, wanted: object) -> DatasetError:
        """Return the error that says what was found, and what was expected."""
        return DatasetError(f"{self._what} is {found}, expected {wanted}")

    def read(self, data: Any, offset: int) -> None:
        """Fill a buffer from an offset on."""
        view = memoryview(data).cast("B")
        while view:
            done = os.preadv(self._handle, [view], offset)
            if not done:
                raise DatasetError(f"{self._what} was cut at {offset} bytes since it was opened")
            view, offset = view[done:], offset + done


def _located(group: Any, name: str, wanted: Expected, source: _Source) -> Stored:
    """Return where a dataset lies. What could open other files is looked at last."""
    from h5py import h5d, h5l, h5s, h5t, h5z

    key = name.encode()
    if not group.links.exists(key):
        raise source.wrong("not there", wanted)
    if group.links.get_info(key).type != h5l.TYPE_HARD:
        raise source.wrong("a link to elsewhere", wanted)
    dataset = h5d.open(group, key)
    made = dataset.get_create_plist()
    layout = {h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked"}.get(made.get_layout())
    if layout is None or (layout == "contiguous" and made.get_external_count()):
        raise source.wrong("virtual, compact, or stored in other files", wanted)
    kind, space = dataset.get_type(), dataset.get_space()
    shape = space.shape if space.get_simple_extent_type() == h5s.SIMPLE else None
    same_kind = kind.equal(h5t.py_create(wanted.kind)) and not kind.committed()
    if shape != wanted.shape or not same_kind:
        said = str(wanted.kind) if same_kind else "another type"
        raise source.wrong(f"{shape} of {said}", wanted)
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    chunk = made.get_chunk() if layout == "chunked" else None
    if chunk != wanted.chunk or filters != ([] if chunk is None else [h5z.FILTER_DEFLATE]):
        raise source.wrong(f"{layout}, in chunks of {chunk}, with filters {filters}", wanted)
    return Piece(dataset, wanted, source) if chunk is None else Chunks(dataset, wanted, source)


class Piece:
    """A contiguous dataset."""

    def __init__(self, dataset: Any, wanted: Expected, source: _Source) -> None:
        offset, size = dataset.get_offset(), wanted.bytes_of(wanted.shape)
        if offset is None or dataset.get_storage_size() != size or offset + size > source.size:
            raise source.wrong(
                f"{dataset.get_storage_size()} bytes at {offset} of {source.size}", f"{size} in it"
            )
        self._offset, self._source = offset, source
        self._tail, self._kind = wanted.shape[1:], wanted.kind
        self._row = wanted.bytes_of(self._tail)

    def read(self, rows: Ints) -> npt.NDArray[Any]:
        """Return increasing rows: one read for each run of neighbours."""
        values = np.empty((len(rows), *self._tail), dtype=self._kind)
        ends = [*(np.flatnonzero(rows[1:] - rows[:-1] != 1) + 1).tolist(), len(rows)]
        begin = 0
        for end in ends if len(rows) else ():
            self._source.read(values[begin:end], self._offset + int(rows[begin]) * self._row)
            begin = end
        return values


class Chunks:
    """A dataset in deflated chunks; the one that was read last is kept."""

    def __init__(self, dataset: Any, wanted: Expected, source: _Source) -> None:
        self._shape = wanted.chunk or ()
        self._tail, self._kind, self._source = wanted.shape[1:], wanted.kind, source
        self._rows, self._bytes = self._shape[0], wanted.bytes_of(self._shape)
        self._where = self._found(dataset, -(-wanted.shape[0] // self._rows))
        self._kept: tuple[int, npt.NDArray[Any]] = (-1, np.empty(0, dtype=self._kind))

    def _found(self, dataset: Any, count: int) -> dict[int, tuple[int, int]]:
        """Return offset and bytes of each chunk: all are there, and the file has room for them."""
        found: dict[int, tuple[int, int]] = {}
        begin = (0,) * len(self._tail)

        def note(chunk: Any) -> bool | None:
            number, place = chunk.chunk_offset[0] // self._rows, chunk.chunk_offset
            fits = place == (number * self._rows, *begin) and number not in found
            if not fits or chunk.filter_mask or chunk.size > self._bytes + LONGER:
                return True
            found[number] = (chunk.byte_offset, chunk.size)
            return None if len(found) <= count else True

        stopped = dataset.chunk_iter(note)
        used = sum(size for _, size in found.values())
        ends = max((offset + size for offset, size in found.values()), default=0)
        if stopped or len(found) != count or max(used, ends) > self._source.size:
            raise self._source.wrong(
                f"{used} bytes in chunks of which {len(found)} fit into {self._source.size} bytes",
                f"{count} whole ones",
            )
        return found

    def read(self, rows: Ints) -> npt.NDArray[Any]:
        """Return increasing rows; each chunk that has some is inflated once."""
        values = np.empty((len(rows), *self._tail), dtype=self._kind)
        numbers = rows // self._rows
        ends = [*(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(rows)]
        begin = 0
        for end in ends if len(rows) else ():
            number = int(numbers[begin])
            values[begin:end] = self._chunk(number)[rows[begin:end] - number * self._rows]
            begin = end
        return values

    def _chunk(self, number: int) -> npt.NDArray[Any]:
        if self._kept[0] != number:
            from isal import isal_zlib

            offset, size = self._where[number]
            packed = bytearray(size)
            self._source.read(packed, offset)
            inflate = isal_zlib.decompressobj()
            try:
                data = inflate.decompress(packed, self._bytes + 1)
            except Exception as error:  # ISA-L's own, which is no kind of zlib's
                raise self._source.wrong(f"damaged in chunk {number}", f"zlib ({error})") from None
            if len(data) != self._bytes or not inflate.eof:
                raise self._source.wrong(f"cut or longer in chunk {number}", f"{self._bytes} bytes")
            self._kept = number, np.frombuffer(data, dtype=self._kind).reshape(self._shape)
        return self._kept[1]
