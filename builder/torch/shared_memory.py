"""Tensors on their way from a worker: each batch in one block of shared memory, used in turn.

PyTorch sends each tensor through a file of its own, which takes its time and, on both sides, one of
the files that may be open. Here a worker has a few blocks, one more than the batches it may be
ahead; each is sent once, and from then on a batch is copied into a block that both sides have
mapped, and out of it when it is delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

ALIGNED = 16
"""Bytes: a part begins at a multiple, so that it can be seen as numbers of any type."""

SPARE = 1.0625
"""Of the bytes of the batch that a block is made for: later ones that are larger mostly fit, too,
since images, which are most of them, are all of one size."""


class Part(NamedTuple):
    """A tensor in a block: its first byte, its bytes, type and shape."""

    begin: int
    size: int
    kind: torch.dtype
    shape: tuple[int, ...]


class Parcel(NamedTuple):
    """A batch in a block of a worker: parts, or values of other kinds.

    `block` (N,) uint8 comes with the first parcel that is in it: then the receiver has it.
    """

    worker: int
    slot: int
    block: torch.Tensor | None
    parts: list[Any]


class Packer:
    """The blocks of one worker, `slots` of them, filled in turn."""

    def __init__(self, worker: int, slots: int) -> None:
        self._worker = worker
        self._blocks: list[torch.Tensor | None] = [None] * slots
        self._packed = 0

    def packed(self, values: Sequence[Any]) -> Parcel:
        """Return values as a parcel; those that are no tensors go along as they are.

        With that, what was packed `slots` parcels before is written over.
        """
        parts, end = [], 0
        for value in values:
            if isinstance(value, torch.Tensor):
                size = value.numel() * value.element_size()
                parts.append(Part(end, size, value.dtype, tuple(value.shape)))
                end += -(-size // ALIGNED) * ALIGNED
            else:
                parts.append(value)
        slot = self._packed % len(self._blocks)
        sent = self._blocks[slot]
        block = sent if sent is not None and end <= len(sent) else _shared(int(end * SPARE))
        for value, part in zip(values, parts, strict=True):
            if isinstance(part, Part):
                _bytes(block, part).view(part.kind).view(part.shape).copy_(value)
        self._blocks[slot], self._packed = block, self._packed + 1
        return Parcel(self._worker, slot, None if block is sent else block, parts)


class Opener:
    """The blocks that came from all workers, and batches copied out of them, pinned or not."""

    def __init__(self, *, pinned: bool = False) -> None:
        self._pinned = pinned
        self._blocks: dict[tuple[int, int], torch.Tensor] = {}

    def opened(self, parcel: Parcel) -> list[Any]:
        """Return the values of a parcel: the next one of its worker and slot may come."""
        place = parcel.worker, parcel.slot
        if parcel.block is not None:
            self._blocks[place] = parcel.block
        block = self._blocks[place]
        return [
            self._copied(block, part) if isinstance(part, Part) else part for part in parcel.parts
        ]

    def _copied(self, block: torch.Tensor, part: Part) -> torch.Tensor:
        # by NumPy, in this thread: PyTorch copies in threads on all cores, which the workers have
        # just then (two that render give 0.9 times what none gives with its copy, 1.7 with this)
        own = torch.empty(part.size, dtype=torch.uint8, device="cpu", pin_memory=self._pinned)
        np.copyto(own.numpy(), _bytes(block, part).numpy())
        return own.view(part.kind).view(part.shape)


def _shared(size: int) -> torch.Tensor:
    """Return shared memory, (N,) uint8, not written to, as PyTorch's own collate function does."""
    storage = torch.UntypedStorage._new_shared(max(1, size))
    return torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage)


def _bytes(block: torch.Tensor, part: Part) -> torch.Tensor:
    return block[part.begin : part.begin + part.size]
