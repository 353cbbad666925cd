"""From arguments to an exit code: 0 done, 1 failed, 2 wrong call, 130 and 143 when stopped."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

from builder.errors import BuilderError

VERBS = {
    "build": "make a dataset, or go on with one",
    "regenerate": "make single samples again, by seed or index",
    "info": "say what a dataset is, on one screen",
}
"""Verb and what it does; each is a module here with `add_arguments` and `run`."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the call, and end with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


def main(verb: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; without a verb, the first argument names it."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    program = f"{verb}.py" if verb else "digitseq"
    if verb is None:
        chooser = Parser(program, description="Images of handwritten digit sequences.")
        help_of_verbs = "; ".join(f"{name}: {text}" for name, text in VERBS.items())
        chooser.add_argument("verb", choices=VERBS, metavar="VERB", help=help_of_verbs)
        verb = chooser.parse_args(rest[:1]).verb
        program, rest = f"digitseq {verb}", rest[1:]
    module = import_module(f"builder.cli.{verb}")
    parser = Parser(
        program,
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return _guarded(program, module.run, parser.parse_args(rest))


def _guarded(program: str, run: object, arguments: argparse.Namespace) -> int:
    """Run a verb; turn errors that a user can act on into one line and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(run(arguments))  # type: ignore[operator]  # every verb's module has it
    except BuilderError as error:
        return _said(program, str(error), error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _said(program, f"{place}{error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _said(program, STOPPED, 130)
    except Terminated:
        return _said(program, STOPPED, 143)


STOPPED = "stopped; what is finished is kept, and the same call goes on from there"


def _said(program: str, text: str, code: int) -> int:
    print(f"{program}: {' '.join(text.split())}", file=sys.stderr)
    return code


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
