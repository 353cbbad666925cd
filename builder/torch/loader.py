"""A loader for training loops that resumes exactly: workers make whole batches by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils.pin_memory import pin_memory

from builder.common.errors import UsageError
from builder.common.validation import format_value
from builder.datasets.dataset import Dataset
from builder.datasets.order import Order, Schedule
from builder.torch.shared_memory import Item, PackedBatch, RingReader, RingWriter, pinning_helps
from builder.torch.targets import (
    TARGETS,
    Detections,
    TargetForm,
    TensorPair,
    check_target,
    images_of,
)

RESERVED = {"batch_size", "shuffle", "sampler", "batch_sampler", "collate_fn", "drop_last"}
RESERVED |= {"in_order"}
"""Options of `DataLoader` that would change the batches of an `Order`."""

State = dict[str, int | str | bool | None]

Form = TypeVar("Form", bound=TargetForm, covariant=True)


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


class Loader(Generic[Form]):
    """Batches of (images, targets) in an `Order`, epoch after epoch, for a training loop.

    Images are (B, 1, 28, W) uint8: move them to the device, then divide by 255. Batches and their
    order are the same for any number of workers.

    One `for` loop is one epoch, and the next loop is the next epoch. After a `break` the next loop
    continues with the rest of the epoch, in this process or, by `state_dict`, in another.

    Args:
        data: What `open_dataset` or `LiveDataset` returned.
        order: Batch size, permutation, and the share of this rank; `Order()` by default.
        targets: Form of the targets (see `builder.torch`), `padded` by default.
        **options: Options of PyTorch's `DataLoader`, such as `num_workers`, `pin_memory`,
            `persistent_workers`, `prefetch_factor`, `multiprocessing_context`. `pin_memory` pins
            every tensor, on a machine with a GPU that gains by it.

    Raises:
        UsageError: A value is wrong, or an option would change the batches.

    >>> from builder import LiveDataset, Order, Recipe
    >>> loader = Loader(LiveDataset(Recipe(), 1_000), Order(256, shuffle=True))
    >>> [len(images) for images, (labels, lengths) in loader], loader.epoch
    ([256, 256, 256, 232], 1)
    """

    def __init__(
        self,
        data: Dataset,
        order: Order | None = None,
        targets: Form = "padded",  # type: ignore[assignment]  # mypy infers `Form` from it
        **options: object,
    ) -> None:
        order = Order() if order is None else order
        for name in options.keys() & RESERVED:
            raise UsageError(f"{name} is given to a Loader, whose batches are those of its Order")
        check_target(data, targets)
        self._reader = BatchReader(data, data.schedule(order), targets)
        self._progress = _Progress(self._reader.schedule)
        # pinned here: PyTorch would pin what workers send, a copy of each buffer made only once
        self._pins = bool(options.pop("pin_memory", False)) and pinning_helps()
        # else each epoch would draw a seed for workers from PyTorch's global generator
        options.setdefault("generator", torch.Generator())
        # what the reader returns is a tuple already, so that `tuple` changes nothing in it
        self._loader = DataLoader(
            self._reader, batch_size=None, sampler=self._progress, collate_fn=tuple, **options
        )
        if self._loader.num_workers:
            self._reader.slots = self._loader.prefetch_factor + 1

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 0, that the next batch belongs to."""
        return self._progress.epoch

    def set_epoch(self, epoch: int) -> None:
        """Start the next loop at the beginning of an epoch.

        Raises:
            UsageError: The epoch is out of range.
        """
        self._seek(epoch, 0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._reader.schedule)

    def __bool__(self) -> bool:
        return True

    @overload
    def __iter__(
        self: Loader[Literal["padded", "concatenated"]],
    ) -> Iterator[tuple[torch.Tensor, TensorPair]]: ...
    @overload
    def __iter__(self: Loader[Literal["strings"]]) -> Iterator[tuple[torch.Tensor, list[str]]]: ...
    @overload
    def __iter__(self: Loader[Literal["boxes"]]) -> Iterator[tuple[torch.Tensor, Detections]]: ...
    @overload
    def __iter__(self: Loader[Literal["masks"]]) -> Iterator[TensorPair]: ...

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield the rest of the epoch, batch by batch."""
        self._progress.loop += 1
        return self._iterate(self._progress.loop)

    def _iterate(self, loop: int) -> Iterator[tuple[torch.Tensor, Any]]:
        progress, epoch, batches = self._progress, self._progress.epoch, self._receive()
        while progress.loop == loop:
            items = next(batches, None)
            if items is None:
                if progress.epoch == epoch:  # the state came from a rank with one batch more
                    progress.epoch, progress.batch = epoch + 1, 0
                return
            images, *parts = items
            batch = images, TARGETS[self._reader.targets].unpack(*parts)
            if self._pins:  # tensors that came out of a ring are pinned; `unpack` may make others
                batch = pin_memory(batch)
            progress.batch += 1  # as late as this: nothing after it can fail
            if self._reader.schedule.count is not None and progress.batch == len(self):
                progress.epoch, progress.batch = epoch + 1, 0
            yield batch
        raise RuntimeError("this loop is over: another one has begun, or the place was set")

    def _receive(self) -> Iterator[list[Item]]:
        """Yield the items of each batch, copied out of the workers' rings."""
        ring = RingReader(pinned=self._pins)
        for (key, batch), expected in zip(self._loader, self._progress, strict=False):
            # PyTorch may mix up two loops, if one times out while workers are reset
            if key != expected:
                raise RuntimeError(
                    f"{key} came from a worker, {expected} was due: make a new Loader"
                )
            yield ring.unpack(batch) if isinstance(batch, PackedBatch) else batch

    def state_dict(self) -> State:
        """Return how far the loop is, for a checkpoint: batches delivered, not those prefetched."""
        progress = self._progress
        return {"epoch": progress.epoch, "batch": progress.batch, **self._order_values()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where another loader stopped.

        Args:
            state: What `state_dict` returned. The state of rank 0 serves all ranks.

        Raises:
            UsageError: The state is of other samples, or of another order.
        """
        if not isinstance(state, Mapping):
            raise UsageError(
                f"the state is {format_value(state)}, expected what state_dict() returned"
            )
        for name, own in self._order_values().items():
            value = state.get(name)
            if not isinstance(value, type(own)) or value != own:
                raise UsageError(
                    f"the state is of {name} {format_value(value)}, and this loader's is {own!r}: "
                    "its batches are not the same ones"
                )
        self._seek(state.get("epoch"), state.get("batch"))

    def _seek(self, epoch: Any, batch: Any) -> None:
        progress = self._progress
        progress.epoch, progress.batch = self._reader.schedule.check_start(epoch, batch)
        progress.loop += 1

    def _order_values(self) -> State:
        """Return what the samples of every batch depend on, for any rank."""
        schedule = self._reader.schedule
        order = {**asdict(schedule.order), "block": schedule.block}
        for name in ("rank",) if schedule.order.shuffle else ("rank", "seed", "block"):
            del order[name]
        fingerprint = self._reader.data.fingerprint
        return {"fingerprint": fingerprint, "count": schedule.count, **order}


@dataclass
class _Progress:
    """How far a loader is: the epoch, its batches delivered, and the number of the `for` loop.

    Iterated, it yields the keys of the batches still to come in the epoch.
    """

    schedule: Schedule
    epoch: int = 0
    batch: int = 0
    loop: int = 0

    def __iter__(self) -> Iterator[BatchKey]:
        epoch, loop = self.epoch, self.loop
        return (BatchKey(epoch, number, loop) for number in self.schedule.numbers(self.batch))
