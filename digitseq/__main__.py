"""The command line: `python -m digitseq VERB` is the same as `digitseq VERB`."""

import digitseq  # noqa: F401  # finds `builder` where another package of that name hides it
from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
