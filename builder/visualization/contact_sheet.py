"""Pictures to look at: a sheet of samples, and a ladder of the strengths of each augmentation.

A picture is an array (H, W, 3) uint8: red, green, blue. The images on it are as they are,
each pixel a square of `zoom` x `zoom`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from builder.common.constants import FRAME
from builder.common.errors import UsageError
from builder.generator.batch import Sample

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDEST = 1800
"""Width of a picture, px, that is exceeded only where one image, or a wish, exceeds it."""

MOST_PIXELS = 100_000_000
"""Pixels of the largest picture: 300 MB before compression."""

RATIO = 14 / 9
"""Width over height that a sheet aims at: between 4:3 and 16:9."""

LIKED = 0.6
"""How far off that ratio, as a logarithm, images of e times the size may bring a sheet."""

ZOOMS = (1, 2, 3, 4)
"""Factors to choose from; a ladder, which has many rows, takes one of the first two."""

GAP, LINE = 10, 18
"""Space around images, and height of a line of text, px."""

FONT_SIZE = 0.42
"""In units of OpenCV: digits of about 8 px."""

NARROWEST = 64
"""Least width of a sample's place, px: enough for a short label and its index."""

WHITE, BLACK, GREY, PALE = (255, 255, 255), (30, 30, 30), (130, 130, 130), (190, 190, 190)
COLOURS: tuple[Colour, ...] = ((255, 140, 0), (0, 190, 255), (120, 220, 60), (255, 80, 160))
"""Of boxes, by the position of the digit, over and over."""


@dataclass(frozen=True)
class Grid:
    """Places of equal size on a page, in rows: where images go.

    `width` and `height` of a place with its text, px; `indent` px are left free before each
    row, and `head` px above the first.
    """

    columns: int
    width: int
    height: int
    indent: int = 0
    head: int = 0

    @classmethod
    def of_images(cls, columns: int, width: int, zoom: int, least: int, **free: int) -> Grid:
        """Return a grid of places for images `width` px wide, and at least `least` px wide."""
        return cls(columns, max(width * zoom + 2, least), FRAME * zoom + 2 + LINE, **free)

    def rows(self, count: int) -> int:
        """Return how many rows a number of images takes."""
        return -(-count // self.columns)

    def size(self, rows: int) -> tuple[int, int]:
        """Return height and width of a page of so many rows, px."""
        height = GAP + self.head + rows * (self.height + GAP)
        return height, GAP + self.indent + self.columns * (self.width + GAP)

    def at(self, row: int, column: int) -> tuple[int, int]:
        """Return the upper left corner of a place: x, y, px."""
        x = GAP + self.indent + column * (self.width + GAP)
        return x, GAP + self.head + row * (self.height + GAP)

    def page(self, rows: int) -> Picture:
        """Return a white page. Raises `UsageError` where it would be too large."""
        height, width = self.size(rows)
        if height * width <= MOST_PIXELS:
            return np.full((height, width, 3), WHITE, dtype=np.uint8)
        raise UsageError(
            f"the picture would be {width:,} x {height:,} px, expected at most "
            f"{MOST_PIXELS:,} pixels: show fewer samples, or enlarge them less"
        )


def contact_sheet(
    samples: Iterable[Sample],
    columns: int | None = None,
    zoom: int | None = None,
    boxes: bool = False,
) -> Picture:
    """Return a picture of samples in rows, each with its label and its index under it.

    `samples` are a batch, or others of one width. `columns` and `zoom`, whole numbers from 1,
    are chosen where they are not given: for the shape of a screen, and no wider than `WIDEST`.
    With `boxes` the box of each digit is drawn, and where its quad is known that, too, darker.
    Raises `UsageError` for no samples, and for a picture of more than `MOST_PIXELS`.

    >>> from builder import Recipe, generate
    >>> contact_sheet(generate(Recipe(width=160), range(6)), columns=2, zoom=1).shape
    (184, 354, 3)
    """
    shown = list(samples)
    if not shown:
        raise UsageError("a sheet of 0 samples is asked for, expected 1 or more")
    zoom, grid = _best_grid(len(shown), shown[0].image.shape[1], columns, zoom)
    page = grid.page(grid.rows(len(shown)))
    for n, sample in enumerate(shown):
        x, y = grid.at(*divmod(n, grid.columns))
        picture = enlarged(sample.image, zoom)
        if boxes:
            _outline(picture, sample, zoom)
        paste(page, picture, x, y)
        index = f"#{sample.index}"
        room = grid.width - text_width(index)
        write(page, index, x + room, y + grid.height, GREY)
        write(page, shortened(sample.text, room - GAP), x, y + grid.height, BLACK)
    return page


def _best_grid(count: int, width: int, columns: int | None, zoom: int | None) -> tuple[int, Grid]:
    """Return a zoom and the grid for images of a width, px: what is given, the rest chosen."""

    def grid_of(zoom: int, columns: int) -> Grid:
        return Grid.of_images(min(columns, count), width, zoom, NARROWEST)

    def badness(choice: tuple[int, Grid]) -> tuple[float, float]:
        zoom, grid = choice
        height, across = grid.size(grid.rows(count))
        error = abs(math.log(across / height / RATIO)) - LIKED * math.log(zoom)
        return max(across - WIDEST, 0), error

    factors = [zoom] if zoom else ZOOMS
    widths = [columns] if columns else range(1, WIDEST // NARROWEST + 1)
    return min(((f, grid_of(f, across)) for f in factors for across in widths), key=badness)


def enlarged(image: npt.NDArray[np.uint8], zoom: int) -> Picture:
    """Return a grey image (H, W) uint8 as a picture (H * zoom, W * zoom, 3), pixels as squares."""
    large = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return np.repeat(large[:, :, None], 3, axis=2)


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    import cv2

    return cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def shortened(text: str, room: int) -> str:
    """Return a text that is at most `room` px wide, ending in dots where it was wider.

    >>> shortened("31415", 100), shortened("31415" * 50, 100).strip("12345")
    ('31415', '...')
    """
    kept = text
    while kept and text_width(text) > room:
        kept = kept[:-1]
        text = f"{kept}..."
    return text if kept else ""


def text_width(text: str) -> int:
    """Return the width of a text, px."""
    import cv2

    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, FONT_SIZE, 1)[0][0])


def write(page: Picture, text: str, x: int, y: int, colour: Colour) -> None:
    """Write a text from x on into the line that ends at y, px."""
    import cv2

    at, font = (x, y - LINE // 4), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(page, text, at, font, FONT_SIZE, colour, 1, cv2.LINE_AA)


def paste(page: Picture, picture: Picture, x: int, y: int) -> None:
    """Put a picture with a thin frame around it at a place, px."""
    height, width, _ = picture.shape
    page[y : y + height + 2, x : x + width + 2] = PALE
    page[y + 1 : y + 1 + height, x + 1 : x + 1 + width] = picture


def _outline(picture: Picture, sample: Sample, zoom: int) -> None:
    """Draw quads, where known, and over them the boxes, along the inner edge of their pixels."""
    import cv2

    for n, quad in enumerate(() if sample.quads is None else sample.quads):
        red, green, blue = COLOURS[n % len(COLOURS)]
        corners = np.rint(quad * zoom * 16 - 8).astype(np.int32)  # in 1/16 px, of pixel centres
        darker = red * 2 // 3, green * 2 // 3, blue * 2 // 3
        cv2.polylines(picture, [corners], True, darker, 1, cv2.LINE_AA, shift=4)
    for n, box in enumerate(sample.boxes):
        x0, y0, x1, y1 = (int(edge) * zoom for edge in box)
        if x0 < x1 and y0 < y1:
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), COLOURS[n % len(COLOURS)], 1)
