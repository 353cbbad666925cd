"""Options of a build that change no byte of the dataset."""

from __future__ import annotations

from dataclasses import dataclass

from builder.common.errors import UsageError
from builder.workers import pool

DEFAULT_BLOCK = 1024
"""Samples rendered at a time. A raw build took 42 us of processor time an image with blocks of
128 samples, 36 with 256, 27.1 with 512, 25.4 with 1,024 and 26.0 with 2,048. Larger blocks only
take more memory."""

HANG_LIMIT = 300.0
"""Seconds without progress after which a worker is taken to hang."""


@dataclass(frozen=True)
class BuildOptions:
    """How a build runs; `builder.build` says what each field means.

    Raises:
        UsageError: A value is out of range.
    """

    workers: int | None = None
    backend: pool.Backend = "loky"
    block_size: int = DEFAULT_BLOCK
    progress: bool = False
    hang_limit: float = HANG_LIMIT
    scheduler: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("block_size", self.block_size)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name} is {value}, expected a whole number from 1")
        if not self.hang_limit > 0:
            raise UsageError(f"hang_limit is {self.hang_limit}, expected seconds above 0")
        if self.backend not in pool.BACKENDS:
            raise UsageError(
                f"backend is '{self.backend}', expected one of {', '.join(pool.BACKENDS)}"
            )
        if (self.backend == "dask") != (self.scheduler is not None):
            raise UsageError(
                f"backend is '{self.backend}' and scheduler is '{self.scheduler}', expected both "
                "or neither of 'dask' and the address of a scheduler, such as tcp://host:8786"
            )
