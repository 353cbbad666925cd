"""Images of handwritten digit sequences from MNIST: reproducible to the bit, by the million."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Augment",
    "Batch",
    "BuildError",
    "BuilderError",
    "Dataset",
    "DatasetError",
    "LiveDataset",
    "Order",
    "Recipe",
    "Sample",
    "StoredDataset",
    "UsageError",
    "__version__",
    "build",
    "generate",
    "open_dataset",
    "regenerate",
    "register",
    "repair",
    "verify",
]

if TYPE_CHECKING:
    from builder.augment.ranges import Augment
    from builder.common.errors import BuilderError, BuildError, DatasetError, UsageError
    from builder.datasets.dataset import Dataset, LiveDataset
    from builder.datasets.order import Order
    from builder.datasets.stored import StoredDataset, open_dataset
    from builder.generator.batch import Batch, Sample
    from builder.generator.generator import generate, regenerate
    from builder.recipe.digits import register
    from builder.recipe.recipe import Recipe
    from builder.verification.repair import repair
    from builder.verification.verify import verify
    from builder.workers.pipeline import build

    __version__: str
else:  # type checkers must not see `__getattr__`: with it, every name would exist
    _MODULES = {
        "augment.ranges": ("Augment",),
        "common.errors": ("BuildError", "BuilderError", "DatasetError", "UsageError"),
        "datasets.dataset": ("Dataset", "LiveDataset"),
        "datasets.order": ("Order",),
        "datasets.stored": ("StoredDataset", "open_dataset"),
        "generator.batch": ("Batch", "Sample"),
        "generator.generator": ("generate", "regenerate"),
        "recipe.digits": ("register",),
        "recipe.recipe": ("Recipe",),
        "verification.repair": ("repair",),
        "verification.verify": ("verify",),
        "workers.pipeline": ("build",),
    }
    """Modules and the public names that they hold. A module is imported when one of its names is
    first used: `--help` and worker processes load nothing that they do not use."""

    def __getattr__(name: str) -> object:
        """Import the module of a public name, and return what has the name."""
        from importlib import import_module

        if name == "__version__":
            return _installed_version()
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"builder.{module}"), name)
        raise AttributeError(f"module 'builder' has no attribute '{name}'")

    def _installed_version() -> str:
        """Return the version in the metadata of the package, or 0+unknown if not installed."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("digitseq")
        except PackageNotFoundError:
            return "0+unknown"


def __dir__() -> list[str]:
    """List the public names, those not yet imported included."""
    return __all__
