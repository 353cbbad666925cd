"""The command line of the examples: common options, and errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from hardware import PRECISIONS

from builder import UsageError
from builder.cli.options import parse_path


def make_parser(description: str | None, batch_size: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every example.

    Args:
        description: Help text above the options.
        batch_size: Default of `--batch-size`, from 1.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=whole_number_from(1), default=batch_size)
    parser.add_argument("--seed", type=whole_number_from(0), default=0, help="weights and samples")
    parser.add_argument("--workers", type=whole_number_from(0), default=0, help="render samples")
    parser.add_argument("--device", help="such as cuda, mps, cpu; default: the first of them there")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: measured")
    parser.add_argument("--final", action="store_true", help="test on test glyphs")
    parser.add_argument(
        "--out", type=parse_path, default=Path("trained"), help="folder for the results"
    )
    return parser


def whole_number_from(least: int) -> Callable[[str], int]:
    """Return a function that parses a whole number of at least `least`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number from {least}")
        return int(text)

    return parse


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")


def run(
    train: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
) -> None:
    """Parse the options and train; print a wrong option or folder as one line.

    Args:
        train: Trains a model, given the options.
        parser: The parser of the options.
        arguments: The words of the call, those of this process if None.
    """
    options = parser.parse_args(arguments)
    try:
        train(options)
    except UsageError as error:
        parser.error(str(error))
    except OSError as error:  # the folder for the results is created before the training
        parser.exit(1, f"{parser.prog}: error: {error}\n")
