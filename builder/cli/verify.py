"""`digitseq verify`: check a dataset, and repair it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from builder.cli import options, print_line
from builder.common.errors import UsageError
from builder.storage.manifest_check import Fault
from builder.verification.repair import repair_dataset
from builder.verification.verify import VerifyOptions, VerifyReport, verify_dataset

EXAMPLES = """examples:
  %(prog)s shards/run1
  %(prog)s shards/run1 --full --workers 16
  %(prog)s shards/run1 --deep --samples 10000
  %(prog)s shards/run1 --full --repair
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    add = parser.add_argument
    add("dataset", type=options.parse_path, metavar="DATASET", help="a dataset's folder")
    level = parser.add_mutually_exclusive_group()
    add_level = partial(level.add_argument, dest="level", action="store_const")
    add_level("--full", const="full", help="read every byte; without, only names, sizes, records")
    add_level("--deep", const="deep", help="make samples again, and compare them with the stored")
    add("--repair", action="store_true", help="make broken shards again, then check once more")
    options.add_field(parser, VerifyOptions, "samples")
    options.add_field(parser, VerifyOptions, "dataset_dir")
    options.add_worker_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the faults and a line that sums them up; return 1 if one is left."""
    verify_options = options.worker_options(arguments, VerifyOptions)
    if "samples" in arguments and verify_options.level != "deep":
        raise UsageError("--samples is given without --deep, which it is for")
    with options.show_log(arguments):
        if "repair" not in arguments:
            return _print_report(verify_dataset(arguments.dataset, verify_options)[0])
        repaired = repair_dataset(arguments.dataset, verify_options)
    code = _print_report(repaired.before)
    if repaired.before.whole:
        return code
    shards = f"{len(repaired.made):,} shard{'' if len(repaired.made) == 1 else 's'}"
    print_line(f"{arguments.dataset}: {shards} made again; checked once more:")
    return _print_report(repaired.after, repaired.unequal)


def _print_report(report: VerifyReport, unequal: Sequence[Fault] = ()) -> int:
    """Print the faults and the line that sums them up; return the exit code."""
    for fault in (*unequal, *report.faults):
        print_line(str(fault))
    for note in report.notes:
        print_line(f"note: {note}")
    if unequal:
        print_line(
            f"{report.path}: repaired, but not as it was: {len(unequal)} of its digests differ"
        )
        return 1
    print_line(str(report))
    return 0 if report.whole else 1
