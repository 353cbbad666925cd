"""Time the drawing of five digits, 28 x 200, one thread, against other ways to do it.

    python benchmarks/kernel.py

Every way draws the same 512 planned samples, turn by turn; the table gives each one's median
in microseconds per image, and its share of the OpenCV loop's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from builder import Recipe
from builder.generator import render
from builder.planner import planner_for

SAMPLES, ROUNDS = 512, 15
RECIPE = Recipe(seed=1, length=5, spacing=(5, 10), width=200, augment="strong")
PLANNER = planner_for(RECIPE)
SPECS = PLANNER.plan(range(SAMPLES))
GLYPHS = PLANNER.bank.glyphs[SPECS.glyphs].reshape(SAMPLES, 5, 32, 32)[:, :, 2:30, 2:30].copy()
LEFT = np.clip(SPECS.warps[6] - 20, 0, 160).astype(int)


def matrices() -> list[list[np.ndarray]]:
    """Return each digit's map for OpenCV, into a window of 40 columns at LEFT."""
    a, b, c, e, _, _, tx, ty = SPECS.warps
    linear = np.array([[a, b], [c, e]])
    shift = np.array([tx - LEFT, ty]) - np.einsum("ijbd,j->ibd", linear, (13.5, 13.5)) - 0.5
    stacked = np.concatenate([linear, shift[:, None]], axis=1)
    return [[stacked[:, :, i, d].copy() for d in range(5)] for i in range(SAMPLES)]


MATRICES = matrices()


def opencv() -> None:
    """Draw with one `cv2.warpAffine` a digit, everything planned beforehand."""
    for maps, glyphs, lefts in zip(MATRICES, GLYPHS, LEFT, strict=True):
        image = np.zeros((28, 200), np.uint8)
        for matrix, glyph, left in zip(maps, glyphs, lefts, strict=True):
            part = image[:, left : left + 40]
            np.maximum(part, cv2.warpAffine(glyph, matrix, (40, 28)), out=part)


def copies() -> None:
    """Copy the glyphs into place, not warped at all."""
    for glyphs, lefts in zip(GLYPHS, LEFT, strict=True):
        image = np.zeros((28, 200), np.uint8)
        for glyph, left in zip(glyphs, lefts, strict=True):
            image[:, left : left + 28] = glyph


WAYS: dict[str, Callable[[], object]] = {
    "cv2.warpAffine per digit, draws left out": opencv,
    "numpy copy per digit, no warp": copies,
    "this program: pixels, boxes, quads, visible shares": lambda: render(PLANNER, SPECS),
    "this program: planning (all draws)": lambda: PLANNER.plan(range(SAMPLES)),
}


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS + 1):
        for name, way in WAYS.items():
            began = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - began) / SAMPLES * 1e6)
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    base = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:52} {median:7.2f} us {median / base:6.2f}")


if __name__ == "__main__":
    main()
