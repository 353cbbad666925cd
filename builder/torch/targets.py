"""Targets: what a model is to learn of a batch, as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import default_collate

from builder.common.errors import UsageError
from builder.common.validation import format_value
from builder.datasets.dataset import Dataset
from builder.generator.batch import Batch


@dataclass(frozen=True)
class Target:
    """One form of targets: of a whole batch, split into those of its samples, and joined again.

    `parts` makes of a batch the few large tensors that workers send, and `whole` makes the targets
    of these.
    """

    parts: Callable[[Batch], tuple[Any, ...]]
    whole: Callable[..., Any]
    split: Callable[[Any], list[Any]]
    join: Callable[[list[Any]], Any]

    def of(self, batch: Batch) -> Any:
        """Return the targets of a batch."""
        return self.whole(*self.parts(batch))


def images_of(batch: Batch) -> torch.Tensor:
    """Return the images of a batch, (B, 1, 28, W) uint8: a quarter of what floats take to move."""
    return torch.from_numpy(batch.images)[:, None]


def _padded(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return digits (B, L) int64, padded with -1, and lengths (B,) int64."""
    return torch.from_numpy(batch.labels).long(), torch.from_numpy(batch.lengths).long()


def _concatenated(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the digits of all samples one after another, (N,) int64, and lengths (B,) int64.

    It is what `torch.nn.CTCLoss` takes, with `blank=10`: digits keep their values.
    """
    labels, lengths = _padded(batch)
    return labels[labels >= 0], lengths


def _joined(parts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat(parts), torch.tensor([len(part) for part in parts])


def _texts(batch: Batch) -> tuple[list[str]]:
    return (batch.texts,)


def _pair(*parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return parts


def _same(part: Any) -> Any:
    return part


def _parts_of_boxes(batch: Batch) -> tuple[torch.Tensor | None, ...]:
    """Return boxes (N, 4), digits (N,) and positions (N,) of those that show, and how many a row.

    Last, which position each pixel belongs to, (B, 28, W), or None.
    """
    boxes = torch.from_numpy(batch.boxes)
    shown = boxes[..., 2] > boxes[..., 0]  # a digit without a pixel has a box of zeros
    positions = torch.arange(1, boxes.shape[1] + 1).expand(shown.shape)
    masks = None if batch.masks is None else torch.from_numpy(batch.masks)
    digits = torch.from_numpy(batch.labels)[shown].long()
    return boxes[shown], digits, positions[shown], shown.sum(1), masks


def _boxes(
    boxes: torch.Tensor,
    digits: torch.Tensor,
    positions: torch.Tensor,
    counts: torch.Tensor,
    masks: torch.Tensor | None,
) -> list[dict[str, torch.Tensor]]:
    """Return for each sample what torchvision's detectors take.

    `boxes` (n, 4) float32, x0, y0, x1, y1; `labels` (n,) int64, digit + 1, since 0 is background
    there; `masks` (n, 28, W) uint8, 1 where a digit is, if the batch has masks. A digit
    without a pixel in the image has no box, and is left out.
    """
    columns = (column.split(counts.tolist()) for column in (boxes, digits + 1, positions))
    targets = []
    for row, (own, labels, places) in enumerate(zip(*columns, strict=True)):
        target = {"boxes": own, "labels": labels}
        if masks is not None:
            target["masks"] = (masks[row] == places[:, None, None]).to(torch.uint8)
        targets.append(target)
    return targets


def _parts_of_masks(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which position each pixel belongs to, (B, 28, W) uint8, and labels (B, L) int8."""
    assert batch.masks is not None
    return torch.from_numpy(batch.masks), torch.from_numpy(batch.labels)


def _masks(positions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the class of each pixel, (B, 28, W) int64: digit + 1, and 0 for background."""
    classes = torch.zeros((len(labels), labels.shape[1] + 1), dtype=torch.long)
    classes[:, 1:] = labels.long() + 1
    return classes.gather(1, positions.long().flatten(1)).view(positions.shape)


TARGETS = {
    "padded": Target(_padded, _pair, lambda pair: list(zip(*pair, strict=True)), default_collate),
    "concatenated": Target(
        _concatenated, _pair, lambda pair: list(pair[0].split(pair[1].tolist())), _joined
    ),
    "strings": Target(_texts, _same, list, list),
    "boxes": Target(_parts_of_boxes, _boxes, list, list),
    "masks": Target(_parts_of_masks, _masks, list, torch.stack),
}
"""Every form by its name."""


def check_target(data: Dataset, name: Any) -> None:
    """Raise `UsageError` unless `name` is a form of targets that some samples have."""
    if not isinstance(data, Dataset):
        raise UsageError(
            f"data is {format_value(data)}, expected what open_dataset or LiveDataset gave"
        )
    if not isinstance(name, str) or name not in TARGETS:
        raise UsageError(f"targets is {format_value(name)}, expected one of: {', '.join(TARGETS)}")
    if name == "masks" and not data.masks:
        raise UsageError(
            "targets is 'masks', but the samples have none: build with --masks, or make "
            "LiveDataset(recipe, count, masks=True)"
        )
