"""Shift: each digit a little to the side, up or down; baseline: a strip that is not level."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws, Geometric, Range
from builder.augment.warp import Warp
from builder.common.constants import Floats, Int8s
from builder.common.jit import jit


def apply_shift(warp: Warp, draws: Draws, pixels: float) -> None:
    """Shift x and y by independent uniform amounts in [-pixels, pixels] px."""
    warp.shift[0] += pixels * draws.per_digit(0)
    warp.shift[1] += pixels * draws.per_digit(1)


SHIFT = Geometric(
    Range(
        name="shift",
        flag="PX",
        unit="px",
        help="shift right or left, down or up, by up to PX pixels",
        most=8.0,
        presets={"light": 0.25, "standard": 0.5, "strong": 2.0},
    ),
    apply=apply_shift,
)


def apply_baseline(warp: Warp, draws: Draws, pixels: float) -> None:
    """Raise or lower each digit by up to `pixels` px.

    Half of that is a line of all digits that climbs or falls, between uniform heights of the
    strip's first and last digit; half is each digit's own.
    """
    line = np.empty(draws.labels.shape)
    fill_lines(draws.per_strip(0), draws.per_strip(1), draws.labels, line)
    warp.shift[1] += pixels / 2 * (line + draws.per_digit())


@jit
def fill_lines(begins: Floats, ends: Floats, labels: Int8s, heights: Floats) -> None:
    """Set heights (B, L) on lines from begins (B,), at the first digit, to ends, at the last.

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
    Range(
        name="baseline",
        flag="PX",
        unit="px",
        help="raise or lower digits by up to PX pixels, along a slope and each by itself",
        most=8.0,
        presets={"light": 0.25, "standard": 0.5, "strong": 1.5},
    ),
    apply=apply_baseline,
)
