"""What a command names: a dataset's folder, or a file with a recipe."""

from __future__ import annotations

from pathlib import Path

from builder.cli.options import recipe_in
from builder.datasets.stored import StoredDataset, open_dataset
from builder.recipe.recipe import Recipe


def recipe_and_dataset(path: Path) -> tuple[Recipe, StoredDataset | None]:
    """Return the recipe that `path` names, with its dataset where `path` is a folder.

    Raises `BuilderError` for a dataset that another generator version made: its samples
    cannot be made again here.
    """
    if not path.is_dir():
        return recipe_in(path), None
    dataset = open_dataset(path)
    dataset.manifest.plan.require_own_version(path)
    return dataset.recipe, dataset
