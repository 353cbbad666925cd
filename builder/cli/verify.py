"""Check a dataset: that all of it is there, each byte of it, or samples against ones made anew."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from builder.common.errors import UsageError
from builder.common.log import log_to
from builder.storage.findings import Fault
from builder.verification.repair import carry_out
from builder.verification.verify import DEFAULT_SAMPLES, Check, Report, checked
from builder.workers.options import BuildOptions

EXAMPLES = """examples:
  verify.py shards/run1
  verify.py shards/run1 --full --workers 16
  verify.py shards/run1 --deep --samples 10000
  verify.py shards/run1 --full --repair
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset's folder")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--full", dest="level", action="store_const", const="full",
                       default="quick",
                       help="read every byte; without, only names, sizes and records")  # fmt: skip
    level.add_argument("--deep", dest="level", action="store_const", const="deep",
                       help="make samples anew, and compare them with the stored ones")  # fmt: skip
    parser.add_argument("--samples", type=int, metavar="K",
                        help=f"how many samples --deep makes ({DEFAULT_SAMPLES})")  # fmt: skip
    parser.add_argument("--repair", action="store_true",
                        help="make what is broken again, then check once more")  # fmt: skip
    parser.add_argument("--dataset-dir", type=Path, metavar="DIR",
                        help="folder of the digits, where they are not MNIST's")  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N",
                        help="worker processes at most (all usable cores)")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress, no log")


def run(arguments: argparse.Namespace) -> int:
    """List the faults and sum them up; 1 where there is one, at the end of a repair."""
    if arguments.samples is not None and arguments.level != "deep":
        raise UsageError("--samples is given without --deep, which it is for")
    samples = DEFAULT_SAMPLES if arguments.samples is None else arguments.samples
    how = Check(
        arguments.level,
        samples,
        BuildOptions(arguments.workers, progress=not arguments.quiet),
        arguments.dataset_dir,
    )
    handler = logging.NullHandler() if arguments.quiet else logging.StreamHandler(sys.stderr)
    with log_to(handler):
        if not arguments.repair:
            return _told(checked(arguments.dataset, how)[0])
        repaired = carry_out(arguments.dataset, how)
    if repaired.before.whole:
        return _told(repaired.before)
    _told(repaired.before)
    made = f"{len(repaired.made):,} shard{'' if len(repaired.made) == 1 else 's'} made again"
    print(f"{arguments.dataset}: {made}; checked once more:")
    return _told(repaired.after, repaired.unequal)


def _told(report: Report, unequal: Sequence[Fault] = ()) -> int:
    """Print the faults and the line that sums them up; return the exit code."""
    for fault in (*unequal, *report.faults):
        print(fault)
    for note in report.notes:
        print(f"note: {note}")
    if unequal:
        print(f"{report.path}: repaired, but not as it was: {len(unequal)} of its digests differ")
        return 1
    print(report)
    return 0 if report.whole else 1
