"""The verbs of the command line, and the way from arguments to one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from builder.cli.console import Parser, guarded

VERBS = {
    "build": "make a dataset, or go on with one",
    "regenerate": "make single samples again, by seed or index",
    "preview": "make a picture of samples, or of what each augmentation does",
    "verify": "check a dataset, and repair it",
    "info": "say what a dataset is, on one screen",
}
"""Verb and what it does; each is a module here with `EXAMPLES`, `add_arguments` and `run`."""


def main(verb: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; without a verb, the first argument names it."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    program = f"{verb}.py"
    if verb is None:
        chooser = Parser("digitseq", description="Images of handwritten digit sequences.")
        help_of_verbs = "; ".join(f"{name}: {text}" for name, text in VERBS.items())
        chooser.add_argument("verb", choices=VERBS, metavar="VERB", help=help_of_verbs)
        verb = str(chooser.parse_args(rest[:1]).verb)
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
    options = parser.parse_args(rest)
    return guarded(program, lambda: int(module.run(options)))
