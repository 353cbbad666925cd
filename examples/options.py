"""The options that the examples have in common."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable
from pathlib import Path

from builder.common.errors import UsageError


def parser_of(description: str | None, batch_size: int) -> argparse.ArgumentParser:
    """Return a parser of the options that every training has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=at_least(1), default=batch_size)
    parser.add_argument("--seed", type=at_least(0), default=0, help="of weights and samples")
    parser.add_argument("--workers", type=at_least(0), default=0, help="that render samples")
    parser.add_argument("--final", action="store_true", help="test on test glyphs, too")
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder for the results")
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` on."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number from {least}")
        return int(text)

    return number


def above_zero(text: str) -> float:
    """Read a finite number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")


def run(train: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Train by the options given; what is wrong with them is said in one line."""
    options = parser.parse_args()
    try:
        train(options)
    except UsageError as error:
        parser.error(str(error))
    except OSError as error:  # the folder for the results is made before anything is trained
        parser.exit(1, f"{parser.prog}: error: {error}\n")
