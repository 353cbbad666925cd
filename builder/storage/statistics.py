"""Statistics of a set of samples: content digest, sums of grey values, digits and lengths counted.

The content digest is one number for a set of samples, however they are stored. The digest of a
sample is XXH3-128 over index u64, seed u64, width u32, length u8 (little-endian), the digits u8,
and the pixels row by row. The digest of a set is the sum of those of its samples mod 2**128. It
depends on no shard, format or order, and the digests of parts add up. It detects accidents, not
forgery. Hash: Y. Collet, "xxHash", XXH3 128-bit variant, seed 0.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from builder.common.constants import CLASSES, FRAME, PAD, UInt8s
from builder.common.errors import DatasetError
from builder.common.jit import jit
from builder.common.validation import Count, FrozenModel
from builder.generator.batch import Batch

MODULUS = 1 << 128

HEAD = np.dtype([("index", "<u8"), ("seed", "<u8"), ("width", "<u4"), ("length", "u1")])


def digest_of(batch: Batch) -> int:
    """Return the content digest of a batch, in [0, 2**128)."""
    from xxhash import xxh3_128

    hasher: Any = xxh3_128  # it takes arrays, and its type hints do not know
    heads = np.empty(len(batch), dtype=HEAD)
    heads["index"], heads["seed"] = batch.index, batch.seeds
    heads["width"], heads["length"] = batch.images.shape[2], batch.lengths
    labels, images = np.ascontiguousarray(batch.labels), np.ascontiguousarray(batch.images)
    total = 0
    for head, label, length, image in zip(heads, labels, batch.lengths, images, strict=True):
        digest = hasher(head)
        digest.update(label[:length])
        digest.update(image)
        total += digest.intdigest()
    return total % MODULUS


def format_digest(digest: int) -> str:
    """Return a content digest as files and messages show it: `c1:` and 32 hex digits."""
    return f"c1:{digest % MODULUS:032x}"


def _check_digest(text: str) -> str:
    if not re.fullmatch(r"c1:[0-9a-f]{32}", text):
        raise ValueError(f"content digest is '{text[:60]}', expected c1: and 32 hex digits")
    return text


ContentDigest = Annotated[str, AfterValidator(_check_digest)]
"""A content digest as `format_digest` returns it."""

ClassCounts = Annotated[tuple[Count, ...], Field(min_length=CLASSES, max_length=CLASSES)]
"""How often each digit, 0 to 9, is in a label."""


def add_digests(*digests: str) -> str:
    """Return the content digest of the union of disjoint sets, by the digests of these."""
    return format_digest(sum(int(digest[3:], 16) for digest in digests))


class Statistics(FrozenModel):
    """Sums over a set of samples. The statistics of disjoint sets add up with `+`.

    Attributes:
        content_digest: `c1:` and 32 hex digits.
        pixel_sum: Sum of all grey values.
        pixel_square_sum: Sum of their squares.
        class_counts: How often each digit, 0 to 9, is in a label.
        length_counts: Samples by the length of their label.
    """

    content_digest: ContentDigest = format_digest(0)
    pixel_sum: Count = 0
    pixel_square_sum: Count = 0
    class_counts: ClassCounts = (0,) * CLASSES
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
        counts = zip(self.class_counts, other.class_counts, strict=True)
        return Statistics(
            content_digest=add_digests(self.content_digest, other.content_digest),
            pixel_sum=self.pixel_sum + other.pixel_sum,
            pixel_square_sum=self.pixel_square_sum + other.pixel_square_sum,
            class_counts=tuple(mine + others for mine, others in counts),
            length_counts=Counter(self.length_counts) + Counter(other.length_counts),
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
