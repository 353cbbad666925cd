"""Where an example computes and in which type: as asked for, or by what is there and fast."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from builder import UsageError

DEVICES = ("cuda", "mps", "cpu")
"""Devices in the order of preference: NVIDIA's and AMD's GPUs, Apple's, the processor."""

PRECISIONS = ("float32", "bfloat16")
"""Types of convolutions and matrix products. Weights, losses and updates are float32."""

LEAST_GAIN = 1.2
"""bfloat16 is chosen if a step in float32 takes at least this many times as long. A processor
without instructions for bfloat16 takes 4 to 8 times as long with it, and two measurements of equal
steps differ by some percent."""


@dataclass(frozen=True)
class Hardware:
    """What a model computes on: a device of PyTorch, one of `PRECISIONS`, and why these."""

    device: str
    precision: str
    reason: str = ""

    def __str__(self) -> str:
        return f"device {self.device}, precision {self.precision}: {self.reason}"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return a context in which convolutions and matrix products have the precision."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


def is_usable(device: str) -> bool:
    """Return whether PyTorch can compute on a device."""
    try:
        with torch.autocast(torch.device(device).type, enabled=False):
            return torch.zeros(1, device=device).item() == 0
    except (RuntimeError, AssertionError, ImportError):  # so PyTorch lacks a device, or its part
        return False


def time_step(
    make_model: Callable[[], nn.Module],
    shape: tuple[int, int, int, int],
    device: str,
    precision: str,
) -> float:
    """Return the seconds of a training step, the shortest of three; infinite if it cannot be done.

    Steps on the processor have at most 8 images and run on one core, of which the time is counted,
    so that other programs make little difference.

    Args:
        make_model: Returns the model.
        shape: Shape of a batch of its input, (B, 1, 28, W).
        device: A usable device.
        precision: One of `PRECISIONS`.
    """
    clock, threads = time.perf_counter, torch.get_num_threads()
    if torch.device(device).type == "cpu":
        clock, shape = time.process_time, (min(8, shape[0]), *shape[1:])
    torch.set_num_threads(1)
    try:
        model, images = make_model().to(device), torch.rand(shape, device=device)
        seconds = []
        for _ in range(3):
            started = clock()
            with Hardware(device, precision).autocast():
                scores = model(images)
            scores.float().sum().backward()
            next(model.parameters()).grad.sum().item()  # a GPU has then done all of it
            seconds.append(clock() - started)
        return min(seconds)
    except (RuntimeError, TypeError):
        return math.inf  # older GPUs have no bfloat16
    finally:
        torch.set_num_threads(threads)


def choose_hardware(
    device: str | None,
    precision: str | None,
    measure: Callable[[str, str], float],
    usable: Callable[[str], bool] = is_usable,
) -> Hardware:
    """Choose where to compute, and in which type.

    Args:
        device: A name that PyTorch knows, such as `cuda:1`, or None for the first usable one of
            `DEVICES`.
        precision: One of `PRECISIONS`, or None for bfloat16 where it is faster.
        measure: Returns the seconds of a training step, given device and precision.
        usable: Returns whether a device can be used.

    Returns:
        Device, precision and the reason for both.

    Raises:
        UsageError: The device cannot be used.
    """
    there = [name for name in DEVICES if usable(name)]
    if device is not None and device not in there and not usable(device):
        raise UsageError(f"device is {device!r}, expected one that is there: {', '.join(there)}")
    origin = "the device is the best one there" if device is None else "the device was asked for"
    device = device or there[0]
    if precision is not None:
        return Hardware(device, precision, f"{origin}; the precision was asked for")
    seconds = [measure(device, each) for each in PRECISIONS]
    fast = seconds[0] >= LEAST_GAIN * seconds[1]
    steps = " and ".join(
        f"{1000 * each:.3g} ms in {name}" for each, name in zip(seconds, PRECISIONS, strict=True)
    )
    return Hardware(device, PRECISIONS[fast], f"{origin}; a step takes {steps}")
