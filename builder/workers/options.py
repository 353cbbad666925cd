"""Options of a build that change no byte of the dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from builder.common.validation import FrozenModel, WholeNumber

Backend = Literal["loky", "threads", "sequential", "dask"]

DEFAULT_BLOCK = 1024
"""Samples rendered at a time. A raw build took 42 us of processor time an image with blocks of
128 samples, 36 with 256, 27.1 with 512, 25.4 with 1,024 and 26.0 with 2,048. Larger blocks only
take more memory."""

HANG_LIMIT = 300
"""Seconds without progress after which a worker is taken to hang."""


MIN_SPEED = 100
"""Samples per second: the least speed expected of a worker. It sets the limit of a task."""


class BuildOptions(FrozenModel):
    """How a build runs; `builder.build` says what each field means."""

    workers: WholeNumber | None = Field(
        default=None, ge=1, description="most worker processes; default: all usable cores"
    )
    backend: Backend = Field(default="loky", description="how workers run; loky starts processes")
    block_size: WholeNumber = Field(
        default=DEFAULT_BLOCK, ge=1, description="images rendered at a time"
    )
    progress: bool = False
    hang_limit: float = Field(
        default=HANG_LIMIT,
        gt=0,
        allow_inf_nan=True,  # `inf` for never
        description="seconds without progress after which a worker is ended; 20 times the "
        "duration of the slowest shard if that is more",
    )
    scheduler: str | None = Field(
        default=None, description="of the cluster for --backend dask, such as tcp://host:8786"
    )

    @model_validator(mode="after")
    def _check_scheduler(self) -> BuildOptions:
        if (self.backend == "dask") == (self.scheduler is not None) and self.scheduler != "":
            return self
        raise ValueError(
            f"backend is '{self.backend}' and scheduler is '{self.scheduler}', expected both "
            "or neither of 'dask' and the address of a scheduler, such as tcp://host:8786"
        )

    def task_limit(self, samples: int) -> float:
        """Return the seconds in which a worker should end a task of so many samples."""
        return max(self.hang_limit, samples / MIN_SPEED)
