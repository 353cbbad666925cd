"""The functions and the script of the classic `imgAug.py`, made of what `builder` does.

    python imgAug.py --digits="[1,2,3]" --spacing_range="[5,10]" --image_width=200

Use `builder` itself to make images by the million.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from builder.augment.ranges import Augment
from builder.cli import Parser, parse_whole, print_error, print_line, run_command
from builder.cli.options import parse_path
from builder.common import atomic_files, rng
from builder.common.errors import UsageError
from builder.common.validation import local_path
from builder.generator import transforms
from builder.generator.batch import Sample
from builder.generator.generator import generate
from builder.recipe.digits import MNIST, DigitBank, Source, open_bank, register
from builder.recipe.glyph_metrics import ORIENTATIONS, POLARITIES, Orientation, Polarity
from builder.recipe.recipe import Recipe
from builder.storage.config import FORMAT_FACTS
from builder.storage.formats.png_file import encode, file_name

Image = npt.NDArray[np.float32]
Grey = npt.NDArray[np.generic]

SCALE = 0.2
"""By what share `scaleFlg` scales digits up or down at most."""

DEFAULT_FOLDER = Path("dataset")

BLOCK = 256
"""Images that the script renders at a time."""


def generate_numbers_sequence(
    digits: Sequence[int],
    spacing_range: tuple[int, int],
    image_width: int,
    seed: int | None = None,
    save_to: str | Path | None = None,
) -> Image:
    """Return an image of a sequence of MNIST digits, each drawn at random from its class.

    Digits are narrowed if they and their gaps are wider than the image, and placed at random if
    the image is wider.

    Args:
        digits: The digits, 1 to 255 of them, from left to right.
        spacing_range: Least and largest gap between digits, px. Gaps are uniform whole numbers.
        image_width: Width of the image, px, 1 to 8192.
        seed: 0 to 2**64 - 1, for the same image again. By default each call draws a new image.
        save_to: Folder to which the image is also written, as PNG under the next free number.

    Returns:
        The image, float32 (28, image_width), 0 for background and 1 for full ink.

    Raises:
        UsageError: A value is out of range. The error is a `ValueError`.

    >>> generate_numbers_sequence([3, 5, 0], (10, 30), 100).shape
    (28, 100)
    """
    return generate_numbers_sequence_speedup(
        digits, spacing_range, image_width, *load_dataset(), seed=seed, save_to=save_to
    )


def generate_numbers_sequence_speedup(  # noqa: PLR0913, PLR0917  # the classic signature
    digits: Sequence[int],
    spacing_range: tuple[int, int],
    image_width: int,
    df: Source,
    gp: DigitBank,
    scaleFlg: bool = False,  # noqa: N803  # the classic script's name
    seed: int | None = None,
    save_to: str | Path | None = None,
) -> Image:
    """Return an image as `generate_numbers_sequence` does, of digits that `load_dataset` loaded.

    Args:
        digits: See `generate_numbers_sequence`.
        spacing_range: See there.
        image_width: See there.
        df: The first value of `load_dataset`.
        gp: The second value of `load_dataset`.
        scaleFlg: Whether to scale each digit in x and y by independent factors in [0.8, 1.2].
        seed: See `generate_numbers_sequence`.
        save_to: See there.

    Returns:
        The image, float32 (28, image_width).

    Raises:
        UsageError: A value is out of range.

    """
    del gp  # the bank is mapped once for all calls; the classic call passes it
    recipe = Recipe(
        seed=rng.master_seed(seed),
        source=df,
        digits=() if digits is None else digits,
        spacing=spacing_range,
        width=image_width,
        augment=Augment.preset("none", scale=SCALE if scaleFlg else 0.0),
    )
    sample = generate(recipe, [0])[0]
    if save_to is not None:
        _save([sample], local_path(save_to))
    return sample.image.astype(np.float32) / np.float32(255)


def load_dataset(
    folder: str | Path | None = None,
    *,
    orientation: Orientation = "auto",
    polarity: Polarity = "auto",
) -> tuple[Source, DigitBank]:
    """Load digits, and return two opaque values for `generate_numbers_sequence_speedup`.

    Args:
        folder: A folder with four IDX files, plain or gzipped. By default the bundled MNIST.
        orientation: How digits stand in the files; see `builder.register`.
        polarity: Their colour; see `builder.register`.

    Raises:
        UsageError: The folder does not hold four valid files.

    """
    source = MNIST if folder is None else register(folder, orientation, polarity)
    return source, open_bank(source, "train")


def random_scale_img(image: Grey, scale_in: float = 0.2, seed: int | None = None) -> Grey:
    """Return an image scaled about its centre in x and y by independent random factors.

    Args:
        image: A grey image (H, W) of numbers. The result has its shape and type, and 0 where
            nothing of the image is.
        scale_in: The factors are in [1 - scale_in, 1 + scale_in]; 0 to 0.99.
        seed: 0 to 2**64 - 1, for the same draw again. By default each call draws anew.

    Raises:
        UsageError: The image is not grey, or a number is out of range.

    >>> random_scale_img(np.eye(28, 100), 0.5, seed=3).shape
    (28, 100)
    """
    _check(image, "scale_in", scale_in, 0.99)
    return transforms.scale(image, scale_in, seed)


def random_rotate_img(image: Grey, degrees_in: float = 15.0, seed: int | None = None) -> Grey:
    """Return an image rotated about its centre by a random angle; see `random_scale_img`.

    Args:
        image: A grey image (H, W).
        degrees_in: The largest angle to either side, degrees; 0 to 180.
        seed: 0 to 2**64 - 1, or None.

    """
    _check(image, "degrees_in", degrees_in, 180)
    return transforms.rotate(image, degrees_in, seed)


def random_shear_img(image: Grey, shear_in: float = 0.2, seed: int | None = None) -> Grey:
    """Return an image slanted about its centre by a random amount; see `random_scale_img`.

    Args:
        image: A grey image (H, W).
        shear_in: The largest slant to either side, px for each px of height; 0 to 2.
        seed: 0 to 2**64 - 1, or None.

    """
    _check(image, "shear_in", shear_in, 2)
    return transforms.shear(image, shear_in, seed)


def random_perspective_img(image: Grey, share_in: float = 0.1, seed: int | None = None) -> Grey:
    """Return an image in a random perspective; see `random_scale_img`.

    Args:
        image: A grey image (H, W).
        share_in: By what share of the distance an edge comes nearer at most; 0 to 0.4.
        seed: 0 to 2**64 - 1, or None.

    """
    _check(image, "share_in", share_in, 0.4)
    return transforms.tilt(image, share_in, seed)


def random_elastic_img(
    image: Grey, rms_in: float = 0.8, correlation: float = 5.0, seed: int | None = None
) -> Grey:
    """Return an image whose points are displaced by smooth noise; see `random_scale_img`.

    Args:
        image: A grey image (H, W).
        rms_in: Root mean square of the displacements, px; 0 to 5.
        correlation: Sigma of the Gaussian that smooths the noise, px; 2 to 100.
        seed: 0 to 2**64 - 1, or None.

    """
    _check(image, "rms_in", rms_in, 5)
    _check(image, "correlation", correlation, 100, least=2)
    return transforms.deform(image, rms_in, correlation, seed)


def _check(image: Grey, name: str, value: float, most: float, least: float = 0) -> None:
    """Raise `UsageError` if the image is not grey, or if the value is not in [least, most]."""
    if getattr(image, "ndim", 0) != 2 or not image.size or image.dtype.kind not in "biuf":
        shape = getattr(image, "shape", None)
        raise UsageError(f"image has shape {shape}, expected a grey image (H, W) of numbers")
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or not least <= value <= most:
        raise UsageError(f"{name} is {value!r}, expected a number from {least} to {most}")


def _save(samples: Iterable[Sample], folder: Path) -> None:
    """Write images, numbered on from the highest number in the folder; replace none."""
    folder.mkdir(parents=True, exist_ok=True)
    matches = (re.match(r"(\d{12,})_\d+\.png$", path.name) for path in folder.iterdir())
    first = max((int(match[1]) for match in matches if match), default=-1) + 1
    for number, sample in enumerate(samples, first):
        FORMAT_FACTS["png"].check_labels(len(sample.text))
        atomic_files.publish_bytes(folder / file_name(number, sample.text), encode(sample.image))


def _parse_list(text: str) -> list[int]:
    """Return the whole numbers of `[1,2,3]` or `1,2,3`."""
    try:
        values = json.loads(f"[{text.strip().strip('[]')}]")
    except ValueError:
        values = None
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list such as [1,2,3]")
    return values


def _parser() -> Parser:
    parser = Parser("imgAug.py", description="Write PNG images of a sequence of digits.")
    add = parser.add_argument
    folder = "folder of four IDX files (dataset; the bundled digits if it has none)"
    add("--dataset_dir", type=parse_path, default=DEFAULT_FOLDER, help=folder)
    for name, choices in (("orientation", ORIENTATIONS), ("polarity", POLARITIES)):
        text = f"{name} of these digits in their files (auto: what their pixels say)"
        add(f"--digits_{name}", choices=("auto", *choices), default="auto", help=text)
    digits, spacing = "the digits of every image (%(default)s)", "px between digits (%(default)s)"
    add("--digits", type=_parse_list, default=[1, 2, 4, 6, 3, 5, 0], help=digits)
    add("--spacing_range", type=_parse_list, default=[5, 10], help=spacing)
    add("--image_width", type=parse_whole, default=200, help="px (%(default)s)")
    add(
        "--dataout_dir",
        type=parse_path,
        default=Path("dataout"),
        help="folder for the PNG files (%(default)s)",
    )
    add("--image_count", type=parse_whole, default=100, help="number of images (%(default)s)")
    add("--seed", type=parse_whole, help="0 to 2**64 - 1, to get the same images again")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script with arguments, by default those of the process; return the exit code."""
    return run_command(
        "imgAug.py",
        lambda: _write_images(_parser().parse_args(arguments)),
        last=arguments is None,
    )


def _write_images(options: argparse.Namespace) -> int:
    """Write `image_count` images of the digits to `dataout_dir`."""
    if options.image_count < 1:
        raise UsageError(f"image_count is {options.image_count}, expected a whole number from 1")
    FORMAT_FACTS["png"].check_labels(len(options.digits))
    names = [path.name for path in DEFAULT_FOLDER.glob("*")]  # it may be unrelated, or absent
    has_digits = any("idx" in name or name.endswith(".npz") for name in names)
    bundled = options.dataset_dir == DEFAULT_FOLDER and not has_digits
    source = MNIST
    if not bundled:
        source = register(options.dataset_dir, options.digits_orientation, options.digits_polarity)
    recipe = Recipe(
        seed=rng.master_seed(options.seed),
        source=source,
        digits=options.digits,
        spacing=options.spacing_range,
        width=options.image_width,
        augment="none",
    )
    starts = range(0, options.image_count, BLOCK)
    blocks = (range(start, min(start + BLOCK, options.image_count)) for start in starts)
    _save((sample for block in blocks for sample in generate(recipe, block)), options.dataout_dir)
    if bundled:
        note = f"no digits in a folder '{DEFAULT_FOLDER}' here: using the bundled MNIST digits"
        print_error("imgAug.py", note, 0)
    print_line(
        f"{options.dataout_dir}: {options.image_count} images of 28 x {options.image_width} px"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
