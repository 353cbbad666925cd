"""The command line: its verbs, their parsers, and how a command ends.

`digitseq VERB` and `python scripts/VERB.py` are the same.

Exit codes: 0 done, 1 failed, 2 wrong call, 130 and 143 when interrupted and terminated. An error
is one line on standard error. A terminal that is gone, or a pipe that is closed, changes no exit
code: the code speaks of the dataset.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import re
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from builder import __version__
from builder.common import signals
from builder.common.errors import BuilderError, one_line, open_closed_streams

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

VERBS = {
    "build": "make a dataset of handwritten digit sequences, or continue one that was begun",
    "regenerate": "make single samples again as PNG files, and compare them with the stored ones",
    "preview": "make a picture of samples, or of what each augmentation does to one",
    "verify": "check a dataset: its files, every byte, or samples made again; repair it",
    "info": "describe a dataset on one screen",
}
"""Verb and help line. Each verb is a module of this package that has `EXAMPLES`,
`add_arguments(parser)` and `run(arguments)`, which returns the exit code."""

MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
"""What a letter after a number multiplies it by."""

STOPPED = "stopped; what is finished is kept, and the same call goes on from there"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the call, and exit with code 2."""
        raise SystemExit(print_error(self.prog, f"{message} (see --help)", 2))


def parse_whole(text: str) -> int:
    """Return the whole number of a text such as `10000`, `10k`, `2M` or `1e4`."""
    match = re.fullmatch(r"([+-]?(?:\d+\.?|\d*\.\d+)(?:e\+?\d{1,2})?)([kmgt]?)", text, re.I | re.A)
    with suppress(ValueError):
        value = int(text) if match is None else Fraction(match[1]) * MULTIPLES[match[2].lower()]
        if value.denominator == 1:
            return value.numerator
    raise argparse.ArgumentTypeError(
        f"'{text}' is not a whole number, such as 10000, 10k, 2M or 1e4"
    )


def parse_range(text: str) -> tuple[int, int]:
    """Return the range of `5`, `1:5` or `1,5`."""
    low, colon, high = text.replace(",", ":").partition(":")
    try:
        return int(low), int(high if colon else low)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number or a range, such as 5 or 1:5"
        ) from None


def _join_spacing(arguments: Sequence[str]) -> list[str]:
    """Return arguments with `--spacing` and its value in one: two numbers, or what begins with `-`.

    argparse would take `-4:12` for an option, and a path after one number for a second one.
    """
    text = "\0".join(["", *arguments, ""])
    text = re.sub(r"\0--spacing\0(-?\d+)\0(-?\d+)(?=\0)", r"\0--spacing=\1:\2", text)
    return re.sub(r"\0--spacing\0(?=-\d)", r"\0--spacing=", text).split("\0")[1:-1]


class _UnfailingFile(io.FileIO):
    """A standard stream that takes everything: what cannot be written is lost, and noted."""

    lost: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write some bytes; return how many are written, or all where none can be."""
        try:
            while (written := super().write(data)) is None:  # non-blocking, and full
                select.select([], [self], [])
        except OSError as error:
            self.lost = error
            return memoryview(data).nbytes
        return written


@contextmanager
def _open_streams() -> Iterator[None]:
    """Give the body standard streams to which every text can be written without an error.

    A character that a stream cannot encode is escaped. A stream that the caller put in place of
    the process's own one is left alone.
    """
    open_closed_streams()
    out, err = (_UnfailingFile(number, "w", closefd=False) for number in (1, 2))
    with (
        redirect_stdout(_text(out, sys.stdout) if sys.stdout is sys.__stdout__ else sys.stdout),
        redirect_stderr(_text(err, sys.stderr) if sys.stderr is sys.__stderr__ else sys.stderr),
    ):
        try:
            yield
        finally:
            sys.stdout.flush()
            if out.lost is not None and out.lost.errno != errno.EPIPE:  # the reader had enough
                print_error("standard output", f"{out.lost.strerror}; not all is printed", 0)
            sys.stderr.flush()


def _text(file: _UnfailingFile, replaced: Any) -> TextIO:
    """Return a text stream that writes to a file in place of a stream of the process."""
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        replaced.encoding,
        "backslashreplace",
        line_buffering=bool(replaced.line_buffering),
    )


@_open_streams()
def main(verb: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        verb: The verb; by default the first of the arguments names it.
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code.
    """
    rest = list(sys.argv[1:] if arguments is None else arguments)
    program = f"{verb}.py"
    if verb is None:
        verb = _parse_verb(rest[:1])
        program, rest = f"digitseq {verb}", rest[1:]
    name = verb
    return run_command(program, lambda: _run_verb(name, program, rest), last=arguments is None)


def _run_verb(verb: str, program: str, arguments: Sequence[str]) -> int:
    module = import_module(f"builder.cli.{verb}")
    parser = Parser(
        program,
        description=f"{VERBS[verb].capitalize()}.",
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # an option that is not given is absent
    )
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(_join_spacing(arguments)))
    return code


def _parse_verb(arguments: Sequence[str]) -> str:
    """Return the verb; or print the help, the version or an error, and exit."""
    for verb in arguments:
        if not verb.startswith("-") and verb not in VERBS:
            nearest = difflib.get_close_matches(verb, VERBS, 1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"verbs: {', '.join(VERBS)}"
            raise SystemExit(print_error("digitseq", f"there is no verb '{verb}': {hint}", 2))
    parser = Parser(
        "digitseq", description="Images of handwritten digit sequences.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for name, text in VERBS.items():
        verbs.add_parser(name, help=text)
    return parser.parse_args(arguments).verb


@_open_streams()
def run_command(program: str, command: Callable[[], int], *, last: bool) -> int:
    """Run a command, and return its exit code; print errors that a user can act on as one line.

    Args:
        program: What a line begins with.
        command: Parses its arguments and runs.
        last: Whether the process ends with this command. Further signals are ignored then.
    """
    try:
        with signals.raise_on_signal(last=last):
            return command()
    except BuilderError as error:
        return print_error(program, str(error), error.exit_code)
    except FileExistsError as error:
        reason = "is no folder (but a file, or a link to nothing), expected one"
        return print_error(program, f"{error.filename}: {reason}", 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return print_error(program, f"{place}{error.strerror or error}", 1)
    except signals.StopRequested as stopped:
        return print_error(program, STOPPED, 128 + stopped.number)


def print_line(text: str) -> None:
    """Print a line of the result on standard output; what moves a cursor is escaped."""
    print(one_line(text))


def print_rows(rows: Mapping[str, str]) -> None:
    """Print a table with a row for each fact, after its name."""
    width = max(map(len, rows))
    for name, value in rows.items():
        print_line(f"{name:{width}}  {value}")


def print_error(program: str, message: str, code: int) -> int:
    """Print an error as one line on standard error, and return the exit code."""
    print(f"{program}: {one_line(message)}", file=sys.stderr)
    return code
