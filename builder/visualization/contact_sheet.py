"""A contact sheet: samples in rows, each with its label and index; and how pages are drawn.

A picture is an array (H, W, 3) uint8: red, green, blue. Coordinates x, y count px from its upper
left corner.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from builder.common.constants import FRAME, UInt8s
from builder.common.errors import UsageError
from builder.generator.batch import Sample

Picture = UInt8s
Colour = tuple[int, int, int]

MAX_WIDTH = 1800
"""Width of a page, px; only one wide image, or a given number of columns, exceeds it."""

MAX_PIXELS = 100_000_000
"""Pixels of the largest page: 300 MB before compression."""

GAP, LINE = 10, 18
"""Space around images, and height of a line of text, px."""

FONT_SIZE = 0.42
"""In units of OpenCV: digits of about 8 px."""

WHITE, BLACK, GREY, PALE = (255, 255, 255), (30, 30, 30), (130, 130, 130), (190, 190, 190)

ASPECT = 14 / 9
"""Width over height that a sheet aims at: between 4:3 and 16:9."""

ZOOM_BONUS = 0.6
"""How far off that ratio, as a logarithm, images of e times the size may bring a sheet."""

ZOOMS = (1, 2, 3, 4)
"""Factors to choose from."""

MIN_CELL_WIDTH = 64
"""Least width of a cell, px: enough for a short label and an index."""

COLOURS: tuple[Colour, ...] = ((255, 140, 0), (0, 190, 255), (120, 220, 60), (255, 80, 160))
"""Colours of boxes, by the position of the digit modulo their number."""


@dataclass(frozen=True)
class Grid:
    """Cells of equal size in rows; each has a framed image and a line of text below it.

    Attributes:
        columns: Cells in a row.
        cell_width: Width of a cell, px.
        zoom: Factor by which images are enlarged.
        left: Free space before each row, px.
        top: Free space above the first row, px.

    """

    columns: int
    cell_width: int
    zoom: int
    left: int = 0
    top: int = 0

    @property
    def cell_height(self) -> int:
        """Height of a cell, px."""
        return FRAME * self.zoom + 2 + LINE

    def rows(self, count: int) -> int:
        """Return how many rows a number of images takes."""
        return -(-count // self.columns)

    def size(self, rows: int) -> tuple[int, int]:
        """Return width and height of a page with that many rows, px."""
        return self.corner(rows, self.columns)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return x and y of a cell's upper left corner."""
        x = GAP + self.left + column * (self.cell_width + GAP)
        return x, GAP + self.top + row * (self.cell_height + GAP)

    def page(self, rows: int) -> Picture:
        """Return a white page. Raises `UsageError` if it would be larger than `MAX_PIXELS`."""
        width, height = self.size(rows)
        if height * width > MAX_PIXELS:
            raise UsageError(
                f"the picture would be {width:,} x {height:,} px, expected at most "
                f"{MAX_PIXELS:,} pixels: show fewer samples, or enlarge them less"
            )
        return np.full((height, width, 3), WHITE, dtype=np.uint8)


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
        picture = enlarge(sample.image, grid.zoom)
        if boxes:
            _outline_digits(picture, sample, grid.zoom)
        paste(page, picture, x, y)
        bottom = y + grid.cell_height
        index = f"#{sample.index}"
        label_width = grid.cell_width - text_width(index)
        write(page, index, x + label_width, bottom, GREY)
        label = shorten(sample.text, label_width - GAP)
        write(page, label, x, bottom, BLACK)
    return page


def _choose_grid(count: int, width: int, columns: int | None, zoom: int | None) -> Grid:
    """Return the best grid for images of a width, px, with columns and zoom where given."""

    def badness(grid: Grid) -> tuple[float, float]:
        page_width, page_height = grid.size(grid.rows(count))
        error = abs(math.log(page_width / page_height / ASPECT)) - ZOOM_BONUS * math.log(grid.zoom)
        return max(page_width - MAX_WIDTH, 0), error

    grids = (
        Grid(min(across, count), max(width * factor + 2, MIN_CELL_WIDTH), factor)
        for factor in ([zoom] if zoom else ZOOMS)
        for across in ([columns] if columns else range(1, MAX_WIDTH // MIN_CELL_WIDTH + 1))
    )
    return min(grids, key=badness)


def _outline_digits(picture: Picture, sample: Sample, zoom: int) -> None:
    """Draw the quads, and over them the boxes, of a sample's digits on its enlarged image."""
    for position, quad in enumerate(sample.quads):
        red, green, blue = COLOURS[position % len(COLOURS)]
        dark = (red * 2 // 3, green * 2 // 3, blue * 2 // 3)
        corners = np.rint(quad * zoom * 16 - 8).astype(np.int32)  # 1/16 px from a pixel's centre
        cv2.polylines(picture, [corners], True, dark, 1, cv2.LINE_AA, shift=4)
    for position, box in enumerate(sample.boxes):
        x0, y0, x1, y1 = (int(edge) * zoom for edge in box)
        if x0 < x1 and y0 < y1:
            colour = COLOURS[position % len(COLOURS)]
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, 1)


def enlarge(image: UInt8s, zoom: int) -> Picture:
    """Return a grey image (H, W) as a picture (H * zoom, W * zoom, 3), its pixels as squares."""
    large = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return np.repeat(large[:, :, None], 3, axis=2)


def paste(page: Picture, picture: Picture, x: int, y: int) -> None:
    """Put a picture with a thin frame around it at x, y."""
    height, width, _ = picture.shape
    page[y : y + height + 2, x : x + width + 2] = PALE
    page[y + 1 : y + 1 + height, x + 1 : x + 1 + width] = picture


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` px, which ends in dots if it was wider.

    >>> shorten("31415", 100), shorten("31415" * 50, 100).strip("12345")
    ('31415', '...')
    """
    start = text
    while start and text_width(text) > width:
        start = start[:-1]
        text = f"{start}..."
    return text if start else ""


def text_width(text: str) -> int:
    """Return the width of a text, px."""
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, FONT_SIZE, 1)[0][0])


def write(page: Picture, text: str, x: int, y: int, colour: Colour) -> None:
    """Write a text from x on in the line that ends at y."""
    corner, font = (x, y - LINE // 4), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(page, text, corner, font, FONT_SIZE, colour, 1, cv2.LINE_AA)


def encode_png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    return cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
