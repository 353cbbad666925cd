"""`digitseq build`: make a dataset, or continue one."""

from __future__ import annotations

import argparse
import shutil
from typing import Any

from tqdm import tqdm

from builder.cli import options, parse_whole, print_line, print_rows
from builder.common import untrusted_files
from builder.common.errors import UsageError, log
from builder.recipe.fit import warn_of_squeeze
from builder.storage.claim import check_folder
from builder.storage.config import PLAN, DatasetConfig, Part, StorageOptions
from builder.storage.manifest import MANIFEST, MOST_BYTES
from builder.storage.output_folder import OutputFolder
from builder.verification.repair import remove_invalid_records
from builder.workers import pipeline, pool
from builder.workers.estimate import estimate_build
from builder.workers.options import BuildOptions

EXAMPLES = """examples:
  %(prog)s --count 1000000 --workers 16
  %(prog)s --count 50000 --format png --length 5 --width 160 --out shards/five
  %(prog)s --count 20000 --numbers 000:999 --augment light --scale 0.2 --seed 7
  %(prog)s --count 1000000000000 --dry-run
"""

VERIFY = "read every byte of finished shards first, and make those again that are not as recorded"
PART = "make one of N parts of the shards; other processes or machines make the others"
FINALISE = "finish a dataset of which all parts are made"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    add = parser.add_argument
    add("--count", type=parse_whole, metavar="N", help="how many images (required)")
    add(
        "--out",
        type=options.parse_path,
        metavar="DIR",
        help="folder of the dataset (shards/<recipe>-<format>)",
    )
    for name in StorageOptions.model_fields:
        options.add_field(parser, StorageOptions, name)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--verify", action="store_true", help=VERIFY)
    scope.add_argument("--part", type=_parse_part, metavar="I/N", help=PART)
    scope.add_argument("--finalise", action="store_true", help=FINALISE)
    add("--dry-run", action="store_true", help="only print what would be made")
    quiet = options.add_worker_options(parser)
    quiet.add_argument("--verbose", action="store_true", help="a log line for every shard")
    for name in ("block_size", "backend", "hang_limit", "scheduler"):
        options.add_field(parser, BuildOptions, name)
    options.add_recipe_options(parser)


def _parse_part(text: str) -> Part:
    """Return the part that `3/8` names."""
    try:
        return Part(*map(int, text.split("/")))
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a part such as 3/8") from None


def run(arguments: argparse.Namespace) -> int:
    """Build the dataset, one part of it, or only its estimate; print the result."""
    recipe = options.recipe_from(arguments)
    config = DatasetConfig.of(recipe, *_storage_and_count(arguments))
    folder = OutputFolder(getattr(arguments, "out", pipeline.default_folder(config)))
    build_options = options.worker_options(arguments, BuildOptions)
    with options.show_log(arguments):
        if "dry_run" in arguments:
            warn_of_squeeze(recipe.width, recipe.strip_limits)
            print_rows(_estimate_rows(config, folder, build_options))
            return 0
        if "verify" in arguments:
            check_folder(folder, config)
            if folder.exists(PLAN):
                count = remove_invalid_records(folder.path, build_options)
                log.info("shards that are not as recorded: %d", count)
        if "part" in arguments:
            count = pipeline.build_part(config, folder, build_options, arguments.part)
            print_line(
                f"{folder}: part {arguments.part} is made, {count:,} images by this call; when "
                "all parts are, the same call with --finalise ends the dataset"
            )
            return 0
        if "finalise" in arguments:
            result = pipeline.finalise(config, folder)
        else:
            result = pipeline.build_dataset(config, folder, build_options)
    print_line(_format_result(result))
    return 0


def _storage_and_count(arguments: argparse.Namespace) -> tuple[StorageOptions, int]:
    """Return how to store, and how many; both from a plan or manifest if `--recipe` names one."""
    given = options.given_fields(arguments, ["count", *StorageOptions.model_fields])
    document: dict[str, Any] = {}
    if "recipe" in arguments:
        document = untrusted_files.read_json(arguments.recipe, MOST_BYTES[MANIFEST])
    if values := document.get("plan") or ("storage" in document and document):
        stored = DatasetConfig(**values)
        given = {"count": stored.count, **stored.storage.model_dump(), **given}
    if "count" not in given:
        raise UsageError("--count is missing: how many images? (see --help)")
    count = given.pop("count")
    return StorageOptions(**given), count


def _format_result(result: pipeline.BuildResult) -> str:
    """Return one line about a finished build."""
    manifest = result.manifest
    speed = f" in {result.seconds:.1f} s ({result.made / result.seconds:,.0f} images/s)"
    return (
        f"{result.path}: {manifest.plan.count:,} images"
        f"{speed if result.made else ', finished before this call'}, "
        f"{_format_bytes(manifest.bytes)}, {manifest.content_digest}"
    )


def _estimate_rows(
    config: DatasetConfig, folder: OutputFolder, build_options: BuildOptions
) -> dict[str, str]:
    """Return what a build would make and take, a row for each fact; O(1) in the count."""
    check_folder(folder, config)
    existing = (path for path in (folder.path, *folder.path.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(next(existing)).free
    workers = 1 if build_options.scheduler else pool.worker_count(build_options, config.shard_count)
    estimate = estimate_build(config, workers, build_options.block_size)
    rows = {
        "folder": f"{folder}{' (begun or finished before)' if folder.exists(PLAN) else ''}",
        "recipe": config.fingerprint,
        "images": f"{config.count:,}",
        "shards": f"{config.shard_count:,} of {config.storage.shard_size:,} images, "
        f"{config.storage.format}",
        "bytes": f"about {_format_bytes(estimate.bytes)}; {_format_bytes(free)} free",
        "workers": f"those of {build_options.scheduler}; the time is that of one worker"
        if build_options.scheduler
        else f"{workers}",
        "memory": f"about {_format_bytes(estimate.memory)} a worker",
        "time": f"about {tqdm.format_interval(max(estimate.seconds, 1.0))} "
        f"({config.count / estimate.seconds:,.0f} images/s), "
        f"if the disk takes {_format_bytes(estimate.bytes / estimate.seconds)}/s",
    }
    if estimate.bytes > free:
        rows["warning"] = "the disk will not hold this"
    return rows


def _format_bytes(count: float) -> str:
    """Return a number of bytes with three digits, such as 5.94TB."""
    return tqdm.format_sizeof(count, "B")
