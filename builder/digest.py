"""The content digest: one number for a set of samples, whatever they are stored in.

h(i) is XXH3-128 over index u64, seed u64, width u32, length u8 (little-endian), the digits
u8, and the pixels row by row. The digest of a set is the sum of its h(i) mod 2**128, so
it depends on no shard, format or order, and the digests of parts add up. It detects
accidents, not forgery. Hash: Y. Collet, "xxHash", XXH3 128-bit variant, seed 0.
"""

from __future__ import annotations

import re
import struct

from builder.batch import Batch
from builder.errors import DatasetError

MODULUS = 1 << 128
_HEAD = struct.Struct("<QQIB")


def digest_of(batch: Batch) -> int:
    """Return the content digest of a batch, in [0, 2**128)."""
    from xxhash import xxh3_128_intdigest

    width = batch.images.shape[2]
    digits = batch.labels.astype("u1")
    total = 0
    for row in range(len(batch)):
        length = int(batch.lengths[row])
        head = _HEAD.pack(int(batch.index[row]), int(batch.seeds[row]), width, length)
        body = digits[row, :length].tobytes() + batch.images[row].tobytes()
        total += xxh3_128_intdigest(head + body)
    return total % MODULUS


def written(digest: int) -> str:
    """Return a content digest as files and messages show it: `c1:` and 32 hex digits."""
    return f"c1:{digest % MODULUS:032x}"


def parsed(text: str) -> int:
    """Return the number of a written digest. Raises `DatasetError` for another form."""
    if not re.fullmatch(r"c1:[0-9a-f]{32}", text):
        raise DatasetError(f"content digest is '{text[:60]}', expected c1: and 32 hex digits")
    return int(text[3:], 16)
