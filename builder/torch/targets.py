"""Targets: what a model is to learn of a batch, as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import default_collate

from builder.batch import Batch
from builder.errors import UsageError
from builder.samples import Samples


@dataclass(frozen=True)
class Target:
    """One form of targets: of a whole batch, split into those of its samples, and joined again.

    `pack` makes of a batch few, large tensors, which workers can send (each one takes an open
    file on its way, of which there are often 1,024), and `unpack` makes the targets of them.
    """

    pack: Callable[[Batch], Any]
    split: Callable[[Any], list[Any]]
    join: Callable[[list[Any]], Any]
    unpack: Callable[[Any], Any] = lambda packed: packed

    def of(self, batch: Batch) -> Any:
        """Return the targets of a batch."""
        return self.unpack(self.pack(batch))


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


def _packed_boxes(batch: Batch) -> tuple[torch.Tensor | None, ...]:
    """Return boxes (N, 4), digits (N,) and positions (N,) of those that show, and how many a row.

    Last, which position each pixel belongs to, (B, 28, W), or None.
    """
    boxes = torch.from_numpy(batch.boxes)
    shown = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    positions = torch.arange(1, boxes.shape[1] + 1).expand(shown.shape)
    masks = None if batch.masks is None else torch.from_numpy(batch.masks)
    digits = torch.from_numpy(batch.labels)[shown].long()
    return boxes[shown], digits, positions[shown], shown.sum(1), masks


def _boxes(packed: Any) -> list[dict[str, torch.Tensor]]:
    """Return for each sample what torchvision's detectors take.

    `boxes` (n, 4) float32, x0, y0, x1, y1; `labels` (n,) int64, digit + 1, since 0 is background
    there; `masks` (n, 28, W) uint8, 1 where a digit is, if the batch has masks. A digit
    without a pixel in the image has no box, and is left out.
    """
    *columns, counts, masks = packed
    targets = []
    parts = zip(*(column.split(counts.tolist()) for column in columns), strict=True)
    for row, (boxes, digits, positions) in enumerate(parts):
        target = {"boxes": boxes, "labels": digits + 1}
        if masks is not None:
            target["masks"] = (masks[row] == positions[:, None, None]).to(torch.uint8)
        targets.append(target)
    return targets


def _masks(batch: Batch) -> torch.Tensor:
    """Return the class of each pixel, (B, 28, W) int64: digit + 1, and 0 for background."""
    samples, longest = batch.labels.shape
    classes = torch.zeros((samples, longest + 1), dtype=torch.long)
    classes[:, 1:] = torch.from_numpy(batch.labels).long() + 1
    positions = torch.from_numpy(batch.masks).long()
    return classes.gather(1, positions.flatten(1)).view(positions.shape)


TARGETS = {
    "padded": Target(_padded, lambda pair: list(zip(*pair, strict=True)), default_collate),
    "concatenated": Target(
        _concatenated, lambda pair: list(pair[0].split(pair[1].tolist())), _joined
    ),
    "strings": Target(lambda batch: batch.texts, list, list),
    "boxes": Target(_packed_boxes, list, list, _boxes),
    "masks": Target(_masks, list, torch.stack),
}
"""Every form by its name."""


def target_for(data: Samples, name: Any) -> Target:
    """Return a form of targets of some samples. Raises `UsageError` where there is none."""
    if not isinstance(name, str) or name not in TARGETS:
        raise UsageError(f"targets is {name!r}, expected one of: {', '.join(TARGETS)}")
    if name == "masks" and not data.masks:
        raise UsageError(
            "targets is 'masks', but the samples have none: build with --masks, or make "
            "LiveDataset(recipe, count, masks=True)"
        )
    return TARGETS[name]
