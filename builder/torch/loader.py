"""A loader for PyTorch that knows where it is: whole batches by number, resumed exactly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils.pin_memory import pin_memory

from builder.common.errors import UsageError
from builder.common.validation import format_value
from builder.datasets.dataset import Dataset
from builder.datasets.order import Order, Schedule
from builder.torch.shared_memory import Opener, Packer, Parcel
from builder.torch.targets import TARGETS, check_target, images_of

OWNED = (
    "batch_size", "shuffle", "sampler", "batch_sampler", "collate_fn", "drop_last", "in_order",
)  # fmt: skip
"""Options of `DataLoader` that would make other batches of what a loader knows."""

Delivered = tuple[torch.Tensor, Any]
"""Images (B, 1, 28, W) uint8, and their targets."""


class Loader:
    """Batches of (images, targets) in an `Order`, epoch after epoch, for a training loop.

    `data` is what `open_dataset` or `LiveDataset` gave. `targets` names their form (see
    `builder.torch`). Other options go to PyTorch's `DataLoader`: `num_workers`, `pin_memory`,
    `persistent_workers`, `prefetch_factor`, `multiprocessing_context`... Batches and their order
    are the same for all of them. Images are (B, 1, 28, W) uint8: send them to the device, then
    divide by 255. `pin_memory` pins all tensors of a batch, where there is a GPU that gains by it.

    One `for` loop is one epoch; the next loop is the next. A loop that was left goes on
    where it stopped, in this process or, by `state_dict`, in another. With the last batch of an
    epoch the next epoch begins.

    >>> from builder import LiveDataset, Order, Recipe
    >>> loader = Loader(LiveDataset(Recipe(), 1_000), Order(256, shuffle=True))
    >>> [len(images) for images, (labels, lengths) in loader], loader.epoch
    ([256, 256, 256, 232], 1)
    """

    def __init__(
        self, data: Dataset, order: Order | None = None, targets: str = "padded", **options: Any
    ) -> None:
        order = Order() if order is None else order
        for name in options.keys() & set(OWNED):
            raise UsageError(f"{name} is given to a Loader, whose batches are those of its Order")
        check_target(data, targets)
        self._batches = _Batches(data, data.schedule(order), targets)
        self._place = _Place()
        # done here, for PyTorch would pin what comes from workers: a copy of each block, made once
        self._pins = bool(options.pop("pin_memory", False)) and _can_pin()
        # of its own: else each epoch would draw a seed for workers from PyTorch's global generator
        options.setdefault("generator", torch.Generator())
        self._ahead = _Ahead(self._batches.schedule, self._place)
        self._loader = DataLoader(
            self._batches,
            batch_size=None,
            sampler=self._ahead,
            collate_fn=_as_it_is,
            **options,
        )
        if self._loader.num_workers:
            self._batches.slots = self._loader.prefetch_factor + 1

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0, that the next batch is of."""
        return self._place.epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch anew with the next loop. Raises `UsageError` for one that cannot be."""
        self._go_to(epoch, 0)

    def __len__(self) -> int:
        """Return the batches in an epoch."""
        return len(self._batches.schedule)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Delivered]:
        """Yield the rest of the epoch, batch by batch."""
        self._place.turn += 1
        return self._run(self._place.turn)

    def _run(self, turn: int) -> Iterator[Delivered]:
        place, epoch, batches = self._place, self._place.epoch, self._values()
        while place.turn == turn:
            batch = next(batches, None)
            if batch is None:
                if place.epoch == epoch:  # the state was of a rank that had one batch more
                    place.epoch, place.delivered = epoch + 1, 0
                return
            images, *parts = batch
            made = images, TARGETS[self._batches.targets].whole(*parts)
            if self._pins:  # what was opened into pinned memory stays; what `whole` made follows
                made = pin_memory(made)
            place.delivered += 1  # only now: nothing that can fail comes after it
            if self._batches.schedule.count is not None and place.delivered == len(self):
                place.epoch, place.delivered = epoch + 1, 0
            yield made
        raise RuntimeError("this loop is over: another one has begun, or the place was set")

    def _values(self) -> Iterator[list[Any]]:
        """Yield images and parts of targets of each batch, those of workers out of their blocks."""
        opener = Opener(pinned=self._pins)
        for (wanted, batch), due in zip(self._loader, self._ahead, strict=False):
            if wanted != due:  # PyTorch may mix loops up, if one times out while workers are reset
                raise RuntimeError(f"{wanted} came from a worker, {due} was due: make a new Loader")
            yield opener.opened(batch) if isinstance(batch, Parcel) else batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is: what it delivered, not what workers have ready."""
        return {"epoch": self._place.epoch, "batch": self._place.delivered, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was. A state of rank 0 serves all ranks.

        Raises `UsageError` where its samples or their order were not those of this one.
        """
        if not isinstance(state, Mapping):
            raise UsageError(
                f"the state is {format_value(state)}, expected what state_dict() returned"
            )
        for name, mine in self._identity().items():
            theirs = state.get(name)
            if not isinstance(theirs, type(mine)) or theirs != mine:
                raise UsageError(
                    f"the state is of {name} {format_value(theirs)}, "
                    f"and this loader's is {mine!r}: "
                    "its batches are not the same ones"
                )
        self._go_to(state.get("epoch"), state.get("batch"))

    def _go_to(self, epoch: Any, delivered: Any) -> None:
        place = self._place
        place.epoch, place.delivered = self._batches.schedule.start(epoch, delivered)
        place.turn += 1

    def _identity(self) -> dict[str, Any]:
        """Return what decides which samples a batch of a number has, whoever loads it."""
        schedule = self._batches.schedule
        order = {**asdict(schedule.order), "block": schedule.block}
        for name in ("rank",) if schedule.order.shuffle else ("rank", "seed", "block"):
            del order[name]
        fingerprint = self._batches.data.fingerprint
        return {"fingerprint": fingerprint, "count": schedule.count, **order}


@dataclass
class _Place:
    """Where a loader is: batches that it delivered in an epoch. Each loop over it is a turn."""

    epoch: int = 0
    delivered: int = 0
    turn: int = 0


class _Wanted(NamedTuple):
    """A batch by its number in an epoch, and the turn that it is wanted for."""

    epoch: int
    number: int
    turn: int


class _Batches:
    """Whole batches by number: all that a worker needs to know.

    `slots` is how many batches of a worker may be on their way: those it is asked for ahead, and
    one being delivered, for PyTorch asks for the next before it hands one over. 0: no workers.
    """

    def __init__(self, data: Dataset, schedule: Schedule, targets: str) -> None:
        self.data, self.schedule, self.targets = data, schedule, targets
        self.slots = 0
        self._turn = 0
        self._packer: Packer | None = None

    def __getitem__(self, wanted: _Wanted) -> tuple[_Wanted, Parcel | list[Any]]:
        batch = self.data[self.schedule.indices(wanted.epoch, wanted.number)]
        values = [images_of(batch), *TARGETS[self.targets].parts(batch)]
        worker = get_worker_info()
        if worker is None or not self.slots:
            return wanted, values
        if self._packer is None or self._turn != wanted.turn:  # who asks has no blocks of this turn
            self._turn, self._packer = wanted.turn, Packer(worker.id, self.slots)
        return wanted, self._packer.packed(values)


class _Ahead:
    """The batches still to come in an epoch: PyTorch deals them to workers in turn."""

    def __init__(self, schedule: Schedule, place: _Place) -> None:
        self._schedule, self._place = schedule, place

    def __iter__(self) -> Iterator[_Wanted]:
        epoch, first, turn = self._place.epoch, self._place.delivered, self._place.turn
        endless = self._schedule.count is None
        numbers = itertools.count(first) if endless else range(first, len(self._schedule))
        return (_Wanted(epoch, number, turn) for number in numbers)


def _can_pin() -> bool:
    """Tell whether there is a GPU that gains by pinned memory. Apple's does not."""
    if not hasattr(torch, "accelerator"):  # before PyTorch 2.6
        return bool(torch.cuda.is_available())
    kind = torch.accelerator.current_accelerator()
    return torch.accelerator.is_available() and kind is not None and kind.type != "mps"


def _as_it_is(batch: Any) -> Any:
    return batch
