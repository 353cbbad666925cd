"""Worker processes that end with the process that started them, however that ended."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

INTERVAL = 0.5
"""Seconds from one look at the parent to the next."""


@cache
def end_with(parent: int) -> None:
    """End this process soon after its parent, process `parent`, has ended.

    A parent that was killed tells its workers nothing, and they would wait for it for minutes.
    The first call begins to watch; where `parent` is another process than this one's parent
    (threads, other machines), none is watched.
    """
    if os.getppid() == parent:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
