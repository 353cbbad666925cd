"""The classic face: sequences of digits by the function names of the classic script.

    python imgAug.py --digits="[1,2,3]" --spacing_range="[5,10]" --image_width=200

A thin layer over `builder`, which makes millions of images at a time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from builder.augment.ranges import Augment
from builder.cli.main import Parser, run_command
from builder.common import atomic_files, rng
from builder.common.errors import UsageError
from builder.generator import transforms
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.digits import MNIST, DigitBank, Source, open_bank, register
from builder.recipe.recipe import Recipe
from builder.storage.config import check_png_label
from builder.storage.formats.png import encoded, png_name

Image = npt.NDArray[np.float32]
Grey = npt.NDArray[np.generic]

SCALE = 0.2
"""How far `scaleFlg` scales each digit, as a share."""

DEFAULT_FOLDER = "dataset"

BLOCK = 256
"""Images drawn at a time by the script."""


def generate_numbers_sequence(
    digits: Sequence[int],
    spacing_range: tuple[int, int],
    image_width: int,
    seed: int | None = None,
    save_to: str | Path | None = None,
) -> Image:
    """Return an image of a sequence of digits, float32 (28, image_width) in [0, 1], ink 1.

    Each digit is drawn at random from its images in MNIST. The gaps between them are
    uniform whole pixels in `spacing_range`, both ends included. Digits are narrowed where
    they would be wider than the image, and placed at random where it is wider.

    Without a `seed` (0 to 2**64 - 1) each call gives a fresh image; with one it repeats.
    `save_to` names a folder to which the image is also written as PNG, under the next free
    number. Raises `UsageError` (a `ValueError`) for a width, spacing or digit that cannot be.

    >>> generate_numbers_sequence([3, 5, 0], (10, 30), 100).shape
    (28, 100)
    """
    return _one_image(digits, spacing_range, image_width, MNIST, 0.0, seed, save_to)


def generate_numbers_sequence_speedup(
    digits: Sequence[int],
    spacing_range: tuple[int, int],
    image_width: int,
    df: Source,
    gp: DigitBank,
    scaleFlg: bool = False,  # noqa: N803  # the classic script's name
    seed: int | None = None,
    save_to: str | Path | None = None,
) -> Image:
    """Return an image as `generate_numbers_sequence` does, from digits loaded by `load_dataset`.

    `df`, `gp` are the two values of `load_dataset`. With `scaleFlg` each digit is scaled in x
    and y by independent factors in [0.8, 1.2].
    """
    del gp  # the bank is mapped once for all calls; the handle is kept for the classic call
    scale = SCALE if scaleFlg else 0.0
    return _one_image(digits, spacing_range, image_width, df, scale, seed, save_to)


def load_dataset(folder: str | Path | None = None) -> tuple[Source, DigitBank]:
    """Load the four IDX files of a folder (None: the bundled MNIST) and return two handles.

    They are for `generate_numbers_sequence_speedup`, and opaque: no pandas is needed.
    """
    source = MNIST if folder is None else register(folder)
    return source, open_bank(source, "train")


def random_scale_img(image: Grey, scale_in: float = 0.2, seed: int | None = None) -> Grey:
    """Return an image scaled in x and y by independent factors in [1 - scale_in, 1 + scale_in].

    Like all `random_..._img`: about the centre, keeping shape (H, W) and type, 0 outside; the
    same again with the same `seed`, fresh without. `scale_in` is in [0, 0.99].

    >>> random_scale_img(np.eye(28, 100), 0.5, seed=3).shape
    (28, 100)
    """
    _check(image, "scale_in", scale_in, 0.99)
    return transforms.scale(image, scale_in, seed)


def random_rotate_img(image: Grey, degrees_in: float = 15.0, seed: int | None = None) -> Grey:
    """Return an image rotated by up to `degrees_in` degrees, 0 to 180, to either side."""
    _check(image, "degrees_in", degrees_in, 180)
    return transforms.rotate(image, degrees_in, seed)


def random_shear_img(image: Grey, shear_in: float = 0.2, seed: int | None = None) -> Grey:
    """Return an image slanted by up to `shear_in` px, 0 to 2, for each px of height."""
    _check(image, "shear_in", shear_in, 2)
    return transforms.shear(image, shear_in, seed)


def random_perspective_img(image: Grey, share_in: float = 0.1, seed: int | None = None) -> Grey:
    """Return an image seen from the side: an edge up to a share `share_in` nearer, 0 to 0.4."""
    _check(image, "share_in", share_in, 0.4)
    return transforms.tilt(image, share_in, seed)


def random_elastic_img(
    image: Grey, rms_in: float = 0.8, correlation: float = 5.0, seed: int | None = None
) -> Grey:
    """Return an image whose points are displaced smoothly.

    By `rms_in` px (root mean square, 0 to 5), with a correlation length of `correlation` px
    (the sigma of the Gaussian that smooths the displacements, 2 to 100).
    """
    _check(image, "rms_in", rms_in, 5)
    _check(image, "correlation", correlation, 100, least=2)
    return transforms.deform(image, rms_in, correlation, seed)


def _check(image: Grey, name: str, value: float, most: float, least: float = 0) -> None:
    """Raise `UsageError` for what is no grey image, and for a number outside [least, most]."""
    if getattr(image, "ndim", 0) != 2 or not image.size or image.dtype.kind not in "biuf":
        shape = getattr(image, "shape", None)
        raise UsageError(f"image has shape {shape}, expected a grey image (H, W) of numbers")
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or not least <= value <= most:
        raise UsageError(f"{name} is {value!r}, expected a number from {least} to {most}")


def _one_image(
    digits: Sequence[int],
    spacing_range: tuple[int, int],
    image_width: int,
    source: Source,
    scale: float,
    seed: int | None,
    save_to: str | Path | None,
) -> Image:
    recipe = Recipe(
        seed=rng.master_seed(seed),
        source=source,
        digits=() if digits is None else digits,
        spacing=spacing_range,
        width=image_width,
        augment=Augment.preset("none", scale=scale),
    )
    sample = generate(recipe, [0])[0]
    if save_to is not None:
        _save([sample], Path(save_to))
    return sample.image.astype(np.float32) / np.float32(255)


def _save(samples: Iterable[Sample], folder: Path) -> None:
    """Write images under the numbers after the highest in the folder; never over another."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = (re.match(r"(\d{12,})_\d+\.png$", path.name) for path in folder.iterdir())
    first = max((int(found[1]) for found in numbers if found), default=-1) + 1
    for number, sample in enumerate(samples, first):
        check_png_label(len(sample.text))
        atomic_files.publish_bytes(folder / png_name(number, sample.text), encoded(sample.image))


def _int_list(text: str) -> list[int]:
    """Read `[1,2,3]` or `1,2,3`."""
    try:
        values = json.loads(f"[{text.strip().strip('[]')}]")
    except ValueError:
        values = None
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list such as [1,2,3]")
    return values


def _parser() -> Parser:
    parser = Parser("imgAug.py", "Write PNG images of a sequence of digits.")
    parser.add_argument("--dataset_dir", default=DEFAULT_FOLDER,
                        help="four IDX files (dataset, or else the bundled)")  # fmt: skip
    parser.add_argument("--digits", type=_int_list, default=[1, 2, 4, 6, 3, 5, 0],
                        help="the digits of every image (%(default)s)")  # fmt: skip
    parser.add_argument("--spacing_range", type=_int_list, default=[5, 10],
                        help="px between digits, from and to (%(default)s)")  # fmt: skip
    parser.add_argument("--image_width", type=int, default=200, help="px (%(default)s)")
    parser.add_argument("--dataout_dir", default="dataout", help="folder for the PNG files")
    parser.add_argument("--image_count", type=int, default=100, help="images (%(default)s)")
    parser.add_argument("--seed", type=int, help="0 to 2**64 - 1, to get the same images again")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write `image_count` images of the digits to `dataout_dir`; return the exit code."""
    options = _parser().parse_args(arguments)
    return run_command("imgAug.py", lambda: _write_images(options))


def _write_images(options: argparse.Namespace) -> int:
    if options.image_count < 1:
        raise UsageError(f"image_count is {options.image_count}, expected a whole number from 1")
    check_png_label(len(options.digits))
    bundled = options.dataset_dir == DEFAULT_FOLDER and not Path(DEFAULT_FOLDER).is_dir()
    recipe = Recipe(
        seed=rng.master_seed(options.seed),
        source=MNIST if bundled else register(options.dataset_dir),
        digits=options.digits,
        spacing=options.spacing_range,
        width=options.image_width,
        augment="none",
    )
    starts = range(0, options.image_count, BLOCK)
    blocks = (range(start, min(start + BLOCK, options.image_count)) for start in starts)
    folder = Path(options.dataout_dir)
    _save((sample for block in blocks for sample in generate(recipe, block)), folder)
    if bundled:
        note = f"imgAug.py: no folder '{DEFAULT_FOLDER}' here: using the bundled MNIST digits"
        print(note, file=sys.stderr)
    print(f"{folder}: {options.image_count} images of 28 x {options.image_width} px")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
