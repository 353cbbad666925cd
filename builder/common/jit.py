"""The one way in which this project compiles a function.

numba keeps compiled code under the date of the function's own file, so it misses a change in a
helper of another file. The cache folder used here carries a hash of every source that bears on
compiled functions, so any edit compiles anew. A read-only install compiles into the user's
cache folder or a temporary one. Each file ends with a digest of what is before it: machine code
that was damaged would crash, or draw other pixels.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import numpy as np

from builder.common.atomic_files import publish_bytes
from builder.common.cache import bytes_digest, cache_folder, cannot_store
from builder.common.errors import log

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

SOURCES = (
    "common/constants.py",
    "common/rng_kernels.py",
    "augment/*.py",
    "recipe/fit.py",
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
    "_nrt": False,  # counting references to arrays took a fifth; without, functions make no arrays
}
"""Options of numba. It reorders or fuses no floating-point operation unless `fastmath` asks for
it, which it must not: the promise of equal bits rests on that."""

SEAL = 16
"""Bytes of the digest at the end of a file of compiled code."""

_SETTING_LOCK = threading.Lock()
"""Held while numba's cache folder is set to another one than before."""


@cache
def compile_cache_folder() -> Path:
    """Return the folder of the compiled form of the present sources, without damaged files."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for source in sorted(Path(__file__).parents[1].glob(pattern)):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    folder = cache_folder() / f"kernels-2-{digest.hexdigest()[:16]}"
    damaged = [path for path in folder.rglob("*.nb[ci]") if not _is_sealed(path.read_bytes())]
    for path in damaged:
        path.unlink(missing_ok=True)  # another process may have found it, too
    if damaged:
        log.warning("%s: %d damaged files are dropped, to be made again", folder, len(damaged))
    return folder


def _is_sealed(data: bytes) -> bool:
    """Tell whether a file of compiled code is as `_publish_sealed` wrote it."""
    return data[-SEAL:] == bytes_digest(data[:-SEAL])


@contextmanager
def _publish_sealed(path: str) -> Iterator[io.BytesIO]:
    """Yield a buffer, and publish what the body writes to it, and its digest.

    numba reads a file up to the end of its contents, and ignores the digest.
    """
    buffer = io.BytesIO()
    yield buffer
    data = buffer.getvalue()
    try:
        publish_bytes(Path(path), data + bytes_digest(data))
    except OSError as error:
        raise cannot_store(Path(path), error) from None


def log_compilation() -> None:
    """Log that functions are to be compiled, unless an earlier process has compiled them."""
    if not any(compile_cache_folder().rglob("*.nbi")):
        log.info("compiling the kernels; this happens once, and takes some 20 s")


class Compiled(Generic[Parameters, Result]):
    """A function that is compiled when Python or another compiled function first calls it."""

    def __init__(self, function: Callable[Parameters, Result]) -> None:
        self._function = function
        update_wrapper(self, function)

    @cached_property
    def _compiled(self) -> Callable[Parameters, Result]:
        import numba

        if numba.config.DISABLE_JIT:  # numpy then warns of integers that wrap around
            return np.errstate(over="ignore")(self._function)
        with _SETTING_LOCK:
            before = numba.config.CACHE_DIR
            numba.config.CACHE_DIR = str(compile_cache_folder())
            try:
                compiled = numba.njit(**OPTIONS)(self._function)
            finally:
                numba.config.CACHE_DIR = before
        compiled._cache._cache_file._open_for_write = _publish_sealed
        return compiled

    @property
    def _numba_type_(self) -> object:
        """The type of the compiled form: numba asks for it where compiled code names a global."""
        return self._compiled._numba_type_  # type: ignore[attr-defined]  # a dispatcher has it

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call the compiled form."""
        return self._compiled(*args, **kwargs)


def jit(function: Callable[Parameters, Result]) -> Compiled[Parameters, Result]:
    """Compile a function on its first call, without the interpreter's lock, and keep the code.

    numba, which takes its time to load, is imported by that call: modules of compiled functions
    cost nothing to import. A compiled function makes no arrays; its caller passes all that it
    writes to.
    """
    return Compiled(function)
