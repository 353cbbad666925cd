"""The content digest: one number for a set of samples, however they are stored.

The digest of a sample is XXH3-128 over index u64, seed u64, width u32, length u8
(little-endian), the digits u8, and the pixels row by row. The digest of a set is the sum of
those of its samples mod 2**128. It depends on no shard, format or order, and the digests of
parts add up. It detects accidents, not forgery. Hash: Y. Collet, "xxHash", XXH3 128-bit
variant, seed 0.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from builder.common.constants import UInt8s
from builder.common.errors import DatasetError
from builder.generator.batch import Batch

MODULUS = 1 << 128

HEAD = np.dtype([("index", "<u8"), ("seed", "<u8"), ("width", "<u4"), ("length", "u1")])

GROUP = 64
"""Samples whose bytes are joined at a time: few enough for the processor's cache."""


def digest_of(batch: Batch) -> int:
    """Return the content digest of a batch, in [0, 2**128)."""
    from xxhash import xxh3_128_intdigest

    heads, starts = _heads(batch)
    pixels = batch.images.reshape(len(batch), -1)
    total = 0
    for first in range(0, len(batch), GROUP):
        group = slice(first, first + GROUP)
        rows = np.concatenate([heads[group], pixels[group]], axis=1)
        flat, size = rows.data.cast("B"), rows.shape[1]
        for row, start in enumerate(starts[group].tolist()):
            total += xxh3_128_intdigest(flat[row * size + start : (row + 1) * size])
    return total % MODULUS


def _heads(batch: Batch) -> tuple[UInt8s, npt.NDArray[np.intp]]:
    """Return the bytes hashed before the pixels, (B, bytes), and where each row starts.

    Labels differ in length, so the first bytes of a row with a shorter label do not count.
    """
    samples, longest = batch.labels.shape
    numbers = np.empty(samples, dtype=HEAD)
    numbers["index"], numbers["seed"] = batch.index, batch.seeds
    numbers["width"], numbers["length"] = batch.images.shape[2], batch.lengths
    parts = [numbers.view(np.uint8).reshape(samples, -1), batch.labels.astype(np.uint8)]
    heads = np.concatenate(parts, axis=1)
    starts = longest - batch.lengths.astype(np.intp)
    for start in np.unique(starts).tolist():
        shorter = starts == start
        heads[shorter, start:] = heads[shorter, : heads.shape[1] - start]
    return heads, starts


def format_digest(digest: int) -> str:
    """Return a content digest as files and messages show it: `c1:` and 32 hex digits."""
    return f"c1:{digest % MODULUS:032x}"


def parse_digest(text: str) -> int:
    """Return the number of a content digest. Raises `DatasetError` for another form."""
    if not re.fullmatch(r"c1:[0-9a-f]{32}", text):
        raise DatasetError(f"content digest is '{text[:60]}', expected c1: and 32 hex digits")
    return int(text[3:], 16)


def add_digests(*digests: str) -> str:
    """Return the content digest of the union of disjoint sets, by the digests of these."""
    return format_digest(sum(map(parse_digest, digests)))
