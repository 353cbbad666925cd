"""Augmentations of the map from glyph to image: elastic, scale, shear, rotation, shift, ..."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws
from builder.augment.warp import Warp, sine_cosine
from builder.common.constants import HALF, Floats, Int8s
from builder.common.jit import jit

CONFUSABLE = (1, 7)
"""Digits that rotate half as far: a rotated 1 reads as a 7, and a 7 as a 1."""

MOST_PERSPECTIVE = 0.2
"""The largest share. Up to it every point of a frame, however far elastic deformation displaces it,
is at least 0.14 as far away as the middle; beyond it the horizon comes near the frame."""


def deform(warp: Warp, draws: Draws, rms: float, correlation: float) -> None:
    """Set the strength and correlation length, px, and the key of each digit's elastic noise."""
    warp.elastic = rms, correlation
    warp.keys[:] = draws.digit_words()


def scale(warp: Warp, draws: Draws, share: float) -> None:
    """Scale x and y by independent uniform factors in [1 - share, 1 + share]."""
    warp.linear[0:2] *= 1.0 + share * draws.per_digit_in_style(0)
    warp.linear[2:4] *= 1.0 + share * draws.per_digit_in_style(1)


def shear(warp: Warp, draws: Draws, slope: float) -> None:
    """Slant: shift what lies 1 px above the middle by up to `slope` px to either side."""
    warp.compose(1.0, slope * draws.per_digit_in_style(), 0.0, 1.0)


def shear_y(warp: Warp, draws: Draws, slope: float) -> None:
    """Tilt: shift what lies 1 px to the right of the middle by up to `slope` px up or down."""
    warp.compose(1.0, 0.0, slope * draws.per_digit(), 1.0)


def rotate(warp: Warp, draws: Draws, degrees: float) -> None:
    """Rotate by a uniform angle in [-degrees, degrees], clockwise if positive; half for 1 and 7."""
    confusable = (draws.labels == CONFUSABLE[0]) | (draws.labels == CONFUSABLE[1])
    most = np.where(confusable, degrees / 2, degrees)
    sine, cosine = sine_cosine(most * draws.per_digit())
    warp.compose(cosine, -sine, sine, cosine)


def tilt(warp: Warp, draws: Draws, share: float) -> None:
    """Tilt the frame about both axes: an edge's distance is uniform in [1 - share, 1 + share]."""
    warp.perspective[0] += share / HALF * draws.per_digit(0)
    warp.perspective[1] += share / HALF * draws.per_digit(1)


def shift(warp: Warp, draws: Draws, pixels: float) -> None:
    """Shift x and y by independent uniform amounts in [-pixels, pixels] px."""
    warp.shift[0] += pixels * draws.per_digit(0)
    warp.shift[1] += pixels * draws.per_digit(1)


def move_baseline(warp: Warp, draws: Draws, pixels: float) -> None:
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
