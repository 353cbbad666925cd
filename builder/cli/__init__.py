"""The command line: its verbs, their parsers, and how a command ends.

`digitseq VERB` and `python scripts/VERB.py` are the same.

Exit codes: 0 done, 1 failed, 2 wrong call, 130 and 143 when interrupted and terminated. An error
is one line on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from builder import __version__
from builder.common import signals
from builder.common.errors import BuilderError, one_line

VERBS = {
    "build": "make a dataset of handwritten digit sequences, or continue one that was begun",
    "regenerate": "make single samples again as PNG files, and compare them with the stored ones",
    "preview": "make a picture of samples, or of what each augmentation does to one",
    "verify": "check a dataset: its files, every byte, or samples made again; repair it",
    "info": "describe a dataset on one screen",
}
"""Verb and help line. Each verb is a module of this package that has `EXAMPLES`,
`add_arguments(parser)` and `run(arguments)`, which returns the exit code."""

STOPPED = "stopped; what is finished is kept, and the same call goes on from there"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the call, and exit with code 2."""
        raise SystemExit(print_error(self.prog, f"{message} (see --help)", 2))


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
    parsed = parser.parse_args(rest)
    return run_command(program, lambda: module.run(parsed))


def _parse_verb(arguments: Sequence[str]) -> str:
    """Return the verb; or print the help, the version or an error, and exit."""
    parser = Parser(
        "digitseq", description="Images of handwritten digit sequences.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for name, text in VERBS.items():
        verbs.add_parser(name, help=text)
    return parser.parse_args(arguments).verb


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run a command, and return its exit code; print errors that a user can act on as one line."""
    try:
        with signals.raise_on_signal():
            code = command()
            if sys.stdout is not None:  # it is None where a caller closed it
                sys.stdout.flush()
            return code
    except BuilderError as error:
        return print_error(program, str(error), error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return print_error(program, f"{place}{error.strerror or error}", 1)
    except signals.StopRequested as stopped:
        return print_error(program, STOPPED, 128 + stopped.number)


def print_error(program: str, message: str, code: int) -> int:
    """Print an error as one line on standard error, and return the exit code."""
    print(f"{program}: {one_line(message)}", file=sys.stderr)
    return code
