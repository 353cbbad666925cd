"""Images of handwritten digit sequences from MNIST: reproducible to the bit, by the million."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Recipe": "builder.recipe.recipe",
    "Augment": "builder.augment.ranges",
    "register": "builder.recipe.digits",
    "generate": "builder.generator.generator",
    "regenerate": "builder.generator.generator",
    "build": "builder.workers.pipeline",
    "open_dataset": "builder.datasets.stored",
    "LiveDataset": "builder.datasets.live",
    "Order": "builder.datasets.order",
    "verify": "builder.verification.verify",
    "repair": "builder.verification.repair",
}
"""Public names and the modules that hold them, imported when first asked for: `--help` and
worker processes load nothing that they do not use."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'builder' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
