"""What really lies in a PNG folder, whatever its labels say: for `verify`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from builder.common import atomic_files
from builder.storage.config import Shard
from builder.storage.findings import Findings, listed
from builder.storage.formats.png import METADATA

IMAGE_NAME = re.compile(r"(0\d{11}|[1-9]\d{11,18})_(\d+)\.png", re.ASCII)
"""Index of twelve digits or more, and label: see `builder.storage.formats.png.png_name`."""


def look(folder: Path, shard: Shard, findings: Findings) -> int:
    """Add what is missing from a shard's folder or does not belong there; return its bytes.

    `folder` is a folder and no link. Nothing in it is opened.
    """
    total, seen = 0, {METADATA: 0}
    for entry in listed(folder):
        match = IMAGE_NAME.fullmatch(entry.name)
        index = int(match[1]) if match else -1
        name = f"{shard.name}/{entry.name}"
        if not entry.is_file(follow_symlinks=False):
            findings.stranger(name, "is no plain file, expected PNG files and labels only", shard)
        elif entry.name != METADATA and index not in range(shard.start, shard.start + shard.count):
            findings.stranger(name, "does not belong to this shard", shard)
        else:
            key = entry.name if index < 0 else str(index)
            seen[key] = seen.get(key, 0) + 1
            total += entry.stat(follow_symlinks=False).st_size
    if not seen[METADATA]:
        findings.shard(shard, f"{METADATA} is not there")
    _count(seen, shard, findings)
    return total


def _count(seen: dict[str, int], shard: Shard, findings: Findings) -> None:
    """Add a fault for all indices without an image, and one for those with several."""
    indices = range(shard.start, shard.start + shard.count)
    without = [index for index in indices if str(index) not in seen]
    several = [index for index in indices if seen.get(str(index), 0) > 1]
    if without:
        findings.shard(
            shard, f"{len(without)} of {shard.count} images are not there, as of index {without[0]}"
        )
    if several:
        findings.shard(
            shard, f"{len(several)} images are there more than once, as of index {several[0]}"
        )


def sha256_of_folder(folder: Path, name: str) -> str:
    """Return the sha256 of the sorted lines `name size sha256` of what a shard's folder holds."""
    lines = []
    for entry in listed(folder / name):
        size = entry.stat(follow_symlinks=False).st_size
        sha256 = atomic_files.sha256_untrusted(folder, f"{name}/{entry.name}")
        lines.append(f"{entry.name} {size} {sha256}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
