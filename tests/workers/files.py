"""Files of datasets, for comparisons of whole folders."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_files(folder: Path, exclude: tuple[str, ...] = (".lock", "build.log")) -> dict[str, str]:
    """Return the sha256 of every file below a folder, but not of those with times and hosts."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(exclude)
    }
