"""Pictures of a training: its curve, and the mistakes that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

matplotlib.use("Agg")  # files only: no screen is needed
from matplotlib import pyplot as plt


class Mistake(NamedTuple):
    """An image (28, W) that a model read wrong."""

    image: np.ndarray
    label: str
    read: str


def save_curve(path: Path, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Save a plot for each of some curves, points of (samples seen, value)."""
    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.5), squeeze=False)
    for axis, (name, points) in zip(axes[0], curves.items(), strict=True):
        axis.plot(*zip(*points, strict=True))
        axis.set(xlabel="samples seen", ylabel=name, yscale="log")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def save_mistakes(path: Path, mistakes: Sequence[Mistake], columns: int, most: int = 60) -> None:
    """Save the first mistakes as one picture, each under what it is and what it was read as."""
    shown = mistakes[:most]
    rows = max(1, -(-len(shown) // columns))
    width = shown[0].image.shape[1] / 28 if shown else 1
    figure, axes = plt.subplots(rows, columns, figsize=(columns * width, rows * 1.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (image, label, read) in zip(axes.flat, shown, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{label} as {read or 'nothing'}", fontsize=max(8, 2 * width))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
