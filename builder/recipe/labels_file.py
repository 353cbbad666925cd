"""Labels files, one label a line: read, checked, and cached under their digest.

The canonical text of such a file is its lines without spaces and carriage returns at their
ends, each ended by a newline. A recipe names the file by the sha256 of that text, a dataset
carries a gzipped copy, and workers map the text from the user's cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field

from builder.common import cache, untrusted_files
from builder.common.constants import Ints, UInt8s
from builder.common.errors import BuilderError, DatasetError, UsageError
from builder.common.validation import FrozenModel, Sha256, WholeNumber

LONGEST_LABEL = 255
"""Digits of the longest label."""

MAX_TEXT_BYTES = 1 << 28
"""Limit of what is read: 44 million labels of five digits, which take 1.5 GB. A gzipped file can
hold a thousand times its size."""

ARRAYS = ("text", "begins")
"""The arrays of a cache entry: see `open_lines`."""


class LabelsFile(FrozenModel):
    """The identity of a labels file in a recipe.

    Attributes:
        sha256: The sha256 of its canonical text, 64 hex digits.
        lines: How many lines it has.
        longest: Digits of its longest label.
    """

    sha256: Sha256
    lines: WholeNumber = Field(ge=1)
    longest: WholeNumber = Field(ge=1, le=LONGEST_LABEL)


def register_labels(path: str | Path) -> LabelsFile:
    """Read and check a labels file, cache its text, and return its identity.

    Args:
        path: The file, plain or gzipped.

    Raises:
        UsageError: The file cannot be read, or holds no line or more than 256 MiB, or a line is
            blank, holds anything but digits, or has more than 255; the text names the line.
    """
    try:
        with Path(path).open("rb") as file:
            text = untrusted_files.unzip(file).read(MAX_TEXT_BYTES + 1)
    except untrusted_files.READ_ERRORS as error:
        raise UsageError(f"labels file {path}: cannot be read ({error})") from error
    if len(text) > MAX_TEXT_BYTES:
        raise UsageError(f"labels file {path}: holds more than {MAX_TEXT_BYTES} bytes of labels")
    if re.search(rb"[ \r]", text):  # splitting takes 35 bytes a line
        text = b"\n".join(line.strip(b" \r") for line in text.split(b"\n"))
    return _store(path, text)


def register_copy(folder: Path, name: str, expected: LabelsFile) -> None:
    """Cache the text of the copy of a labels file in a dataset.

    Its digest is compared before anything else is read from it.

    Args:
        folder: The folder of the dataset.
        name: The name of the copy.
        expected: The labels file of the recipe.

    Raises:
        DatasetError: The copy cannot be read, or is not the expected file.
    """
    path = folder / name
    most = min(MAX_TEXT_BYTES, expected.lines * (expected.longest + 1))
    try:
        with untrusted_files.open_untrusted(folder, name, MAX_TEXT_BYTES) as file:
            text = untrusted_files.unzip(file).read(most + 1)
    except untrusted_files.READ_ERRORS as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from None
    if len(text) > most or hashlib.sha256(text).hexdigest() != expected.sha256:
        raise DatasetError(f"{path}: is not the labels file of the recipe")
    try:
        _store(path, text)
        open_lines(expected)
    except BuilderError as error:
        raise DatasetError(str(error)) from None


def _store(path: str | Path, text: bytes) -> LabelsFile:
    """Check and cache lines, stripped of spaces, and return their identity."""
    text += b"" if text.endswith(b"\n") or not text else b"\n"
    _check_lines(path, text)
    flat = np.frombuffer(text, dtype=np.uint8)
    begins = np.concatenate([[0], np.flatnonzero(flat == ord("\n")) + 1]).astype(np.int64)
    identity = LabelsFile(
        sha256=hashlib.sha256(text).hexdigest(),
        lines=len(begins) - 1,
        longest=int(np.diff(begins).max()) - 1,
    )
    if cache.load(_cache_entry(identity), ARRAYS) is None:
        cache.store(_cache_entry(identity), {"text": flat, "begins": begins})
    return identity


@lru_cache(maxsize=8)
def open_lines(file: LabelsFile) -> tuple[UInt8s, Ints]:
    """Return the lines of a registered labels file, mapped from the cache.

    Returns:
        The text, uint8 of ASCII, and where its lines begin (lines + 1,): line i is
        text[begins[i]:begins[i + 1] - 1].

    Raises:
        BuilderError: This user has not registered the file, or its lines are not as claimed.
    """
    arrays = cache.load(_cache_entry(file), ARRAYS)
    if arrays is None:
        raise BuilderError(
            f"the labels file with sha256 {file.sha256[:12]} is not known on this machine: "
            "name it with --labels-file, or open the dataset that carries it"
        )
    text, begins = (np.asarray(arrays[name]) for name in ARRAYS)
    lines, longest = len(begins) - 1, int(np.diff(begins).max()) - 1
    if (lines, longest) != (file.lines, file.longest):
        raise BuilderError(
            f"the recipe claims {file.lines} lines of up to {file.longest} digits, but the labels "
            f"file {file.sha256[:12]} has {lines} of up to {longest}"
        )
    return text, begins


def gzip_text(file: LabelsFile) -> bytes:
    """Return the canonical text of a registered labels file, gzipped, without a time."""
    return gzip.compress(open_lines(file)[0].tobytes(), mtime=0)


def _cache_entry(file: LabelsFile) -> str:
    return f"labels-2-{file.sha256[:32]}"


def _check_lines(path: str | Path, text: bytes) -> None:
    """Raise `UsageError` unless `text` is one or more lines of 1 to 255 digits each."""
    if not text.strip():
        raise UsageError(f"labels file {path}: is empty, expected one label of digits a line")
    wrong = re.search(rb"(?m)^(?![0-9]{1,%d}$).*\n" % LONGEST_LABEL, text)
    if wrong is None:
        return
    line = wrong.group().removesuffix(b"\n")
    if not line:
        fault = "is blank, expected a label of digits"
    elif line.isdigit():
        fault = f"has {len(line)} digits, expected 1 to {LONGEST_LABEL}"
    else:
        excerpt = line[:40].decode("ascii", "backslashreplace")
        fault = f"is '{excerpt}', expected digits 0 to 9 only"
    number = text.count(b"\n", 0, wrong.start()) + 1
    raise UsageError(f"labels file {path}: line {number} {fault}")
