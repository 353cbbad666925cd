"""Grey values changed one by one: a contrast curve, and inversion to black on white."""

from __future__ import annotations

import numpy as np

from builder.augment.augmentation import Draws, Effect, Range, rescale, round_half_up
from builder.common.constants import Int32s, Ints, UInt8s, i32, u8
from builder.common.jit import jit


def draw_contrast(draws: Draws, strength: float) -> Ints:
    """Return (B, 1): the bend of the curve, uniform in [-strength, strength], in 1/65536/255."""
    return round_half_up(draws.per_strip() * (strength * 65536 / 255))


@jit
def bend_curve(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Move grey value v, as a share t of white, to t + bend * t * (1 - t)."""
    for b in range(len(images)):
        pixels, bend = images[b].reshape(-1), i32(numbers[b, 0])
        for i in range(len(pixels)):
            v = i32(pixels[i])
            pixels[i] = u8(v + (i32(v * (255 - v) * bend + 32768) >> 16))


CONTRAST = Effect(
    Range(
        name="contrast",
        flag="S",
        unit="share",
        help="bend the curve of grey values, half-tones up to S / 4 of white lighter or darker",
        most=1.0,
        presets={"strong": 0.6},
    ),
    draw=draw_contrast,
    change=bend_curve,
)


def draw_invert(draws: Draws, share: float) -> Ints:
    """Return (B, 1): 255 for a share of the samples, else 0."""
    inverted = rescale(draws.per_strip(), 1.0) < share
    return np.where(inverted, 255, 0)[:, None]


@jit
def invert(images: UInt8s, numbers: Ints, scratch: Int32s) -> None:
    """Turn the images whose number is 255 into their negative."""
    for b in range(len(images)):
        pixels, bits = images[b].reshape(-1), u8(numbers[b, 0])
        for i in range(len(pixels)):
            pixels[i] ^= bits


INVERT = Effect(
    Range(
        name="invert",
        flag="P",
        unit="share",
        help="turn a share P of the images into black on white",
        most=1.0,
    ),
    draw=draw_invert,
    change=invert,
)
