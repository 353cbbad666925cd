"""The one way in which this project compiles a function.

numba keeps compiled code under the date of the function's own file: a change in a helper of
another file goes unseen. The cache folder used here carries a hash of every source in this
package instead, so any edit compiles anew, and a read-only install compiles into the
user's cache folder or a temporary one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

from builder.cache import cache_folder

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def compiled_folder() -> Path:
    """Return where the compiled form of the present sources is kept."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return cache_folder() / f"kernels-{digest.hexdigest()[:16]}"


def compiled(function: Function) -> Function:
    """Compile `function` on its first call: no fast-math, no global lock, kept between runs.

    The promise of equal bits rests on the defaults kept here: numba reorders or fuses no
    floating-point operation unless `fastmath` asks for it.
    """
    standing = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(compiled_folder())
    try:
        made: Function = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = standing
    return made
