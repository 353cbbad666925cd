"""Labels files, one label a line: read, checked, and cached under their digest.

The canonical text of such a file is its lines without spaces, tabs and carriage returns at their
ends, each ended by a newline, without a byte order mark and blank lines at the end. A recipe names
the file by the sha256 of that text, a dataset carries a gzipped copy, and workers map the text from
the user's cache folder.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from builder.common import cache, untrusted_files
from builder.common.constants import Int32s, UInt8s
from builder.common.errors import BuilderError, DatasetError, UsageError
from builder.common.validation import FrozenModel, Sha256, WholeNumber, format_value, local_path

LONGEST_LABEL = 255
"""Digits of the longest label."""

MAX_TEXT_BYTES = 1 << 28
"""Limit of what is read: 44 million labels of five digits, which take 1.5 GB. A gzipped file can
hold a thousand times its size."""

BLANKS = " \t\r"
"""What is stripped from both ends of a line."""

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


class _Lines(NamedTuple):
    """Checked lines: their identity, their text, and where each begins, as `open_lines` has it."""

    identity: LabelsFile
    text: UInt8s
    begins: Int32s


def register_labels(path: str | Path, expected: LabelsFile | None = None) -> LabelsFile:
    """Read and check a labels file, cache its text, and return its identity.

    Args:
        path: The file, plain or gzipped.
        expected: If given, only this file is cached; the identity of another is just returned.

    Raises:
        UsageError: The file cannot be read, or holds no line or more than 256 MiB, or a line is
            blank, holds anything but digits, or has more than 255; the text names the line.
    """
    name = f"labels file {path}"
    try:
        with untrusted_files.open_named(local_path(path)) as file:
            text = untrusted_files.unzip(file).read(MAX_TEXT_BYTES + 1)
    except untrusted_files.READ_ERRORS as error:
        raise UsageError(f"{name}: cannot be read ({error})") from error
    lines = _parse(name, _canonical(name, text.removeprefix(codecs.BOM_UTF8)))
    if expected in (None, lines.identity):
        _store(lines)
    return lines.identity


def register_lines(lines: object) -> LabelsFile:
    """Check and cache labels that are given as texts; return the identity of a file of these lines.

    Args:
        lines: Texts of digits, in order.

    Raises:
        UsageError: It is no such list, or a text is blank, holds anything but digits, or has more
            than 255. Numbers are refused, since they lose their zeros.
    """
    if isinstance(lines, (str, bytes, Set, Mapping)) or not isinstance(lines, Iterable):
        raise UsageError(
            f"labels is {format_value(lines)}, expected a list of texts, such as ['012', '7']"
        )
    texts = []
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str) or not line.strip(BLANKS) or "\n" in line:
            raise UsageError(
                f"labels: label {number} is {format_value(line)}, expected a text of digits, "
                "such as '012' (numbers lose their zeros)"
            )
        texts.append(line)
    text = "\n".join(texts).encode("utf-8", "backslashreplace")
    return _store(_parse("labels", _canonical("labels", text)))


def read_copy(folder: Path, name: str, expected: LabelsFile) -> _Lines:
    """Read and check the copy of a labels file in a dataset. Nothing is cached.

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
        lines = _parse(f"labels file {path}", text)
        _require_claimed(expected, lines.begins)
    except BuilderError as error:
        raise DatasetError(str(error)) from None
    return lines


def register_copy(folder: Path, name: str, expected: LabelsFile) -> None:
    """Cache the text of the copy of a labels file in a dataset; see `read_copy`."""
    _store(read_copy(folder, name, expected))


def _canonical(name: str, text: bytes) -> bytes:
    """Return the canonical form of a text."""
    if len(text) > MAX_TEXT_BYTES:
        raise UsageError(f"{name}: holds more than {MAX_TEXT_BYTES} bytes of labels")
    if re.search(rb"[ \t\r]", text):  # splitting takes 35 bytes a line
        text = b"\n".join(line.strip(BLANKS.encode()) for line in text.split(b"\n"))
    return text.rstrip(b"\n") + b"\n"


def _parse(name: str, text: bytes) -> _Lines:
    """Check a canonical text, and return its lines."""
    _check_lines(name, text)
    flat = np.frombuffer(text, dtype=np.uint8)
    begins = np.concatenate([[0], np.flatnonzero(flat == ord("\n")) + 1]).astype(np.int32)
    identity = LabelsFile(
        sha256=hashlib.sha256(text).hexdigest(),
        lines=len(begins) - 1,
        longest=int(np.diff(begins).max()) - 1,
    )
    return _Lines(identity, flat, begins)


def _store(lines: _Lines) -> LabelsFile:
    """Cache lines, and return their identity."""
    entry = _cache_entry(lines.identity)
    if cache.load(entry, ARRAYS) is None:
        cache.store(entry, {"text": lines.text, "begins": lines.begins})
    return lines.identity


@lru_cache(maxsize=8)
def open_lines(file: LabelsFile) -> tuple[UInt8s, Int32s]:
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
    _require_claimed(file, begins)
    return text, begins


def _require_claimed(file: LabelsFile, begins: Int32s) -> None:
    """Raise `BuilderError` unless lines are as many and as long as a recipe claims."""
    lines, longest = len(begins) - 1, int(np.diff(begins).max()) - 1
    if (lines, longest) != (file.lines, file.longest):
        raise BuilderError(
            f"the recipe claims {file.lines} lines of up to {file.longest} digits, but the labels "
            f"file {file.sha256[:12]} has {lines} of up to {longest}"
        )


def gzip_text(file: LabelsFile) -> bytes:
    """Return the canonical text of a registered labels file, gzipped, without a time."""
    return gzip.compress(open_lines(file)[0].tobytes(), mtime=0)


def _cache_entry(file: LabelsFile) -> str:
    return f"labels-2-{file.sha256[:32]}"


def _check_lines(name: str, text: bytes) -> None:
    """Raise `UsageError` unless `text` is one or more lines of 1 to 255 digits each."""
    if not text.strip():
        raise UsageError(f"{name}: is empty, expected one label of digits a line")
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
    raise UsageError(f"{name}: line {number} {fault}")
