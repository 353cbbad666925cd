"""Masks: stored beside the images on request, without influence on anything else."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from builder import Recipe, build, generate, open_dataset
from builder.cli import main
from builder.storage.config import DatasetConfig, StorageOptions
from builder.workers.pipeline import default_folder

RECIPE = Recipe(seed=3, length=(1, 4), spacing=(-6, 2), width=90, augment="strong")
COUNT = 70


@pytest.mark.parametrize("storage", [{}, {"compression": "gzip"}, {"format": "png"}], ids=str)
def test_stored_masks_are_those_of_the_samples(tmp_path, storage):
    """A dataset holds the masks that `generate` gives, in plain HDF5, and reads them back."""
    folder = tmp_path / "with"
    options = {"masks": True, "shard_size": 40, "block_size": 30, "backend": "sequential"}
    build(RECIPE, COUNT, folder, **options, **storage)
    expected = generate(RECIPE, range(COUNT), masks=True)
    assert expected.masks.max() == 4
    data = open_dataset(folder)
    assert np.array_equal(data[:].masks, expected.masks)
    assert np.array_equal(data[:].images, expected.images)
    assert np.array_equal(data[41].mask, expected.masks[41])
    assert data[0:0].masks.shape == (0, *expected.masks.shape[1:])
    with h5py.File(folder / "shard-000001.h5") as shard:
        assert np.array_equal(shard["masks"][:], expected.masks[40:])
        assert shard["masks"].compression == storage.get("compression")


def test_masks_change_nothing_else(tmp_path):
    """With or without masks the content digest and the fingerprint are the same."""
    plain = build(RECIPE, COUNT, tmp_path / "plain", backend="sequential").manifest
    with_masks = build(RECIPE, COUNT, tmp_path / "with", masks=True, backend="sequential").manifest
    assert with_masks.content_digest == plain.content_digest
    assert with_masks.plan.fingerprint == plain.plan.fingerprint
    assert open_dataset(tmp_path / "plain")[:].masks is None
    assert open_dataset(tmp_path / "plain")[0].mask is None
    same = generate(RECIPE, range(20)), generate(RECIPE, range(20), masks=True)
    for name in ("images", "boxes", "quads", "visible", "labels"):
        assert np.array_equal(getattr(same[0], name), getattr(same[1], name))


def test_a_dataset_without_masks_is_not_continued_with_them(tmp_path, capsys):
    """With and without masks are two plans: the second in a folder is refused, with the field."""
    options = ["--out", str(tmp_path / "d"), "--backend", "sequential", "--quiet"]
    assert main("build", ["--count", "20", *options]) == 0
    capsys.readouterr()
    assert main("build", ["--count", "20", "--masks", *options]) == 2
    assert "masks: " in capsys.readouterr().err
    plans = [DatasetConfig.of(RECIPE, StorageOptions(masks=masks), 10) for masks in (False, True)]
    assert len({default_folder(plan) for plan in plans}) == 2


def test_masks_of_the_command_line(tmp_path, capsys):
    """`--masks` stores them, and `info` says so."""
    folder = str(tmp_path / "d")
    assert main("build", ["--count", "20", "--masks", "--out", folder, "--quiet"]) == 0
    assert open_dataset(folder)[:].masks.any()
    capsys.readouterr()
    assert main("info", [folder]) == 0
    assert "with masks" in capsys.readouterr().out


def test_masks_point_at_boxes_digits():
    """Without overlap, the mask of a digit has the bounds of its box."""
    batch = generate(Recipe(length=4, spacing=9, width=200, augment="light"), range(50), masks=True)
    for n in range(50):
        for digit in range(4):
            rows, columns = np.nonzero(batch.masks[n] == digit + 1)
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert tuple(batch.boxes[n, digit]) == box
