"""A file for HDF5 whose errors wait until HDF5 has closed it."""

from __future__ import annotations

import io
from typing import Any


class SteadyFile(io.FileIO):
    """A file that notes its first error in `error`, and goes on as if there were none.

    HDF5 keeps a file half open after a write that failed, and crashes the process when that
    is cleaned up. So it is told that all went well, and the writer raises what waits here.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or note the error."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and self.error is None:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file, or note the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raise the first error there was."""
        if self.error is not None:
            raise self.error
