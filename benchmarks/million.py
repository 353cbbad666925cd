"""Build 100,000 and then 1,000,000 images, and print speed and the workers' memory for each.

    python benchmarks/million.py [--out DIR] [--workers N] [--counts 100000 1000000]

Memory is what a process alone holds at its peak (anonymous pages), polled ten times a second;
the digit banks are memory-mapped files that all share. Needs Linux's /proc.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(__file__).parents[1] / "scripts" / "build.py"


def private_memory(process: int) -> int:
    """Return the anonymous memory of a process in bytes, 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.M)
    return 1024 * int(found[1]) if found else 0


def descendants(process: int) -> list[int]:
    """Return the numbers of a process's children and theirs."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(n) for task in tasks for n in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def measured(count: int, out: Path, workers: int) -> tuple[float, int, int]:
    """Build a dataset; return seconds, and the peak private memory of parent and worst worker."""
    began = time.perf_counter()
    call = [
        sys.executable,
        BUILD,
        "--count",
        count,
        "--workers",
        workers,
        "--length",
        5,
        "--out",
        out,
        "--quiet",
    ]
    build = subprocess.Popen([str(part) for part in call], stdout=subprocess.DEVNULL)
    parent = worker = 0
    while build.poll() is None:
        parent = max(parent, private_memory(build.pid))
        worker = max([worker, *(private_memory(child) for child in descendants(build.pid))])
        time.sleep(0.1)
    if build.returncode:
        raise SystemExit(build.returncode)
    return time.perf_counter() - began, parent, worker


def main() -> None:
    """Print a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="where the datasets go for a while")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000, 1_000_000])
    options = parser.parse_args()
    print(f"{'images':>10} {'seconds':>8} {'images/s':>9} {'worker MB':>10} {'parent MB':>10}")
    for count in options.counts:
        folder = Path(tempfile.mkdtemp(dir=options.out))
        try:
            seconds, parent, worker = measured(count, folder / "set", options.workers)
        finally:
            shutil.rmtree(folder)
        row = f"{count:>10,} {seconds:>8.1f} {count / seconds:>9,.0f}"
        print(f"{row} {worker / 1e6:>10.0f} {parent / 1e6:>10.0f}")


if __name__ == "__main__":
    main()
