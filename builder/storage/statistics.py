"""Statistics of a set of samples: digest, sums of grey values, counts of digits and lengths."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from pydantic import Field

from builder.common.constants import CLASSES, FRAME, PAD, UInt8s
from builder.common.errors import DatasetError
from builder.common.jit import jit
from builder.common.validation import Count, FrozenModel
from builder.generator.batch import Batch
from builder.storage.content_digest import add_digests, digest_of, format_digest


class Statistics(FrozenModel):
    """Sums over a set of samples. The statistics of disjoint sets add up with `+`.

    Attributes:
        content_digest: `c1:` and 32 hex digits.
        pixel_sum: Sum of all grey values.
        pixel_square_sum: Sum of their squares.
        class_counts: How often each digit, 0 to 9, is in a label.
        length_counts: Samples by the length of their label.
    """

    content_digest: str = format_digest(0)
    pixel_sum: Count = 0
    pixel_square_sum: Count = 0
    class_counts: tuple[Count, ...] = Field(
        default=(0,) * CLASSES, min_length=CLASSES, max_length=CLASSES
    )
    length_counts: dict[int, Count] = Field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch) -> Statistics:
        """Return the statistics of a batch."""
        pixel_sum, square_sum = moments(batch.images.reshape(-1))
        classes = np.bincount(batch.labels.reshape(-1) - PAD, minlength=CLASSES + 1)[1:]
        lengths = enumerate(np.bincount(batch.lengths).tolist())
        return cls(
            content_digest=format_digest(digest_of(batch)),
            pixel_sum=pixel_sum,
            pixel_square_sum=square_sum,
            class_counts=tuple(classes.tolist()),
            length_counts={length: count for length, count in lengths if count},
        )

    def __add__(self, other: Statistics) -> Statistics:
        lengths = sorted(self.length_counts.keys() | other.length_counts.keys())
        counts = zip(self.class_counts, other.class_counts, strict=True)
        return Statistics(
            content_digest=add_digests(self.content_digest, other.content_digest),
            pixel_sum=self.pixel_sum + other.pixel_sum,
            pixel_square_sum=self.pixel_square_sum + other.pixel_square_sum,
            class_counts=tuple(mine + others for mine, others in counts),
            length_counts={
                n: self.length_counts.get(n, 0) + other.length_counts.get(n, 0) for n in lengths
            },
        )

    @property
    def count(self) -> int:
        """Number of samples."""
        return sum(self.length_counts.values())

    def mean_and_deviation(self, width: int) -> tuple[float, float]:
        """Return mean and standard deviation of the grey values of images `width` px wide.

        Raises `DatasetError` for sums that no images have, as a damaged record can hold.
        """
        pixels = self.count * FRAME * width
        if pixels * self.pixel_square_sum < self.pixel_sum**2 or not pixels:
            raise DatasetError(
                f"the grey values of {pixels} pixels cannot have the sum {self.pixel_sum} and the "
                f"sum of squares {self.pixel_square_sum}"
            )
        mean = Fraction(self.pixel_sum, pixels)
        variance = Fraction(self.pixel_square_sum, pixels) - mean**2
        return float(mean), math.sqrt(variance)


RUN = 1 << 14
"""Pixels summed in 32 bits at a time: 255**2 * 2**14 is below 2**31, and narrow sums are fast."""


@jit
def moments(values: UInt8s) -> tuple[int, int]:
    """Return (sum, sum of squares) of a flat uint8 array, exact."""
    total, squares = 0, 0
    for start in range(0, len(values), RUN):
        run = values[start : start + RUN]
        part, part_squares = np.int32(0), np.int32(0)
        for i in range(len(run)):
            value = np.int32(run[i])
            part = np.int32(part + value)
            part_squares = np.int32(part_squares + np.int32(value * value))
        total += int(part)
        squares += int(part_squares)
    return total, squares
