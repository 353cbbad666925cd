"""A ladder: one sample under each augmentation alone, from its weakest to its strongest."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Range
from builder.augment.ranges import Augment
from builder.augment.table import AUGMENTATIONS
from builder.common.constants import FRAME
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.recipe import Recipe
from builder.visualization.contact_sheet import (
    BLACK,
    GAP,
    GREY,
    LINE,
    WIDEST,
    ZOOMS,
    Grid,
    Picture,
    enlarged,
    paste,
    shortened,
    text_width,
    write,
)

STEPS = 5
"""Images of a strength in a ladder."""


def strengths() -> list[Range]:
    """Return every strength in the table of augmentations, in its order."""
    return [item for a in AUGMENTATIONS.values() for item in a.ranges if not item.default]


def rungs(item: Range) -> list[float]:
    """Return the numbers of a strength that a ladder shows, from its weakest to its strongest.

    The strongest is the largest in any preset; the largest allowed where no preset has it.
    """
    most = max(item.presets.values(), default=0.0) or item.most
    return [float(number) for number in np.linspace(item.least, most, STEPS + 1)[1:]]


def ladder(recipe: Recipe, index: int = 0, zoom: int | None = None) -> Picture:
    """Return a picture of one sample under each augmentation alone, from its weakest.

    Below a row with everything off it has a row for each strength in the table, of the numbers
    of `rungs`. Every image is of sample `index`, so that a row differs in the strength alone;
    of the recipe everything but `augment` is used. A strength is the most that a sample may
    draw, so in some samples it shows little. Where `STEPS` images are wider than `WIDEST`, a
    row is several rows of the picture. `zoom` is chosen where None.
    """
    plain = _sample(recipe, index, {})
    rows = {"all off": [(plain, "")]} | {
        item.name: [
            (_sample(recipe, index, {item.name: number}), f"{number:.3g} {item.unit}")
            for number in rungs(item)
        ]
        for item in strengths()
    }
    indent = max(text_width(title) for title in rows) + GAP
    least = max(text_width(text) for row in rows.values() for _, text in row)
    zoom, grid = _ladder_grid(plain.image.shape[1], zoom, least, indent)
    page = grid.page(sum(grid.rows(len(row)) for row in rows.values()))
    head = shortened(f"sample {index}, label {plain.text}", page.shape[1] - 2 * GAP)
    write(page, head, GAP, GAP + LINE, BLACK)
    first = 0
    for title, row in rows.items():
        write(page, title, GAP, grid.at(first, 0)[1] + (FRAME * zoom + LINE) // 2, BLACK)
        for n, (sample, text) in enumerate(row):
            x, y = grid.at(first + n // grid.columns, n % grid.columns)
            paste(page, enlarged(sample.image, zoom), x, y)
            write(page, text, x, y + grid.height, GREY)
        first += grid.rows(len(row))
    return page


def _sample(recipe: Recipe, index: int, ranges: dict[str, float]) -> Sample:
    """Return a sample of a recipe with other augmentation."""
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return generate(Recipe(**{**fields, "augment": Augment(**ranges)}), [index])[0]


def _ladder_grid(width: int, zoom: int | None, least: int, indent: int) -> tuple[int, Grid]:
    """Return the largest zoom, and then the most columns up to `STEPS`, that fit in `WIDEST`."""
    choices = [
        (factor, Grid.of_images(columns, width, factor, least, indent=indent, head=LINE + GAP))
        for columns in range(STEPS, 0, -1)
        for factor in ([zoom] if zoom else ZOOMS[1::-1])
    ]
    fitting = (choice for choice in choices if choice[1].size(1)[1] <= WIDEST)
    return next(fitting, choices[-1])
