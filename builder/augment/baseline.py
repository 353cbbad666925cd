"""Baseline jitter: the digits of a strip do not stand on one level line."""

from __future__ import annotations

from typing import Any

import numpy as np

from builder.augment.augmentation import Draw, Geometric, Range
from builder.augment.warp import Warp
from builder.common.jit import jit


def apply(warp: Warp, draw: Draw, pixels: float) -> None:
    """Raise or lower each digit by up to `pixels` px.

    Half of that is a line of all digits that climbs or falls, between uniform heights of the
    strip's first and last; half is each digit's own.
    """
    line = np.empty(draw.labels.shape)
    draw_lines(draw.per_strip(0), draw.per_strip(1), draw.labels, line)
    warp.shift[1] += pixels / 2 * (line + draw.per_digit())


@jit
def draw_lines(begins: Any, ends: Any, labels: Any, heights: Any) -> None:
    """Set heights (B, L) on lines from begins, at the first digit, to ends, at the last, (B,).

    Past a sample's length the heights are those of the end.
    """
    for b in range(len(labels)):
        length = 0
        for d in range(labels.shape[1]):
            length += labels[b, d] >= 0
        for d in range(labels.shape[1]):
            along = min(d / max(length - 1, 1), 1.0)
            heights[b, d] = begins[b] + (ends[b] - begins[b]) * along


BASELINE = Geometric(
    ranges=(
        Range(
            name="baseline",
            flag="PX",
            unit="px",
            help="raise or lower digits by up to PX pixels, along a slope and each by itself",
            most=8.0,
            presets={"light": 0.25, "standard": 0.5, "strong": 1.5},
        ),
    ),
    apply=apply,
)
