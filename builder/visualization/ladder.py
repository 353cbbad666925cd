"""A ladder: one sample under each augmentation alone, from its weakest to its strongest."""

from __future__ import annotations

import numpy as np

from builder.augment.ranges import RANGES, Augment, Range
from builder.augment.table import AUGMENTATIONS
from builder.common.constants import FRAME
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.visualization import contact_sheet as sheet
from builder.visualization.contact_sheet import GAP, LINE, MAX_WIDTH, Grid, Picture

STEPS = 5
"""Images of a strength."""

ZOOMS = (2, 1)
"""Factors to choose from; a ladder has too many rows for larger ones."""


def strengths() -> list[Range]:
    """Return every strength in the table of augmentations, in its order."""
    return [RANGES[name] for item in AUGMENTATIONS.values() for name in item.strengths]


def steps(strength: Range) -> list[float]:
    """Return the `STEPS` numbers of a strength that a ladder shows, the smallest first.

    The last one is the largest in any preset, or the largest allowed if no preset has it.
    """
    most = max(strength.presets.values(), default=0.0) or strength.most
    return np.linspace(strength.least, most, STEPS + 1)[1:].tolist()


def ladder(recipe: Recipe, index: int = 0, zoom: int | None = None) -> Picture:
    """Return a picture of one sample under each augmentation alone, from its weakest.

    The first row has every augmentation off. Each further row is one strength of the table, with
    the numbers of `steps`. All images are of the same sample, so those of a row differ in the
    strength alone. A strength is the most that a sample may draw: in some samples it shows little.

    Args:
        recipe: The recipe; its `augment` is not used.
        index: Index of the sample.
        zoom: Factor by which images are enlarged, from 1. By default 2, or 1 for wide images.

    Returns:
        The picture, (H, W, 3) uint8. A row of images wider than `MAX_WIDTH` is broken.

    Raises:
        UsageError: The picture would be larger than `MAX_PIXELS`.

    """

    def generate_with(**ranges: float) -> Sample:
        augmented = recipe.model_copy(update={"augment": Augment(**ranges)})
        return generate(augmented, [index])[0]

    plain = generate_with()
    rows = {"all off": [(plain, "")]} | {
        strength.name: [
            (generate_with(**{strength.name: number}), f"{number:.3g} {strength.unit}")
            for number in steps(strength)
        ]
        for strength in strengths()
    }
    left = max(sheet.text_width(title) for title in rows) + GAP
    least_width = max(sheet.text_width(text) for row in rows.values() for _, text in row)
    grid = _choose_grid(plain.image.shape[1], zoom, least_width, left)
    page = grid.page(sum(grid.rows(len(row)) for row in rows.values()))
    heading = sheet.shorten(f"sample {index}, label {plain.text}", page.shape[1] - 2 * GAP)
    sheet.write(page, heading, GAP, GAP + LINE, sheet.BLACK)
    first = 0
    for title, row in rows.items():
        middle = grid.corner(first, 0)[1] + (FRAME * grid.zoom + LINE) // 2
        sheet.write(page, title, GAP, middle, sheet.BLACK)
        for number, (sample, text) in enumerate(row):
            x, y = grid.corner(first + number // grid.columns, number % grid.columns)
            sheet.paste(page, sheet.enlarge(sample.image, grid.zoom), x, y)
            sheet.write(page, text, x, y + grid.cell_height, sheet.GREY)
        first += grid.rows(len(row))
    return page


def _choose_grid(width: int, zoom: int | None, least_width: int, left: int) -> Grid:
    """Return the grid with the most columns, then the largest zoom, that fits in `MAX_WIDTH`."""
    top = LINE + GAP
    grids = [
        Grid(columns, max(width * factor + 2, least_width), factor, left, top)
        for columns in range(STEPS, 0, -1)
        for factor in ([zoom] if zoom else ZOOMS)
    ]
    fitting = (grid for grid in grids if grid.size(1)[0] <= MAX_WIDTH)
    return next(fitting, grids[-1])
