"""How a command meets its user: errors of one line, and exit codes.

0 done, 1 failed, 2 wrong call, 130 and 143 when interrupted and terminated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from builder.common import signals
from builder.common.errors import BuilderError

STOPPED = "stopped; what is finished is kept, and the same call goes on from there"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the call, and end with exit code 2."""
        raise SystemExit(said(self.prog, BuilderError(f"{message} (see --help)"), 2))


def guarded(program: str, run: Callable[[], int]) -> int:
    """Run a command; turn errors that a user can act on into one line and an exit code."""
    try:
        with signals.raise_on_signal():
            code = run()
            if sys.stdout is not None:  # it is None where a caller closed it
                sys.stdout.flush()
            return code
    except BuilderError as error:
        return said(program, error, error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return said(program, BuilderError(f"{place}{error.strerror or error}"), 1)
    except signals.StopRequested as stopped:
        return said(program, BuilderError(STOPPED), 128 + stopped.number)


def said(program: str, error: BuilderError, code: int) -> int:
    """Print an error as one line on standard error; return the exit code."""
    print(f"{program}: {error}", file=sys.stderr)
    return code
