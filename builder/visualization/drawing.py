"""Drawing: pages with images in a grid, text, outlines.

A picture is an array (H, W, 3) uint8: red, green, blue. Coordinates x, y count px from its upper
left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from builder.common.constants import FRAME, UInt8s
from builder.common.errors import UsageError

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


def image_width(width: int, zoom: int) -> int:
    """Return the width of an enlarged image with its frame, px."""
    return width * zoom + 2


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


def draw_polygon(picture: Picture, corners: npt.NDArray[np.floating], colour: Colour) -> None:
    """Draw a smooth outline through corners (N, 2), where (0, 0) is the corner of a pixel."""
    sixteenths = np.rint(corners * 16 - 8).astype(np.int32)  # from the centre of pixel (0, 0)
    cv2.polylines(picture, [sixteenths], True, colour, 1, cv2.LINE_AA, shift=4)


def draw_rectangle(picture: Picture, bounds: tuple[int, ...], colour: Colour) -> None:
    """Draw a rectangle along the inner edge of its bounds x0, y0, x1, y1, half-open."""
    x0, y0, x1, y1 = bounds
    cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, 1)


def encode_png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    return cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
