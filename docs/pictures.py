"""Make the pictures of the README again: `python docs/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from builder import Recipe, generate

SCALE = 2
BAND = 22
"""Height of the line of text under an image, px."""

SHEETS = {
    "samples.png": [
        {"seed": 7, "length": (1, 5), "spacing": (5, 10), "width": 200},
        {"seed": 8, "digits": "350", "spacing": (10, 30), "width": 100, "augment": "none"},
        {"seed": 9, "length": (3, 8), "spacing": (-4, 3), "width": 160, "spacing_between": "ink"},
    ]
}
ROWS = 6


def column(fields: dict[str, object]) -> np.ndarray:
    """Return a column of samples of one recipe, each over its label."""
    batch = generate(Recipe(**fields), range(ROWS))
    cells = []
    for sample in batch:
        size = (SCALE * sample.image.shape[1], SCALE * sample.image.shape[0])
        image = cv2.resize(255 - sample.image, size, interpolation=cv2.INTER_NEAREST)
        cell = cv2.copyMakeBorder(image, 1, BAND, 1, 1, cv2.BORDER_CONSTANT, value=225)
        at = (6, cell.shape[0] - 6)
        cv2.putText(cell, sample.text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 60, 1, cv2.LINE_AA)
        cells.append(cell)
    return cv2.copyMakeBorder(np.vstack(cells), 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=255)


def main() -> None:
    """Write every sheet beside this file."""
    for name, recipes in SHEETS.items():
        cv2.imwrite(str(Path(__file__).with_name(name)), np.hstack([column(r) for r in recipes]))


if __name__ == "__main__":
    main()
