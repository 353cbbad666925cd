"""The one way in which this project compiles a function.

numba keeps compiled code under the date of the function's own file: a change in a helper of
another file goes unseen. The cache folder used here carries a hash of every source that bears on
compiled functions instead, so any edit compiles anew, and a read-only install compiles into
the user's cache folder or a temporary one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

from builder.common.cache import cache_folder
from builder.common.log import log

Function = TypeVar("Function", bound=Callable[..., Any])

SOURCES = (
    "common/constants.py",
    "common/rng_kernels.py",
    "augment/*.py",
    "planner/*.py",
    "generator/kernels/*.py",
    "storage/statistics.py",
)
"""Sources of `builder` that hold compiled functions, or constants that these use."""

OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "forceinline": True,  # calls between small functions with many arrays were a tenth of the time
    "_nrt": False,  # no counting of who holds an array: a fifth; so functions can make none
}
"""What numba is told. It reorders or fuses no floating-point operation unless `fastmath` asks for
it, which it must not: the promise of equal bits rests on that."""

_ONE_AT_A_TIME = threading.Lock()
"""Held while numba's setting of its cache folder is another than it was."""


@cache
def compile_cache_folder() -> Path:
    """Return where the compiled form of the present sources is kept."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for source in sorted(Path(__file__).parents[1].glob(pattern)):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache_folder() / f"kernels-{digest.hexdigest()[:16]}"


def log_compilation() -> None:
    """Log that functions are to be compiled, unless a process before this one has done it."""
    if not any(compile_cache_folder().rglob("*.nbi")):
        log.info("compiling the kernels; this happens once, and takes some 20 s")


def jit(function: Function) -> Function:
    """Compile `function` on its first call, without the interpreter's lock, and keep it.

    Until that call numba, which takes its time to load, is not imported: modules of compiled
    functions cost nothing to import. A compiled function makes no arrays, it is given all that
    it writes to.
    """
    return cast(Function, _Compiled(function))


class _Compiled:
    """A function that is compiled when it is first called, from Python or from another one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        update_wrapper(self, function)

    @cached_property
    def _made(self) -> Callable[..., Any]:
        import numba

        with _ONE_AT_A_TIME:
            standing = numba.config.CACHE_DIR
            numba.config.CACHE_DIR = str(compile_cache_folder())
            try:
                made: Callable[..., Any] = numba.njit(**OPTIONS)(self._function)
            finally:
                numba.config.CACHE_DIR = standing
        return made

    @property
    def _numba_type_(self) -> Any:
        """What numba asks of a global that compiled code calls: the type of the compiled form."""
        return cast(Any, self._made)._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        return self._made(*arguments)
