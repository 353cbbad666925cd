"""The package `builder` under the name of the project: `digitseq.Recipe is builder.Recipe`.

Import this name where another package or folder called `builder` comes first on Python's path.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

_ROOT = str(Path(__file__).resolve().parents[1])


def _put_builder_first() -> None:
    """Move the folder of this package to the front of the path if another `builder` hides ours.

    Worker processes inherit the path. Raises `ImportError` if the other one is already imported.
    """
    ours = str(Path(_ROOT, "builder", "__init__.py"))
    loaded = sys.modules.get("builder")
    if loaded is None:
        found = PathFinder.find_spec("builder")
        if found is None or found.origin is None or not Path(found.origin).samefile(ours):
            sys.path.insert(0, _ROOT)
    elif loaded.__file__ is None or not Path(loaded.__file__).samefile(ours):
        raise ImportError(
            f"digitseq needs the package 'builder' in {_ROOT}, but another one is imported: "
            f"{loaded.__file__ or list(loaded.__path__)}"
        )


_put_builder_first()

import builder  # noqa: E402  # after the path is right

if TYPE_CHECKING:
    from builder import *  # noqa: F403
    from builder import __version__ as __version__
else:

    def __getattr__(name: str) -> object:
        """Return what `builder` has under a public name."""
        if name in builder.__all__:
            return getattr(builder, name)
        raise AttributeError(f"module 'digitseq' has no attribute '{name}'")


__all__ = list(builder.__all__)


def __dir__() -> list[str]:
    """List the public names, those not yet imported included."""
    return __all__
