"""The one family of errors that users see, each carrying the exit code of its kind."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return a text as one line that moves no cursor: what is not printable is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class BuilderError(Exception):
    """Anything that goes wrong for a reason a user can act on.

    The text is one line: what was given, what was expected, what to do. The
    command line prints it without a traceback and ends with `exit_code`.
    """

    exit_code = 1

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class UsageError(BuilderError, ValueError):
    """The call was wrong: a value out of range, a bad file, a folder in use."""

    exit_code = 2


class BuildError(BuilderError):
    """The call was right, but the run could not be finished (a full disk, a dead worker)."""


class DatasetError(BuilderError):
    """A dataset on disk is incomplete, damaged, or not of this program's making."""
