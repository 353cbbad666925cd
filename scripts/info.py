"""The same as `digitseq info`."""

from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main("info"))
