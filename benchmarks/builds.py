"""Time whole builds, five digits, 28 x 200, against loops written by hand and against a floor.

    python benchmarks/builds.py [--count N] [--ram DIR] [--disk DIR] [--rounds K]

All warps and thickness (`benchmarks/kernel.py`); effects only where the row says so. The loops
(`benchmarks/loops.py`) draw less: affine alone. All is done K times turn by turn, after a small
turn that is not counted. The table has medians: images per second by the wall; the processor's
microseconds for an image, in all processes (Linux; elsewhere in this one); and what these go
for, where one process does all. That is from a second build, with stopwatches, scaled to the
first. Ratios are medians of the ratios within each round. Two workers make twice as many images.
The loops make a twentieth of N, and so do PNGs on disk, which stay there to the end: ext4 reuses
no inode for minutes after its file is removed, and looks at each such one first, which makes new
files 20 times as slow.

plan: all draws. render: pixels, boxes. hash: content digest and sums. sha256: of files.
labels: Parquet, records. encode: deflate or PNG. write: files, h5py, sync.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import loops
from isal import igzip_lib
from kernel import EVERYTHING, GEOMETRY
from million import descendants
from stopwatch import Place, Stopwatch

from builder import Recipe, build
from builder.common import atomic_files
from builder.generator import generator
from builder.planner.planner import Planner
from builder.storage.formats import hdf5, parquet, png
from builder.storage.output_folder import OutputFolder
from builder.storage.statistics import Statistics
from builder.workers import pipeline

SHARDS = 8
"""Shards of a build, so that of two workers neither waits long for the other."""

WARM_UP = 4000
"""Images of the first turn: it compiles, fills caches, and starts the pool, which stays."""

RAW_BYTES = 28 * 200 + 302
"""What an image of five digits takes in a raw shard, with its labels, boxes and the like."""

PLACES: dict[str, list[Place]] = {
    "plan": [(Planner, "plan")],
    "render": [(generator, "render")],
    "hash": [(Statistics, "of")],
    "sha256": [
        (atomic_files, "sha256_untrusted"),
        (hashlib, "sha256"),
        *((atomic_files.StreamingSha256, name) for name in ("update", "read_to", "hexdigest")),
    ],
    "labels": [
        *((parquet.LabelsWriter, name) for name in ("__init__", "write", "close")),
        *((pipeline, name) for name in ("find_record", "_publish_manifest")),
        (OutputFolder, "publish_json"),
    ],
    "encode": [],
    "write": [
        *((hdf5.Hdf5Writer, name) for name in ("__init__", "write", "close")),
        *((png.PngFolderWriter, name) for name in ("__init__", "write", "close")),
        (atomic_files, "sync"),
    ],
}
RAW = {"format": "hdf5"}
GZIP = {"format": "hdf5", "compression": "gzip"}
PNG = {"format": "png"}
ENCODERS: dict[str, Place] = {"hdf5": (igzip_lib, "compress"), "png": (png, "encode_all")}


@dataclass
class Way:
    """A way to make `count` images in a new folder below `where`, and what it took each time.

    A stopwatch takes it apart where the place of an `encoder` is given. What it made is removed
    at once, unless it `stays`.
    """

    where: Path
    count: int
    make: Callable[[Path, int], Any]
    encoder: Place | None = None
    stays: bool = False
    speeds: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    shares: list[dict[str, float]] = field(default_factory=list)

    def turn(self) -> None:
        """Do it, and do it once more with a stopwatch."""
        wall, processor = self._timed()
        self.speeds.append(self.count / wall)
        self.costs.append(processor / self.count * 1e6)
        if self.encoder:
            watch = Stopwatch(PLACES | {"encode": [self.encoder]})
            with watch.running():
                _, processor = self._timed()
            self.shares.append(watch.shares(processor))

    def _timed(self) -> tuple[float, float]:
        """Return the seconds it took by the wall, and of the processor."""
        folder = Path(tempfile.mkdtemp(dir=self.where))
        atomic_files.sync(folder)  # what was there before is not paid for here
        try:
            used, began = processor_seconds(), time.perf_counter()
            self.make(folder, self.count)
            return time.perf_counter() - began, processor_seconds() - used
        finally:
            if not self.stays:
                shutil.rmtree(folder)

    def row(self) -> str:
        """Return its numbers. The parts are means of shares, which add up to the whole."""
        cost = statistics.median(self.costs)
        parts = self.shares[0] if self.shares else ()
        shown = (statistics.mean(turn[part] for turn in self.shares) * cost for part in parts)
        numbers = "".join(f"{part:>8.2f}" for part in shown)
        return f"{statistics.median(self.speeds):>10,.0f}{cost:>9.2f}{numbers}"


def processor_seconds() -> float:
    """Return what this process and those below it have used: no worker ends between two calls."""
    below = descendants(os.getpid()) if sys.platform == "linux" else []
    clocks = [~process << 3 | 2 for process in below]  # as of clock_getcpuclockid(3)
    return time.process_time() + sum(map(time.clock_gettime, clocks))


def shard_size(count: int) -> int:
    """Return how many images a shard of `count` has."""
    return -(-count // SHARDS)


def built(
    where: Path, count: int, storage: dict[str, Any], workers: int = 1, recipe: Recipe | None = None
) -> Way:
    """Return the way of this program."""
    recipe, size = recipe or GEOMETRY.recipe, shard_size(count)

    def make(folder: Path, count: int) -> None:
        build(recipe, count, folder / "set", shard_size=size, workers=workers, **storage)

    return Way(where, count, make, ENCODERS[storage["format"]] if workers == 1 else None)


def plain(where: Path, count: int) -> Way:
    """Return the way that writes as many bytes as raw shards have, and syncs each file."""
    size = shard_size(count)
    write = partial(loops.write_files, size=size * RAW_BYTES)
    return Way(where, count, lambda folder, count: write(folder, files=-(-count // size)))


def ways(count: int, ram: Path, disk: Path) -> dict[str, Way]:
    """Return every way by name, in the order of the table."""
    few = max(1, count // 20)
    on_disk = built(disk, few, PNG)
    on_disk.stays, on_disk.encoder = True, None  # no two builds of it take the same time
    return {
        "HDF5 raw, 1 worker": built(ram, count, RAW),
        "HDF5 raw, 2 workers": built(ram, 2 * count, RAW, 2),
        "HDF5 gzip, 1 worker": built(ram, count, GZIP),
        "HDF5 gzip, 2 workers": built(ram, 2 * count, GZIP, 2),
        "PNG, 1 worker": built(ram, count, PNG),
        "PNG, 2 workers": built(ram, 2 * count, PNG, 2),
        "HDF5 raw, effects too": built(ram, count, RAW, 1, EVERYTHING.recipe),
        "HDF5 raw, on disk": built(disk, count, RAW),
        "plain write, sync, on disk": plain(disk, count),
        "HDF5 gzip, on disk": built(disk, count, GZIP),
        "PNG, on disk": on_disk,
        "loop, h5py": Way(ram, few, loops.loop_hdf5),
        "loop, h5py, gzip 4": Way(ram, few, partial(loops.loop_hdf5, **loops.GZIP)),
        "loop, h5py, by 256": Way(ram, few, loops.loop_in_blocks),
        "loop, h5py, gzip 4, by 256": Way(ram, few, partial(loops.loop_in_blocks, **loops.GZIP)),
        "loop, cv2.imwrite": Way(ram, few, loops.loop_png),
        "floor: copy, deflate, write": Way(ram, count, loops.floor_gzip),
        "plain write, sync": plain(ram, count),
    }


def ratio(over: list[float], under: list[float]) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def targets(all_ways: dict[str, Way]) -> dict[str, str]:
    """Return what is aimed at, and how it came out."""

    def faster(one: str, other: str) -> float:
        return ratio(all_ways[one].speeds, all_ways[other].speeds)

    def share(name: str, *parts: str) -> float:
        return statistics.median(
            sum(turn[part] for part in parts) for turn in all_ways[name].shares
        )

    raw, gzip = "HDF5 raw, 1 worker", "HDF5 gzip, 1 worker"
    costs = all_ways[gzip].costs, all_ways["floor: copy, deflate, write"].costs
    found = {
        "gzip to loop with gzip 4, speed (6 or more)": f"{faster(gzip, 'loop, h5py, gzip 4'):.1f}",
        "raw to loop, speed (6 or more)": f"{faster(raw, 'loop, h5py'):.1f}",
        "gzip to loop by 256": f"{faster(gzip, 'loop, h5py, gzip 4, by 256'):.1f}",
        "raw to loop by 256": f"{faster(raw, 'loop, h5py, by 256'):.1f}",
        "PNG to loop, speed (2 or more)": f"{faster('PNG, 1 worker', 'loop, cv2.imwrite'):.1f}",
        "gzip to floor, processor time (2.2 or less)": f"{ratio(*costs):.2f}",
    }
    for kind in ("HDF5 raw", "HDF5 gzip", "PNG"):
        two = faster(f"{kind}, 2 workers", f"{kind}, 1 worker")
        found[f"{kind}, two workers to one, speed (1.85 or more)"] = f"{two:.2f}"
    for name, most in ((gzip, 15), (raw, 30)):
        text = f"{name}: hash and labels, share of the processor's time ({most} % or less)"
        found[text] = f"{share(name, 'hash', 'labels'):.1%}; sha256 {share(name, 'sha256'):.1%}"
    plain = faster("HDF5 raw, on disk", "plain write, sync, on disk")
    found["raw on disk to plain write, sync, on disk, speed"] = f"{plain:.2f}"
    return found


def main() -> None:
    """Time every way, turn by turn."""
    memory, temporary = Path("/dev/shm"), Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=80_000, help="images of a build")
    parser.add_argument("--ram", type=Path, default=memory if memory.is_dir() else temporary)
    parser.add_argument("--disk", type=Path, default=temporary)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=options.disk) as disk:
        for way in ways(min(WARM_UP, options.count), options.ram, Path(disk)).values():
            way.turn()
        all_ways = ways(options.count, options.ram, Path(disk))
        for _ in range(options.rounds):
            for way in all_ways.values():
                way.turn()
    show(all_ways)


def show(all_ways: dict[str, Way]) -> None:
    """Print the table, the speed of plain writes, and the targets."""
    head = "".join(f"{part:>8}" for part in (*PLACES, "rest"))
    print(f"{'':28}{'images/s':>10}{'us/image':>9}{head}")
    for name, way in all_ways.items():
        print(f"{name:28}{way.row()}")
    print()
    for name in ("plain write, sync", "plain write, sync, on disk"):
        speed = statistics.median(all_ways[name].speeds) * RAW_BYTES / 1e6
        print(f"{name + ' (MB/s)':82} {speed:,.0f}")
    for text, result in targets(all_ways).items():
        print(f"{text:82} {result}")


if __name__ == "__main__":
    main()
