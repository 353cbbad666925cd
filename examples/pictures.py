"""Pictures of a training: its curves, and the images that the model reads wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

matplotlib.use("Agg")  # files only: no screen is needed
from matplotlib import pyplot as plt


class Mistake(NamedTuple):
    """An image (28, W) uint8, its label, and what the model read."""

    image: np.ndarray
    label: str
    prediction: str


def save_curves(path: Path, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Plot curves side by side, and save them as one picture.

    Args:
        path: Picture to write.
        curves: Points (samples seen, value) by the name of the value.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.5), squeeze=False)
    for axis, (name, points) in zip(axes[0], curves.items(), strict=True):
        axis.plot(*zip(*points, strict=True))
        axis.set(xlabel="samples seen", ylabel=name, yscale="log")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def save_mistakes(path: Path, mistakes: Sequence[Mistake], columns: int, most: int = 60) -> None:
    """Save the first mistakes as one picture, each with its label and the prediction above.

    Args:
        path: Picture to write.
        mistakes: All mistakes.
        columns: Images in a row.
        most: Largest number of images, 60 by default.
    """
    drawn = mistakes[:most]
    rows = max(1, -(-len(drawn) // columns))
    width = drawn[0].image.shape[1] / 28 if drawn else 1
    figure, axes = plt.subplots(rows, columns, figsize=(columns * width, rows * 1.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (image, label, prediction) in zip(axes.flat, drawn, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{label} as {prediction or 'nothing'}", fontsize=max(8, 2 * width))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
