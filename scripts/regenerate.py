"""The same as `digitseq regenerate`."""

from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main("regenerate"))
