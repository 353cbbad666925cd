"""What PyTorch's `DataLoader` reads in workers: samples by index, or whole batches by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch.utils.data import get_worker_info

from builder.common.errors import UsageError
from builder.datasets.dataset import Dataset
from builder.datasets.order import Schedule
from builder.torch.shared_memory import Item, PackedBatch, RingWriter
from builder.torch.targets import TARGETS, SampleTarget, TargetForm, check_target, images_of

SampleItem: TypeAlias = tuple[torch.Tensor, SampleTarget]
"""An image (1, 28, W) uint8, and the target of the sample."""


class MapDataset:
    """Samples as PyTorch's `DataLoader` and samplers take them: (image, target) by index.

    A `DataLoader` reads each batch at once. Give it `collate_fn=dataset.collate`: its default knows
    `padded`, `strings` and `masks` only. With workers, `boxes` take an open file for each tensor
    that is prefetched: see `torch.multiprocessing.set_sharing_strategy`, or use `Loader`.

    Args:
        data: Dataset with a count.
        targets: Form of the targets, `padded` by default.

    Raises:
        UsageError: The dataset has no end, or no targets of this form.

    >>> from builder import LiveDataset, Recipe
    >>> image, (digits, length) = MapDataset(LiveDataset(Recipe(digits="350"), 10))[3]
    >>> image.shape, digits.tolist(), int(length)
    (torch.Size([1, 28, 200]), [3, 5, 0], 3)
    """

    def __init__(self, data: Dataset, targets: TargetForm = "padded") -> None:
        check_target(data, targets)
        if data.count is None:
            raise UsageError(
                "a map-style dataset has a length, but this one has no end: give it a count, or "
                "use builder.torch.Loader"
            )
        self.data, self.targets = data, targets

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> SampleItem:
        """Return the image and the target of one sample."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[SampleItem]:
        """Return the images and targets of several samples, in one read."""
        batch, target = self.data[list(indices)], TARGETS[self.targets]
        return list(zip(images_of(batch), target.split(target.of(batch)), strict=True))

    def collate(self, samples: Sequence[SampleItem]) -> tuple[torch.Tensor, object]:
        """Return the images (B, 1, 28, W) and targets of a batch, as `Loader` does."""
        images, targets = zip(*samples, strict=True)
        return torch.stack(images), TARGETS[self.targets].collate(list(targets))


class BatchKey(NamedTuple):
    """A batch by its number in an epoch, and the loop that asks for it."""

    epoch: int
    number: int
    loop: int


class BatchReader:
    """Reads or renders whole batches by key, in a worker or in the training process.

    `slots` is the number of buffers of a worker, 0 without workers: the batches it prefetches and
    one being delivered, since PyTorch asks for the next batch before it hands one over.
    """

    def __init__(self, data: Dataset, schedule: Schedule, targets: TargetForm) -> None:
        self.data, self.schedule, self.targets = data, schedule, targets
        self.slots = 0
        self._loop = 0
        self._ring: RingWriter | None = None

    def __getitem__(self, key: BatchKey) -> tuple[BatchKey, PackedBatch | list[Item]]:
        batch = self.data[self.schedule.indices(key.epoch, key.number)]
        items = [images_of(batch), *TARGETS[self.targets].pack(batch)]
        worker = get_worker_info()
        if worker is None or not self.slots:
            return key, items
        if self._ring is None or self._loop != key.loop:  # a new loop has no buffers yet
            self._loop, self._ring = key.loop, RingWriter(worker.id, self.slots)
        return key, self._ring.pack(items)
