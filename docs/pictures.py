"""Draw the pictures of the README and the docs again: `python docs/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from builder import Recipe, generate
from builder.common.atomic_files import publish_bytes
from builder.visualization import contact_sheet, ladder

SAMPLES = (
    (Recipe(seed=7), False),
    (Recipe(seed=8, digits="350", spacing=(10, 30), width=100, augment="none"), False),
    (Recipe(seed=9, length=(3, 8), spacing=(-4, 3), width=160, spacing_between="ink"), False),
    (Recipe(seed=10, augment="strong"), True),
)
"""A recipe for each column, and whether the boxes of its digits are drawn."""

ROWS = 8

LADDER = Recipe(seed=273, digits="2357", width=150)
"""A recipe whose sample 0 draws numbers far from 0, so that every strength shows."""


def main() -> None:
    """Write every picture beside this file."""
    columns = [
        contact_sheet.contact_sheet(generate(recipe, range(ROWS)), columns=1, zoom=2, boxes=boxes)
        for recipe, boxes in SAMPLES
    ]
    pictures = {"samples.png": np.hstack(columns), "ladder.png": ladder.ladder(LADDER)}
    for name, picture in pictures.items():
        publish_bytes(Path(__file__).with_name(name), contact_sheet.encode_png(picture))


if __name__ == "__main__":
    main()
