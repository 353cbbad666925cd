"""Batches and samples: images with labels and annotations, rendered or read from a dataset."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol, TypedDict, cast

from builder.common.constants import Float32s, Int8s, Int32s, Ints, UInt8s, Words
from builder.recipe import labels


class Fields(TypedDict):
    """The arrays of a batch; `Batch` describes each of them."""

    images: UInt8s
    labels: Int8s
    lengths: UInt8s
    index: Ints
    seeds: Words
    glyphs: Int32s
    boxes: Float32s
    quads: Float32s
    visible: Float32s
    masks: UInt8s | None


FIELDS = tuple(Fields.__annotations__)
"""The names of a batch's fields."""


class Batch:
    """B samples of up to L digits each: one array per field, loaded when it is first used.

    A rendered batch has its arrays from the start; a stored one reads them. Several threads may
    use a batch. Pickling loads every field and takes the arrays along.

    Args:
        size: Number of samples B, from 0.
        load: Returns the array of a field name, by its name, and may return other fields with it.

    >>> from builder import Recipe, generate
    >>> batch = generate(Recipe(digits="350"), range(4))
    >>> len(batch), batch.images.shape, batch.texts[0], batch[-1].index
    (4, (4, 28, 200), '350', 3)
    """

    def __init__(self, size: int, load: Callable[[str], Mapping[str, object]]) -> None:
        self._size = size
        self._load = load
        self._arrays: dict[str, Any] = {}

    @classmethod
    def from_fields(cls, fields: Fields) -> Batch:
        """Return a batch of arrays, each with first dimension B; masks may be None."""
        return cls(len(fields["images"]), lambda name: fields)

    @property
    def images(self) -> UInt8s:
        """Grey values, (B, 28, W) uint8; 0 is background."""
        return self._field("images")

    @property
    def labels(self) -> Int8s:
        """Digits, (B, L) int8, padded with -1."""
        return self._field("labels")

    @property
    def lengths(self) -> UInt8s:
        """Number of digits in each label, (B,) uint8."""
        return self._field("lengths")

    @property
    def index(self) -> Ints:
        """Index of each sample, (B,) int64, in [0, 2**63)."""
        return self._field("index")

    @property
    def seeds(self) -> Words:
        """Sample seeds, (B,) uint64."""
        return self._field("seeds")

    @property
    def glyphs(self) -> Int32s:
        """Row of each source glyph in its MNIST file, (B, L) int32, padded with -1."""
        return self._field("glyphs")

    @property
    def boxes(self) -> Float32s:
        """Bounds x0, y0, x1, y1 of each digit in px, (B, L, 4) float32, half-open, padded with 0.

        They hold the pixels >= 1 of the digit drawn alone, before effects; zeros if none shows.
        """
        return self._field("boxes")

    @property
    def quads(self) -> Float32s:
        """Corners (x, y) of each warped glyph frame, clockwise, (B, L, 4, 2) float32, in px."""
        return self._field("quads")

    @property
    def visible(self) -> Float32s:
        """Share of each warped digit's grey values inside the image, (B, L) float32 in [0, 1]."""
        return self._field("visible")

    @property
    def masks(self) -> UInt8s | None:
        """Position, from 1, of the digit at each pixel, (B, 28, W) uint8; None without masks.

        It is the first digit with the largest value before effects; 0 is background.
        """
        return self._field("masks")

    @cached_property
    def texts(self) -> list[str]:
        """Labels as strings, such as '02139'."""
        return labels.format_labels(self.labels, self.lengths)

    def replace(self, **fields: object) -> Batch:
        """Return a copy of the batch in which some fields are other arrays."""
        arrays = {name: self._field(name) for name in FIELDS}
        return Batch.from_fields(cast("Fields", {**arrays, **fields}))

    def image_at(self, row: int) -> UInt8s:
        """Return one image, (28, W) uint8, a view of `images`."""
        return self.images[row]

    def locate(self, row: int) -> tuple[Batch, int]:
        """Return this batch and the row (see `SampleSource`)."""
        return self, row

    def _field(self, name: str) -> Any:
        if name not in self._arrays:
            for field, array in self._load(name).items():
                self._arrays.setdefault(field, array)  # the first of several threads wins
        return self._arrays[name]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, row: int) -> Sample:
        """Return the sample of one row; negative rows count from the end."""
        number = operator.index(row)
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number} is not in this batch of {len(self)} samples")
        return Sample(self, number % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"Batch({len(self)} samples)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch.from_fields, ({name: self._field(name) for name in FIELDS},)


class SampleSource(Protocol):
    """Samples by row number: one image alone, or a batch with all fields."""

    def image_at(self, row: int) -> UInt8s:
        """Return the image of a row, (28, W) uint8."""

    def locate(self, row: int) -> tuple[Batch, int]:
        """Return a batch that holds the row, and the row's number in that batch."""


class Sample:
    """One image with its label and annotations, without padding: a row of a batch or dataset.

    Fields of a stored sample are read when they are first used, its image by itself.

    >>> from builder import Recipe, generate
    >>> sample = generate(Recipe(digits="350"), [41])[0]
    >>> sample.text, sample.index, sample.boxes.shape
    ('350', 41, (3, 4))
    """

    __slots__ = ("_image", "_place")

    def __init__(self, source: SampleSource, row: int) -> None:
        self._place = source, row
        self._image: UInt8s | None = None

    @property
    def image(self) -> UInt8s:
        """Grey values, (28, W) uint8."""
        if self._image is None:
            source, row = self._place
            self._image = source.image_at(row)
        return self._image

    @property
    def text(self) -> str:
        """Label as a string, such as '02139'."""
        return self._row("texts")

    @property
    def index(self) -> int:
        """Index of the sample, in [0, 2**63)."""
        return int(self._row("index"))

    @property
    def seed(self) -> int:
        """Sample seed, in [0, 2**64)."""
        return int(self._row("seeds"))

    @property
    def glyphs(self) -> Int32s:
        """Row of each source glyph in its MNIST file, (n,) int32."""
        return self._digits("glyphs")

    @property
    def boxes(self) -> Float32s:
        """Box x0, y0, x1, y1 of each digit in px, (n, 4) float32."""
        return self._digits("boxes")

    @property
    def quads(self) -> Float32s:
        """Corners (x, y) of each warped glyph frame in px, (n, 4, 2) float32."""
        return self._digits("quads")

    @property
    def visible(self) -> Float32s:
        """Share of each digit's ink inside the image, (n,) float32 in [0, 1]."""
        return self._digits("visible")

    @property
    def mask(self) -> UInt8s | None:
        """Position, from 1, of the digit at each pixel, (28, W) uint8; None without masks."""
        return self._row("masks")

    def _row(self, name: str) -> Any:
        source, row = self._place
        batch, row = self._place = source.locate(row)
        values = getattr(batch, name)
        return None if values is None else values[row]

    def _digits(self, name: str) -> Any:
        return self._row(name)[: self._row("lengths")]

    def __reduce__(self) -> tuple[Any, ...]:
        rows = {name: self.image if name == "images" else self._row(name) for name in FIELDS}
        arrays = {name: None if row is None else row[None] for name, row in rows.items()}
        return Sample, (Batch.from_fields(cast("Fields", arrays)), 0)

    def __repr__(self) -> str:
        return f"Sample(index={self.index}, text={self.text!r}, seed={self.seed:#x})"
