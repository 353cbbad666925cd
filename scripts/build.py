"""The same as `digitseq build`."""

from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main("build"))
