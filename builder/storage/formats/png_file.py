"""One PNG file: its name, its bytes, and the image in them.

The encoder is a few lines over ISA-L's deflate, with no filter: 12 us an image against 66 us
of OpenCV's, and 16 % larger. ISA-L's next level takes 26 us for 4 % less than OpenCV's size, but
a file of either fills one block of 4 KiB on the disk. What OpenCV or any other reader decodes is
the same array (tested). Format: ISO/IEC 15948, "Portable Network Graphics", sections 5 and 11.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from builder.common.constants import UInt8s

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEFLATE_LEVEL = 0
GREY_8 = (8, 0, 0, 0, 0)
"""Bit depth 8, greyscale, and the only compression, filter and interlace methods used."""


def file_name(index: int, label: str) -> str:
    """Return the file name of a sample.

    Args:
        index: Index of the sample, [0, 2**63).
        label: Label of the sample, such as "02139".
    """
    return f"{index:012d}_{label}.png"


def encode(image: UInt8s) -> bytes:
    """Return a grey image, (H, W) uint8, as the bytes of a PNG file."""
    return next(encode_all(image[None]))


def encode_all(images: UInt8s) -> Iterator[bytes]:
    """Yield each of some grey images, (B, H, W) uint8, as the bytes of a PNG file."""
    from isal import isal_zlib

    samples, height, width = images.shape
    rows = np.zeros((samples, height, width + 1), dtype=np.uint8)  # a 0, no filter, before each row
    rows[:, :, 1:] = images
    head = _head(height, width)
    end = _chunk(b"IEND", b"")
    for row in rows.reshape(samples, -1):
        yield head + _chunk(b"IDAT", isal_zlib.compress(row, DEFLATE_LEVEL)) + end


def _head(height: int, width: int) -> bytes:
    """Return what a grey PNG of a size begins with."""
    return SIGNATURE + _chunk(b"IHDR", struct.pack(">II5B", width, height, *GREY_8))


def _chunk(kind: bytes, data: bytes) -> bytes:
    from isal import isal_zlib

    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", isal_zlib.crc32(body))


def decode(data: bytes, shape: tuple[int, int]) -> UInt8s | None:
    """Return the grey image of `shape`, (H, W), in a PNG file; None for anything else.

    The header is compared first: an image of another size is not decoded.
    """
    import cv2

    image = None
    if data.startswith(_head(*shape)):
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    return None if image is None or image.shape != shape else np.asarray(image, dtype=np.uint8)
