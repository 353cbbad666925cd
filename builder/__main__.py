"""The command line: `python -m builder VERB` is the same as `digitseq VERB`."""

from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
