"""Time the rendering of images of five digits, 28 x 200, in one thread, against other methods.

    python benchmarks/kernel.py

Every method renders the same 512 planned samples in turn. The table gives the median time of
each, in microseconds per image, and the median of its ratios to the OpenCV loop of the same
round. An augmentation library (albumentations) is measured where it is installed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from builder import Augment, Recipe
from builder.generator.generator import render
from builder.planner.planner import Planner, open_planner

SAMPLES, ROUNDS, FEW = 512, 15, 16
LAYOUT = {"seed": 1, "length": 5, "spacing": (5, 10), "width": 200}
WARPS = {
    "style": 0.7,
    "scale": 0.15,
    "shear": 0.2,
    "shear_y": 0.06,
    "rotate": 10,
    "perspective": 0.04,
    "shift": 1,
    "baseline": 1,
}
ELASTIC = {"elastic": 0.7}
THICKNESS = {"thin": 0.2, "thick": 0.3}
EFFECTS = {"contrast": 0.4, "blur": 0.5}


def planner_with(*ranges: dict[str, float]) -> Planner:
    """Return the planner of a recipe with some ranges."""
    augment = Augment(**{name: most for some in ranges for name, most in some.items()})
    return open_planner(Recipe(**LAYOUT, augment=augment))


GEOMETRY = planner_with(WARPS, ELASTIC, THICKNESS)
EVERYTHING = planner_with(WARPS, ELASTIC, THICKNESS, EFFECTS)
OURS = {
    "affine, perspective, baseline, shift": planner_with(WARPS),
    "... and elastic: all warps": planner_with(WARPS, ELASTIC),
    "... and thickness: geometry complete": GEOMETRY,
    "... and effects, contrast and blur": EVERYTHING,
}
SPECS = GEOMETRY.draw_specs(range(SAMPLES))
GLYPHS = (
    GEOMETRY.bank.glyphs[SPECS.digits.glyphs].reshape(SAMPLES, 5, 32, 32)[:, :, 2:30, 2:30].copy()
)
LEFT = np.clip(SPECS.digits.warps[6] - 20, 0, 160).astype(int)


def matrices() -> list[list[np.ndarray]]:
    """Return the affine part of each digit's map for OpenCV, to 40 columns from LEFT on."""
    a, b, c, e, _, _, tx, ty = SPECS.digits.warps
    linear = np.array([[a, b], [c, e]])
    shift = np.array([tx - LEFT, ty]) - np.einsum("ijbd,j->ibd", linear, (13.5, 13.5)) - 0.5
    stacked = np.concatenate([linear, shift[:, None]], axis=1)
    return [[stacked[:, :, i, d].copy() for d in range(5)] for i in range(SAMPLES)]


MATRICES = matrices()


def opencv(count: int) -> None:
    """Render with one `cv2.warpAffine` per digit. All random draws are made beforehand."""
    for n in range(count):
        image = np.zeros((28, 200), np.uint8)
        for matrix, glyph, left in zip(MATRICES[n], GLYPHS[n], LEFT[n], strict=True):
            part = image[:, left : left + 40]
            np.maximum(part, cv2.warpAffine(glyph, matrix, (40, 28)), out=part)


def copies(count: int) -> None:
    """Copy the glyphs into place, without a warp."""
    for glyphs, lefts in zip(GLYPHS[:count], LEFT[:count], strict=True):
        image = np.zeros((28, 200), np.uint8)
        for glyph, left in zip(glyphs, lefts, strict=True):
            image[:, left : left + 28] = glyph


def opencv_elastic(count: int) -> None:
    """Deform each glyph by Gaussian-smoothed noise and `cv2.remap`, without placing it."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(28, dtype=np.float32), np.arange(28, dtype=np.float32))
    for glyphs in GLYPHS[:count]:
        for glyph in glyphs:
            noise = rng.uniform(-1, 1, (2, 28, 28)).astype(np.float32)
            dx, dy = (cv2.GaussianBlur(part, (0, 0), 5) * 21 for part in noise)
            cv2.remap(glyph, x + dx, y + dy, cv2.INTER_LINEAR)


def library() -> Callable[[int], None] | None:
    """Return the method of an augmentation library, digit by digit, or None if it is missing."""
    try:
        import albumentations
    except ImportError:
        return None
    pipeline = albumentations.Compose(
        [
            albumentations.Affine(scale=(0.85, 1.15), rotate=(-10, 10), shear=(-11, 11), p=1),
            albumentations.Perspective(scale=(0.02, 0.04), p=1),
            albumentations.ElasticTransform(alpha=21, sigma=5, p=1),
        ]
    )

    def draw(count: int) -> None:
        for glyphs in GLYPHS[:count]:
            for glyph in glyphs:
                pipeline(image=glyph[..., None])

    return draw


def ours(planner: Planner) -> Callable[[int], object]:
    """Return the method of this program: specs planned beforehand, rendered with annotations."""
    specs = planner.draw_specs(range(SAMPLES))
    return lambda _: render(planner, specs)


def methods() -> dict[str, tuple[Callable[[int], object], int]]:
    """Return every method by name, with the number of samples that it renders in a round."""
    table: dict[str, tuple[Callable[[int], object], int]] = {
        "cv2.warpAffine per digit, affine alone, draws left out": (opencv, SAMPLES),
        "numpy copy per digit, no warp: the floor": (copies, SAMPLES),
        "OpenCV elastic per digit (noise, blur, remap)": (opencv_elastic, 4 * FEW),
    }
    if draw := library():
        table["augmentation library per digit, all three"] = (draw, FEW)
    for name, planner in OURS.items():
        table[f"this program: {name}"] = (ours(planner), SAMPLES)
    table["this program: planning of all that"] = (
        lambda count: EVERYTHING.draw_specs(range(count)),
        SAMPLES,
    )
    return table


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    table = methods()
    times: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(ROUNDS + 1):
        for name, (method, count) in table.items():
            began = time.perf_counter()
            method(count)
            times[name].append((time.perf_counter() - began) / count * 1e6)
    base = next(iter(times.values()))
    for name, taken in times.items():
        ratio = statistics.median(t / b for t, b in zip(taken[1:], base[1:], strict=True))
        print(f"{name:56} {statistics.median(taken[1:]):8.2f} us {ratio:6.2f}")


if __name__ == "__main__":
    main()
