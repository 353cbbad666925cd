"""Batches from worker processes through rings of shared-memory buffers.

PyTorch sends each tensor through a file of its own, which takes time, and on both sides one of the
files that may be open. Here each worker has a ring of a few buffers, one more than the batches it
may prefetch. A buffer is sent once; from then on the worker copies batches into it, and the
training process copies them out when it delivers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

ALIGNMENT = 16
"""Bytes: a tensor begins at a multiple, so that it can be viewed as any type."""

HEADROOM = 1.0625
"""Size of a new buffer, as a multiple of its first batch. Images are most of a batch and all of one
size, so later batches mostly fit."""

Item: TypeAlias = torch.Tensor | list[str] | None
"""What a batch is sent as: images, then the tensors and strings that its targets are made of."""


class TensorSlice(NamedTuple):
    """Where a tensor lies in a buffer: first byte, number of bytes, type and shape."""

    offset: int
    size: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class PackedBatch(NamedTuple):
    """A batch in a buffer of a worker's ring.

    `buffer` (N,) uint8 is sent only with the first batch in it; the receiver keeps it. `items` are
    the batch's tensors as slices of the buffer, and items of other types as they are.
    """

    worker: int
    slot: int
    buffer: torch.Tensor | None
    items: list[TensorSlice | Item]


class RingWriter:
    """The ring of one worker.

    Args:
        worker: Number of the worker, from 0.
        slots: Number of buffers, from 1.
    """

    def __init__(self, worker: int, slots: int) -> None:
        self._worker = worker
        self._buffers: list[torch.Tensor | None] = [None] * slots
        self._count = 0

    def pack(self, items: Sequence[Item]) -> PackedBatch:
        """Copy a batch into the next buffer, over the one that was packed `slots` batches ago."""
        packed: list[TensorSlice | Item] = []
        end = 0
        for item in items:
            if isinstance(item, torch.Tensor):
                size = item.numel() * item.element_size()
                packed.append(TensorSlice(end, size, item.dtype, tuple(item.shape)))
                end += -(-size // ALIGNMENT) * ALIGNMENT
            else:
                packed.append(item)
        slot = self._count % len(self._buffers)
        sent = self._buffers[slot]
        buffer = sent if sent is not None and end <= len(sent) else _share(int(end * HEADROOM))
        for item, part in zip(items, packed, strict=True):
            if isinstance(part, TensorSlice):
                _bytes(buffer, part).view(part.dtype).view(part.shape).copy_(item)
        self._buffers[slot], self._count = buffer, self._count + 1
        return PackedBatch(self._worker, slot, None if buffer is sent else buffer, packed)


class RingReader:
    """The rings of all workers, as the training process sees them.

    Args:
        pinned: Copy tensors into pinned memory.
    """

    def __init__(self, *, pinned: bool = False) -> None:
        self._pinned = pinned
        self._buffers: dict[tuple[int, int], torch.Tensor] = {}

    def unpack(self, batch: PackedBatch) -> list[Item]:
        """Copy a batch out of its buffer; afterwards the worker may fill the buffer again."""
        key = batch.worker, batch.slot
        if batch.buffer is not None:
            self._buffers[key] = batch.buffer
        buffer = self._buffers[key]
        return [
            self._copy(buffer, item) if isinstance(item, TensorSlice) else item
            for item in batch.items
        ]

    def _copy(self, buffer: torch.Tensor, part: TensorSlice) -> torch.Tensor:
        # NumPy copies in this thread; PyTorch copies in threads on all cores, which the workers
        # need just then (two that render give 0.9 times the images of none so, and 1.7 with NumPy)
        copy = torch.empty(part.size, dtype=torch.uint8, device="cpu", pin_memory=self._pinned)
        np.copyto(copy.numpy(), _bytes(buffer, part).numpy())
        return copy.view(part.dtype).view(part.shape)


def pinning_helps() -> bool:
    """Return whether there is a GPU that gains by pinned memory; Apple's does not."""
    if not hasattr(torch, "accelerator"):  # before PyTorch 2.6
        return torch.cuda.is_available()
    device = torch.accelerator.current_accelerator()
    return torch.accelerator.is_available() and device is not None and device.type != "mps"


def _share(size: int) -> torch.Tensor:
    """Return uninitialised shared memory (N,) uint8, as PyTorch's own collate function does."""
    storage = torch.UntypedStorage._new_shared(max(1, size))
    return torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage)


def _bytes(buffer: torch.Tensor, part: TensorSlice) -> torch.Tensor:
    return buffer[part.offset : part.offset + part.size]
