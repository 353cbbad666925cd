"""Make a dataset of handwritten digit sequences, or go on with one that was begun."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

from builder.cli.options import add_recipe_options, json_in, recipe_from
from builder.common.errors import UsageError
from builder.common.log import log, log_to
from builder.storage import formats
from builder.storage.config import PLAN, DatasetConfig, Part, StorageOptions
from builder.storage.output_folder import OutputFolder
from builder.verification.repair import distrust
from builder.workers import pipeline, pool
from builder.workers.estimate import forecast
from builder.workers.options import DEFAULT_BLOCK, HANG_LIMIT, BuildOptions

EXAMPLES = """examples:
  build.py --count 1000000 --workers 16
  build.py --count 50000 --format png --length 5 --width 160 --out shards/five
  build.py --count 20000 --numbers 000:999 --augment light --scale 0.2 --seed 7
  build.py --count 1000000000000 --dry-run
"""

SHARD_SIZE = StorageOptions().shard_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    absent = argparse.SUPPRESS
    parser.add_argument("--count", type=int, metavar="N", help="how many images (required)")
    parser.add_argument("--workers", type=int, metavar="N",
                        help="worker processes at most (all usable cores)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="folder of the dataset (shards/<recipe>-<format>)")  # fmt: skip
    parser.add_argument("--format", default=absent, choices=formats.FORMATS,
                        help="HDF5 shards (default) or folders of PNG files")  # fmt: skip
    parser.add_argument("--compression", default=absent, choices=("none", "gzip"),
                        help="of HDF5 images (none)")  # fmt: skip
    parser.add_argument("--masks", action="store_true", default=absent,
                        help="store which digit each pixel belongs to (HDF5)")  # fmt: skip
    parser.add_argument("--shard-size", type=int, default=absent, metavar="N",
                        help=f"images per shard ({SHARD_SIZE})")  # fmt: skip
    parser.add_argument("--block-size", type=int, default=DEFAULT_BLOCK, metavar="N",
                        help="images rendered at a time (%(default)s)")  # fmt: skip
    parser.add_argument("--backend", default="loky", choices=get_args(pool.Backend),
                        help="how workers run (%(default)s: processes)")  # fmt: skip
    parser.add_argument("--hang-limit", type=float, default=HANG_LIMIT, metavar="SECONDS",
                        help="end a worker that makes no progress for so long (%(default)g), or "
                        "for 20 times what the slowest shard took, if that is more")  # fmt: skip
    parser.add_argument("--scheduler", metavar="ADDRESS",
                        help="of the cluster for --backend dask, such as "
                        "tcp://host:8786")  # fmt: skip
    parser.add_argument("--verify", action="store_true", help="read every byte of the shards that "
                        "are there, and make those again that are not as recorded")  # fmt: skip
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--part", type=part_of, metavar="I/N",
                       help="make one of N parts of the shards, beside others, "
                       "anywhere")  # fmt: skip
    parts.add_argument("--finalise", action="store_true",
                       help="end a dataset whose parts are all made")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say what would be made")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="no progress, no log")
    loudness.add_argument("--verbose", action="store_true", help="a log line for every shard")
    add_recipe_options(parser)


def part_of(text: str) -> Part:
    """Read `3/8`."""
    try:
        return Part(*map(int, text.split("/")))
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a part such as 3/8") from None


def run(arguments: argparse.Namespace) -> int:
    """Build, or say what would be built."""
    recipe = recipe_from(arguments)
    plan = DatasetConfig.of(recipe, *_storage_and_count(arguments))
    folder = arguments.out or pipeline.default_folder(plan)
    how = BuildOptions(
        workers=arguments.workers,
        backend=arguments.backend,
        block_size=arguments.block_size,
        progress=not arguments.quiet,
        hang_limit=arguments.hang_limit,
        scheduler=arguments.scheduler,
    )
    handler = logging.NullHandler() if arguments.quiet else logging.StreamHandler(sys.stderr)
    with log_to(handler, logging.DEBUG if arguments.verbose else logging.INFO):
        if arguments.dry_run:
            print(_foretold(plan, folder, how))
            return 0
        if arguments.verify:
            _distrust(arguments, plan, folder, how)
        if arguments.part:
            made = pipeline.carry_out_part(plan, recipe, OutputFolder(folder), how, arguments.part)
            print(f"{folder}: part {arguments.part} is made, {made:,} images by this call; "
                  "when all parts are, the same call with --finalise ends the dataset")  # fmt: skip
            return 0
        if arguments.finalise:
            built = pipeline.finalise(plan, recipe, OutputFolder(folder))
        else:
            built = pipeline.carry_out(plan, recipe, OutputFolder(folder), how)
    print(_told(built))
    return 0


def _distrust(
    arguments: argparse.Namespace, plan: DatasetConfig, folder: Path, how: BuildOptions
) -> None:
    """Take the records of shards away that are not as recorded."""
    if arguments.part or arguments.finalise:
        raise UsageError("--verify is for whole builds: use verify.py once all parts are made")
    OutputFolder(folder).check(plan)
    if (folder / PLAN).exists():
        log.info("shards that are not as recorded: %d", distrust(folder, how))


def _told(built: pipeline.Built) -> str:
    """Say in one line what a build came to."""
    manifest = built.manifest
    speed = f" in {built.seconds:.1f} s ({built.made / built.seconds:,.0f} images/s)"
    return (
        f"{built.path}: {manifest.plan.count:,} images"
        f"{speed if built.made else ', finished before this call'}, "
        f"{_size(manifest.bytes)}, {manifest.content_digest}"
    )


def _storage_and_count(arguments: argparse.Namespace) -> tuple[StorageOptions, int]:
    """Return how to store, and how many; both from a manifest or plan, where one is named."""
    given: dict[str, Any] = {}
    count = None
    named = {} if arguments.recipe is None else json_in(arguments.recipe)
    if plan := named.get("plan") or ("storage" in named and named):
        standing = DatasetConfig(**plan)
        given, count = standing.storage.model_dump(), standing.count
    names = ("format", "compression", "masks", "shard_size")
    given |= {name: vars(arguments)[name] for name in names if name in arguments}
    count = count if arguments.count is None else arguments.count
    if count is None:
        raise UsageError("--count is missing: how many images? (see --help)")
    return StorageOptions(**given), count


def _foretold(plan: DatasetConfig, folder: Path, how: BuildOptions) -> str:
    """Say what a build would make and take; O(1) in the count."""
    OutputFolder(folder).check(plan)
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    workers = 1 if how.scheduler else pool.processes_for(how.workers, plan.shards, how.backend)
    expected = forecast(plan, workers, how.block_size)
    speed = plan.count / expected.seconds
    rows = {
        "folder": f"{folder}{' (begun or finished before)' if (folder / PLAN).exists() else ''}",
        "recipe": plan.fingerprint,
        "images": f"{plan.count:,}",
        "shards": f"{plan.shards:,} of {plan.storage.shard_size:,} images, {plan.storage.format}",
        "bytes": f"about {_size(expected.bytes)}; {_size(free)} free",
        "workers": f"those of {how.scheduler}; the time is one's"
        if how.scheduler
        else f"{workers}",
        "memory": f"about {_size(expected.memory)} a worker",
        "time": f"about {_duration(expected.seconds)} ({speed:,.0f} images/s), "
        f"if the disk takes {_size(expected.bytes / expected.seconds)}/s",
    }
    if expected.bytes > free:
        rows["warning"] = "the disk will not hold this"
    return "\n".join(f"{name:8} {value}" for name, value in rows.items())


def _duration(seconds: float) -> str:
    """Return a time in words, a second at least."""
    seconds = max(seconds, 1.0)
    units = (("seconds", 60), ("minutes", 60), ("hours", 24), ("days", 365.25))
    for unit, following in units:
        if seconds < following:
            return f"{seconds:.1f} {unit}"
        seconds /= following
    return f"{seconds:,.1f} years"


def _size(count: float) -> str:
    """Return a number of bytes in words of three digits."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB"
