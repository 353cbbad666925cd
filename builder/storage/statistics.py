"""The tally of a shard: what its completion record says of the samples, added block by block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from builder.common.constants import CLASSES, PAD
from builder.common.jit import jit
from builder.generator.batch import Batch
from builder.storage import content_digest


@dataclass
class Tally:
    """Sums over the batches of a shard; see `Record` for what they mean."""

    content_digest: int = 0
    pixel_sum: int = 0
    pixel_square_sum: int = 0
    class_counts: list[int] = field(default_factory=lambda: [0] * CLASSES)
    length_counts: dict[int, int] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add the samples of a batch."""
        self.content_digest += content_digest.digest_of(batch)
        total, squares = moments(batch.images.reshape(-1))
        self.pixel_sum += int(total)
        self.pixel_square_sum += int(squares)
        shown = np.bincount(batch.labels.reshape(-1) - PAD, minlength=CLASSES + 1)[1:]
        self.class_counts = [a + int(b) for a, b in zip(self.class_counts, shown, strict=True)]
        for length, count in enumerate(np.bincount(batch.lengths).tolist()):
            if count:
                self.length_counts[length] = self.length_counts.get(length, 0) + count

    def fields(self) -> dict[str, Any]:
        """Return the sums under the names that a record has for them."""
        return {
            "content_digest": content_digest.written(self.content_digest),
            "pixel_sum": self.pixel_sum,
            "pixel_square_sum": self.pixel_square_sum,
            "class_counts": tuple(self.class_counts),
            "length_counts": dict(sorted(self.length_counts.items())),
        }


RUN = 1 << 14
"""Pixels summed in 32 bits at a time: 255**2 * 2**14 is below 2**31, and narrow sums are fast."""


@jit
def moments(values: Any) -> Any:
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
