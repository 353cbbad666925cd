"""A contact sheet: samples in rows, each with its label and index."""

from __future__ import annotations

import math
from collections.abc import Iterable

from builder.common.errors import UsageError
from builder.generator.batch import Sample
from builder.visualization import drawing
from builder.visualization.drawing import GAP, MAX_WIDTH, Grid, Picture

ASPECT = 14 / 9
"""Width over height that a sheet aims at: between 4:3 and 16:9."""

ZOOM_BONUS = 0.6
"""How far off that ratio, as a logarithm, images of e times the size may bring a sheet."""

ZOOMS = (1, 2, 3, 4)
"""Factors to choose from."""

MIN_CELL_WIDTH = 64
"""Least width of a cell, px: enough for a short label and an index."""

COLOURS: tuple[drawing.Colour, ...] = ((255, 140, 0), (0, 190, 255), (120, 220, 60), (255, 80, 160))
"""Colours of boxes, by the position of the digit modulo their number."""


def contact_sheet(
    samples: Iterable[Sample],
    columns: int | None = None,
    zoom: int | None = None,
    boxes: bool = False,
) -> Picture:
    """Return a picture of samples in rows, each with its label and its index below it.

    Args:
        samples: A batch, or other samples of one width.
        columns: Images in a row, from 1. By default chosen with the zoom, for the shape of a
            screen and a width of at most `MAX_WIDTH`.
        zoom: Factor by which images are enlarged, from 1; each pixel becomes a square.
        boxes: Whether to draw the box of each digit and, darker, the quad of its glyph's frame.

    Returns:
        The picture, (H, W, 3) uint8.

    Raises:
        UsageError: There are no samples, or the picture would be larger than `MAX_PIXELS`.

    >>> from builder import Recipe, generate
    >>> contact_sheet(generate(Recipe(width=160), range(6)), columns=2, zoom=1).shape
    (184, 354, 3)
    """
    samples = list(samples)
    if not samples:
        raise UsageError("a sheet of 0 samples is asked for, expected 1 or more")
    grid = _choose_grid(len(samples), samples[0].image.shape[1], columns, zoom)
    page = grid.page(grid.rows(len(samples)))
    for number, sample in enumerate(samples):
        x, y = grid.corner(*divmod(number, grid.columns))
        picture = drawing.enlarge(sample.image, grid.zoom)
        if boxes:
            _outline_digits(picture, sample, grid.zoom)
        drawing.paste(page, picture, x, y)
        bottom = y + grid.cell_height
        index = f"#{sample.index}"
        label_width = grid.cell_width - drawing.text_width(index)
        drawing.write(page, index, x + label_width, bottom, drawing.GREY)
        label = drawing.shorten(sample.text, label_width - GAP)
        drawing.write(page, label, x, bottom, drawing.BLACK)
    return page


def _choose_grid(count: int, width: int, columns: int | None, zoom: int | None) -> Grid:
    """Return the best grid for images of a width, px, with columns and zoom where given."""

    def badness(grid: Grid) -> tuple[float, float]:
        page_width, page_height = grid.size(grid.rows(count))
        error = abs(math.log(page_width / page_height / ASPECT)) - ZOOM_BONUS * math.log(grid.zoom)
        return max(page_width - MAX_WIDTH, 0), error

    grids = (
        Grid(min(across, count), max(drawing.image_width(width, factor), MIN_CELL_WIDTH), factor)
        for factor in ([zoom] if zoom else ZOOMS)
        for across in ([columns] if columns else range(1, MAX_WIDTH // MIN_CELL_WIDTH + 1))
    )
    return min(grids, key=badness)


def _outline_digits(picture: Picture, sample: Sample, zoom: int) -> None:
    """Draw the quads, and over them the boxes, of a sample's digits on its enlarged image."""
    for position, quad in enumerate(sample.quads):
        red, green, blue = COLOURS[position % len(COLOURS)]
        drawing.draw_polygon(picture, quad * zoom, (red * 2 // 3, green * 2 // 3, blue * 2 // 3))
    for position, box in enumerate(sample.boxes):
        x0, y0, x1, y1 = (int(edge) * zoom for edge in box)
        if x0 < x1 and y0 < y1:
            drawing.draw_rectangle(picture, (x0, y0, x1, y1), COLOURS[position % len(COLOURS)])
