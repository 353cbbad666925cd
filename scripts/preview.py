"""The same as `digitseq preview`."""

from builder.cli import main

if __name__ == "__main__":
    raise SystemExit(main("preview"))
