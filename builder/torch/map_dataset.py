"""A map-style dataset of PyTorch: single samples, or whole batches in one read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from builder.common.errors import UsageError
from builder.datasets.dataset import Dataset
from builder.torch.targets import TARGETS, check_target, images_of


class MapDataset:
    """Samples as PyTorch's own `DataLoader` and samplers take them: (image, target) by index.

    `data` is what `open_dataset` or `LiveDataset` gave, with a count. An image is (1, 28, W)
    uint8; a target is that of one sample, in the form `targets` (see `builder.torch`). A
    `DataLoader` that asks for a batch gets it by one read. Give it `collate_fn=dataset.collate`:
    its default knows `padded`, `strings` and `masks` only. With workers, `boxes` take an open file
    for each tensor on their way: see `torch.multiprocessing.set_sharing_strategy`, or use `Loader`.
    """

    def __init__(self, data: Dataset, targets: str = "padded") -> None:
        check_target(data, targets)
        if data.count is None:
            raise UsageError(
                "a map-style dataset has a length, but this one has no end: give it a count, or "
                "use builder.torch.Loader"
            )
        self.data, self.targets = data, targets

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, Any]]:
        """Return the samples of a batch, all read at once."""
        batch, target = self.data[list(indices)], TARGETS[self.targets]
        return list(zip(images_of(batch), target.split(target.of(batch)), strict=True))

    def collate(self, samples: Sequence[tuple[torch.Tensor, Any]]) -> tuple[torch.Tensor, Any]:
        """Return images (B, 1, 28, W) and targets of a batch, as `Loader` gives them."""
        images, targets = zip(*samples, strict=True)
        return torch.stack(images), TARGETS[self.targets].join(list(targets))
