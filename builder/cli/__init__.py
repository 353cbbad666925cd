"""The command line: `digitseq VERB`, and the same verbs as `python scripts/VERB.py`."""

from __future__ import annotations

from builder.cli.main import main

__all__ = ["main"]
