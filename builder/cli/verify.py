"""`digitseq verify`: check a dataset, and repair it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from builder.cli.options import add_worker_options, build_options, given_fields, log_handler
from builder.common.errors import UsageError, log_to
from builder.storage.manifest_check import Fault
from builder.verification.repair import repair_dataset
from builder.verification.verify import (
    DEFAULT_SAMPLES,
    VerifyOptions,
    VerifyReport,
    verify_dataset,
)

EXAMPLES = """examples:
  %(prog)s shards/run1
  %(prog)s shards/run1 --full --workers 16
  %(prog)s shards/run1 --deep --samples 10000
  %(prog)s shards/run1 --full --repair
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset's folder")
    level = parser.add_mutually_exclusive_group()
    add_level = partial(level.add_argument, dest="level", action="store_const", default="quick")
    add_level("--full", const="full", help="read every byte; without, only names, sizes, records")
    add_level("--deep", const="deep", help="make samples again, and compare them with the stored")
    parser.add_argument(
        "--repair", action="store_true", help="make broken shards again, then check once more"
    )
    add_absent = partial(parser.add_argument, default=argparse.SUPPRESS)
    add_absent(
        "--samples", type=int, metavar="K", help=f"samples that --deep makes ({DEFAULT_SAMPLES})"
    )
    add_absent("--dataset-dir", type=Path, metavar="DIR", help="folder of the digits, if not MNIST")
    add_worker_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the faults and a line that sums them up; return 1 if one is left."""
    if "samples" in arguments and arguments.level != "deep":
        raise UsageError("--samples is given without --deep, which it is for")
    given = given_fields(arguments, ["level", "samples", "dataset_dir"])
    options = VerifyOptions(run=build_options(arguments), **given)
    with log_to(log_handler(arguments)):
        if not arguments.repair:
            return _print_report(verify_dataset(arguments.dataset, options)[0])
        repaired = repair_dataset(arguments.dataset, options)
    code = _print_report(repaired.before)
    if repaired.before.whole:
        return code
    shards = f"{len(repaired.made):,} shard{'' if len(repaired.made) == 1 else 's'}"
    print(f"{arguments.dataset}: {shards} made again; checked once more:")
    return _print_report(repaired.after, repaired.unequal)


def _print_report(report: VerifyReport, unequal: Sequence[Fault] = ()) -> int:
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
