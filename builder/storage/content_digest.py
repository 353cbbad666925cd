"""The content digest: one number for a set of samples, whatever they are stored in.

h(i) is XXH3-128 over index u64, seed u64, width u32, length u8 (little-endian), the digits
u8, and the pixels row by row. The digest of a set is the sum of its h(i) mod 2**128, so
it depends on no shard, format or order, and the digests of parts add up. It detects
accidents, not forgery. Hash: Y. Collet, "xxHash", XXH3 128-bit variant, seed 0.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from builder.common.errors import DatasetError
from builder.generator.batch import Batch

MODULUS = 1 << 128

HEAD = np.dtype([("index", "<u8"), ("seed", "<u8"), ("width", "<u4"), ("length", "u1")])


AT_ONCE = 64
"""Samples whose bytes are put together at a time: few enough for a processor's own cache."""


def digest_of(batch: Batch) -> int:
    """Return the content digest of a batch, in [0, 2**128)."""
    from xxhash import xxh3_128_intdigest

    heads, begins = _heads(batch)
    pixels = batch.images.reshape(len(batch), -1)
    total = 0
    for first in range(0, len(batch), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        rows = np.concatenate([heads[some], pixels[some]], axis=1)
        flat, size = rows.data.cast("B"), rows.shape[1]
        for row, begin in enumerate(begins[some].tolist()):
            total += xxh3_128_intdigest(flat[row * size + begin : (row + 1) * size])
    return total % MODULUS


def _heads(batch: Batch) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]]:
    """Return what is hashed before the pixels: a row of bytes for each sample, and where it begins.

    Labels differ in length, so their rows begin with bytes that do not count.
    """
    samples, longest = batch.labels.shape
    numbers = np.empty(samples, dtype=HEAD)
    numbers["index"], numbers["seed"] = batch.index, batch.seeds
    numbers["width"], numbers["length"] = batch.images.shape[2], batch.lengths
    parts = [numbers.view(np.uint8).reshape(samples, -1), batch.labels.astype(np.uint8)]
    heads = np.concatenate(parts, axis=1)
    begins = longest - batch.lengths.astype(np.intp)
    for begin in np.unique(begins).tolist():
        shorter = begins == begin
        heads[shorter, begin:] = heads[shorter, : heads.shape[1] - begin]
    return heads, begins


def written(digest: int) -> str:
    """Return a content digest as files and messages show it: `c1:` and 32 hex digits."""
    return f"c1:{digest % MODULUS:032x}"


def parsed(text: str) -> int:
    """Return the number of a written digest. Raises `DatasetError` for another form."""
    if not re.fullmatch(r"c1:[0-9a-f]{32}", text):
        raise DatasetError(f"content digest is '{text[:60]}', expected c1: and 32 hex digits")
    return int(text[3:], 16)
