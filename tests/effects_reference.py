"""Slow, obvious forms of the effects, with float64, Python's integers and plain loops.

Each takes one image (28, W) and the numbers that were drawn for it, and returns the image with the
effect, not rounded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

WORD = 1 << 32


def hash_pixel(place: int, key: int, other: int) -> int:
    """Return the 32 random bits of pixel number `place`."""
    x = (place * 0x9E3779B9 + key) % WORD
    x = (x ^ x >> 16) * 0x7FEB352D % WORD ^ other
    x = (x ^ x >> 15) * 0x846CA68B % WORD
    return x ^ x >> 16


def pixel_hashes(image: Image, numbers: Numbers) -> list[int]:
    """Return the hash that serves pixel i and the one half an image further, for each i."""
    return [hash_pixel(i, int(numbers[1]), int(numbers[2])) for i in range(image.size // 2)]


def contrast(image: Image, numbers: Numbers) -> Image:
    """Move a share t of white to t + bend * t * (1 - t)."""
    bend, t = numbers[0] * 255 / 65536, image / 255
    return 255 * (t + bend * t * (1 - t))


def blur(image: Image, numbers: Numbers) -> Image:
    """Convolve with the five weights along both axes, black beyond the edges."""
    here, near, far = (int(n) / 4096 for n in numbers)
    line = np.array([far, near, here, near, far])
    smoothed: Image = ndimage.convolve(image, np.outer(line, line), mode="constant", cval=0.0)
    return smoothed


def strokes(image: Image, numbers: Numbers) -> Image:
    """Lay bars over the image one by one, covering as much of a pixel as it lies inside."""
    height, width = image.shape
    result = image.copy()
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for place_x, place_y, cosine, sine, long, broad, grey in numbers.reshape(-1, 7):
        if broad == 0:
            continue
        dx, dy = x - place_x / 65536 * width, y - place_y / 256
        along = np.abs(dx * cosine + dy * sine) / 16384
        across = np.abs(dy * cosine - dx * sine) / 16384
        inside = np.minimum(long / 256 - along, broad / 256 - across)
        cover = np.clip(inside + 0.5, 0, 1)
        result += (grey - result) * cover
    return result


def on_paper(image: Image, grey: Image) -> Image:
    """Return ink laid on paper of some grey: white ink stays white, none shows the paper."""
    return image + (255 - image) * grey / 255


def shade(image: Image, numbers: Numbers) -> Image:
    """Lay ink on paper whose grey is a plane through the image's middle."""
    height, width = image.shape
    middle, across, down = (int(n) / 256 for n in numbers)
    grey = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            right, low = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
            grey[y, x] = min(max(middle + across * right + down * low, 0), 255)
    return on_paper(image, grey)


def texture(image: Image, numbers: Numbers) -> Image:
    """Lay ink on paper whose grey is bilinear between random points every 8 px."""
    height, width = image.shape
    level, key, other = (int(n) for n in numbers)
    columns = width // 8 + 2
    grey = np.zeros_like(image)
    points = {
        (row, column): (hash_pixel(row * columns + column, key, other) >> 24) / 255 * level
        for row in range(height // 8 + 2)
        for column in range(columns)
    }
    for y in range(height):
        for x in range(width):
            row, column, low, right = y // 8, x // 8, y % 8 / 8, x % 8 / 8
            upper = points[row, column] * (1 - right) + points[row, column + 1] * right
            lower = points[row + 1, column] * (1 - right) + points[row + 1, column + 1] * right
            grey[y, x] = upper * (1 - low) + lower * low
    return on_paper(image, grey)


def invert(image: Image, numbers: Numbers) -> Image:
    """Turn the image into its negative if the number says so."""
    return 255 - image if numbers[0] else image


def dropout(image: Image, numbers: Numbers) -> Image:
    """Lose a pixel where 16 bits of its own are below the share."""
    bits = pixel_hashes(image, numbers)
    own = np.array([b % 65536 for b in bits] + [b // 65536 for b in bits])
    return np.where(own < numbers[0], 0, image.reshape(-1)).reshape(image.shape)


def noise(image: Image, numbers: Numbers) -> Image:
    """Add to a pixel the sum of four of the eight hexadecimal digits of its hash, less 30."""
    digits = [[bits >> 4 * n & 15 for n in range(8)] for bits in pixel_hashes(image, numbers)]
    sums = [sum(eight[:4]) for eight in digits] + [sum(eight[4:]) for eight in digits]
    added = (np.array(sums) - 30) * int(numbers[0]) / 256
    return np.clip(image + added.reshape(image.shape), 0, 255)
