"""Images of handwritten digit sequences from MNIST: reproducible to the bit, by the million."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Recipe": "builder.recipe",
    "Augment": "builder.augment.ranges",
    "register": "builder.bank",
    "generate": "builder.generator",
    "regenerate": "builder.generator",
    "build": "builder.building",
    "open_dataset": "builder.reader",
    "LiveDataset": "builder.live",
    "Order": "builder.order",
    "verify": "builder.verifying",
    "repair": "builder.repairing",
}
"""Public names and the modules that hold them, imported when first asked for: `--help` and
worker processes load nothing that they do not use."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'builder' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
