"""Targets, what a model learns of a batch, in five forms; and a map-style dataset of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args

import torch
from torch.utils.data import default_collate

from builder.common.errors import UsageError
from builder.common.validation import format_value
from builder.datasets.dataset import Dataset
from builder.generator.batch import Batch
from builder.torch.shared_memory import Item

TargetForm = Literal["padded", "concatenated", "strings", "boxes", "masks"]
"""The names of the forms; `builder.torch` describes them."""

TensorPair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
Detections: TypeAlias = list[dict[str, torch.Tensor]]
SampleTarget: TypeAlias = TensorPair | torch.Tensor | str | dict[str, torch.Tensor]
"""The target of one sample, in any form."""
SampleItem: TypeAlias = tuple[torch.Tensor, SampleTarget]
"""An image (1, 28, W) uint8, and the target of the sample."""

T = TypeVar("T")


@dataclass(frozen=True)
class Target(Generic[T]):
    """One form of targets.

    Attributes:
        pack: Returns the few large items of a batch that a worker sends.
        unpack: Returns the batch's targets of these items.
        split: Returns the targets of each sample.
        collate: Returns the batch's targets from those of its samples.
    """

    pack: Callable[[Batch], Sequence[Item]]
    unpack: Callable[..., T]
    split: Callable[[T], list[SampleTarget]]
    collate: Callable[[list[Any]], T]

    def of(self, batch: Batch) -> T:
        """Return the targets of a batch."""
        return self.unpack(*self.pack(batch))


def images_of(batch: Batch) -> torch.Tensor:
    """Return the images, (B, 1, 28, W) uint8, without a copy."""
    return torch.from_numpy(batch.images)[:, None]


def _padded(batch: Batch) -> TensorPair:
    """Return digits (B, L) int64, padded with -1, and lengths (B,) int64."""
    return torch.from_numpy(batch.labels).long(), torch.from_numpy(batch.lengths).long()


def _concatenated(batch: Batch) -> TensorPair:
    """Return the digits of all samples in a row, (N,) int64, and lengths (B,) int64."""
    labels, lengths = _padded(batch)
    return labels[labels >= 0], lengths


def _concatenate(digits: list[torch.Tensor]) -> TensorPair:
    return torch.cat(digits), torch.tensor([len(part) for part in digits])


def _pair(first: torch.Tensor, second: torch.Tensor) -> TensorPair:
    return first, second


def _pack_boxes(batch: Batch) -> tuple[torch.Tensor | None, ...]:
    """Return what `_unpack_boxes` takes."""
    boxes = torch.from_numpy(batch.boxes)
    has_box = boxes[..., 2] > boxes[..., 0]  # a digit without a pixel has a box of zeros
    positions = torch.arange(1, boxes.shape[1] + 1).expand(has_box.shape)
    masks = None if batch.masks is None else torch.from_numpy(batch.masks)
    digits = torch.from_numpy(batch.labels)[has_box].long()
    return boxes[has_box], digits, positions[has_box], has_box.sum(1), masks


def _unpack_boxes(
    boxes: torch.Tensor,
    digits: torch.Tensor,
    positions: torch.Tensor,
    counts: torch.Tensor,
    masks: torch.Tensor | None,
) -> Detections:
    """Return for each sample what torchvision's detectors take.

    A digit without a pixel in the image has no box and is left out.

    Args:
        boxes: Boxes x0, y0, x1, y1 of all digits that have one, (N, 4) float32, px.
        digits: Their digits, (N,) int64.
        positions: Their positions in the label, from 1, (N,) int64.
        counts: Number of boxes of each sample, (B,) int64.
        masks: Position of the digit at each pixel, (B, 28, W) uint8, or None.

    Returns:
        A dict for each sample: `boxes` (n, 4) float32; `labels` (n,) int64, digit + 1, since 0 is
        background; with masks `masks` (n, 28, W) uint8, 1 where the digit is.
    """
    columns = (column.split(counts.tolist()) for column in (boxes, digits + 1, positions))
    targets = []
    for row, (own_boxes, labels, own_positions) in enumerate(zip(*columns, strict=True)):
        target = {"boxes": own_boxes, "labels": labels}
        if masks is not None:
            target["masks"] = (masks[row] == own_positions[:, None, None]).to(torch.uint8)
        targets.append(target)
    return targets


def _pack_masks(batch: Batch) -> TensorPair:
    """Return the digit's position at each pixel, (B, 28, W) uint8, and labels (B, L) int8."""
    assert batch.masks is not None
    return torch.from_numpy(batch.masks), torch.from_numpy(batch.labels)


def _unpack_masks(positions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the class of each pixel, (B, 28, W) int64: digit + 1, and 0 for background."""
    classes = torch.zeros((len(labels), labels.shape[1] + 1), dtype=torch.long)
    classes[:, 1:] = labels.long() + 1
    return classes.gather(1, positions.long().flatten(1)).view(positions.shape)


TARGETS: dict[TargetForm, Target[Any]] = {
    "padded": Target(_padded, _pair, lambda pair: list(zip(*pair, strict=True)), default_collate),
    "concatenated": Target(
        _concatenated, _pair, lambda pair: list(pair[0].split(pair[1].tolist())), _concatenate
    ),
    "strings": Target(lambda batch: [batch.texts], list, list, list),
    "boxes": Target(_pack_boxes, _unpack_boxes, list, list),
    "masks": Target(_pack_masks, _unpack_masks, list, torch.stack),
}
"""Every form by its name."""


def check_target(data: Dataset, form: TargetForm) -> None:
    """Raise `UsageError` unless `data` is a dataset that has targets of a form."""
    if not isinstance(data, Dataset):
        raise UsageError(
            f"data is {format_value(data)}, expected what open_dataset or LiveDataset gave"
        )
    if not isinstance(form, str) or form not in TARGETS:
        known = ", ".join(get_args(TargetForm))
        raise UsageError(f"targets is {format_value(form)}, expected one of: {known}")
    if form == "masks" and not data.masks:
        raise UsageError(
            "targets is 'masks', but the samples have none: build with --masks, or make "
            "LiveDataset(recipe, count, masks=True)"
        )


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
