"""Train a reader of digit sequences on live samples: convolutions, a recurrent layer, and CTC.

    python examples/train_reader.py --samples 100000
    python examples/train_reader.py --samples 400000 --augment strong --final
    python examples/train_reader.py --samples 400000 --augment standard,elastic=1,blur=0.5

Sequences of 1 to 5 digits, 28 x 200, of `fit` glyphs are rendered when they are needed, and no two
are the same. The reader is tested some 20 times on sequences of `validation` glyphs, to tune its
numbers; with --final also once, at the end, on sequences of `test` glyphs. Tests are not augmented.
A label is read right if all of its digits are. The results in --out are curve.png, mistakes.png (of
the last test) and model.pt. The first line printed says on which device the model computes and in
which type.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import torch
from command_line import make_parser, run, whole_number_from
from hardware import Hardware, choose_hardware, time_step
from pictures import Mistake, save_curves, save_mistakes
from torch import nn
from tqdm import tqdm

from builder import Augment, LiveDataset, Order, Recipe
from builder.torch import Loader

BLANK = 10
"""The class of CTC (Graves et al. 2006) for 'no digit here'; digits are classes 0 to 9."""

TEST_SEED = 2**63
"""Master seed of the test sequences, far from the seeds of a training."""

RATE = 3e-3
"""Highest learning rate, for AdamW, batches of 128 and a cosine down to 0."""


class Reader(nn.Module):
    """A model from images (B, 1, 28, W) in [0, 1] to log-probabilities (W / 8, B, 11)."""

    def __init__(self, channels: int = 32, hidden: int = 128) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 1
        for factor, stride in ((1, (2, 2)), (2, (2, 2)), (3, (1, 2))):
            after = factor * channels
            stages += [
                nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        column = nn.Conv2d(before, hidden, (7, 1))  # the 7 rows left of 28 become one vector
        self.columns = nn.Sequential(*stages, column, nn.ReLU(), nn.Dropout(0.1))
        self.columns.to(memory_format=torch.channels_last)
        self.along = nn.GRU(hidden, hidden, bidirectional=True)
        self.scores = nn.Linear(2 * hidden, BLANK + 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the log-probabilities of digits and blank, one column for every 8 px.

        Within `torch.autocast` the convolutions have its type; all else is float32.
        """
        columns = self.columns(images.to(memory_format=torch.channels_last))
        steps = columns[:, :, 0].permute(2, 0, 1).float()
        with torch.autocast(steps.device.type, enabled=False):
            return self.scores(self.along(steps)[0]).log_softmax(2)


def decode(scores: torch.Tensor) -> list[str]:
    """Return the labels that scores (T, B, 11) stand for.

    The best class of each column counts; runs of a class become one digit, and blanks are dropped.
    """
    best = scores.argmax(2).T
    new = torch.ones_like(best, dtype=torch.bool)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    return [
        "".join(map(str, row[keep].tolist()))
        for row, keep in zip(best, new & (best != BLANK), strict=True)
    ]


@torch.inference_mode()
def find_mistakes(model: nn.Module, loader: Loader, hardware: Hardware) -> list[Mistake]:
    """Return the samples of one epoch that a model reads wrong."""
    model.eval()
    mistakes = []
    for images, texts in loader:
        with hardware.autocast():
            predictions = decode(model(images.to(hardware.device) / 255))
        for image, text, prediction in zip(images, texts, predictions, strict=True):
            if text != prediction:
                mistakes.append(Mistake(image[0].numpy(), text, prediction))
    model.train()
    return mistakes


def parse_augment(text: str) -> Augment:
    """Parse a preset with changed ranges, such as `standard,elastic=1,blur=0.5`."""
    preset, *changes = text.split(",")
    pairs = (change.partition("=")[::2] for change in changes)
    try:
        return Augment.preset(preset, **{name: float(value) for name, value in pairs})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_test_loader(split: str, count: int) -> Loader[list[str]]:
    """Return a loader of sequences of a split's glyphs, not augmented."""
    recipe = Recipe(seed=TEST_SEED, split=split, augment="none")
    return Loader(LiveDataset(recipe, count), Order(500), targets="strings")


def train(options: argparse.Namespace) -> None:
    """Train and test a reader, and write the results."""
    recipe = Recipe(seed=options.seed, split="fit", augment=options.augment)
    loader = Loader(
        LiveDataset(recipe, options.samples),
        Order(options.batch_size, drop_last=True),
        targets="concatenated",
        num_workers=options.workers,
    )
    quick_tests = min(1000, options.tests)
    quick_loader = make_test_loader("validation", quick_tests)
    measure = partial(time_step, Reader, (options.batch_size, 1, 28, 200))
    hardware = choose_hardware(options.device, options.precision, measure)
    options.out.mkdir(parents=True, exist_ok=True)

    print(hardware)
    torch.manual_seed(options.seed)
    model = Reader().to(hardware.device)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=len(loader))
    compute_loss = nn.CTCLoss(blank=BLANK)
    curves: dict[str, list[tuple[int, float]]] = {"loss": [], "exact-match error (%)": []}

    progress = tqdm(loader, desc="reader", mininterval=1, smoothing=0.05)
    for step, (images, (digits, lengths)) in enumerate(progress, 1):
        with hardware.autocast():
            scores = model(images.to(hardware.device) / 255).cpu()  # Apple's GPUs have no CTC
        columns = torch.full((len(images),), len(scores))
        loss = compute_loss(scores, digits, columns, lengths)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        if step % max(1, len(loader) // 20) == 0:
            seen = step * options.batch_size
            curves["loss"].append((seen, loss.item()))
            error = 100 * len(find_mistakes(model, quick_loader, hardware)) / quick_tests
            curves["exact-match error (%)"].append((seen, error))
            progress.set_postfix(loss=f"{loss.item():.4f}", error=f"{error:.2f}%")

    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    torch.save(weights, options.out / "model.pt")
    save_curves(options.out / "curve.png", curves)
    for split in ("validation", "test") if options.final else ("validation",):
        mistakes = find_mistakes(model, make_test_loader(split, options.tests), hardware)
        save_mistakes(options.out / "mistakes.png", mistakes, columns=5)
        error = 100 * len(mistakes) / options.tests
        print(f"{split} exact-match error {error:.2f} % ({len(mistakes)} of {options.tests})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, those of this process by default, and train."""
    parser = make_parser(__doc__, batch_size=128)
    parser.add_argument("--samples", type=whole_number_from(1), default=100_000, help="to train on")
    parser.add_argument("--tests", type=whole_number_from(1), default=10_000, help="to test on")
    parser.add_argument(
        "--augment", type=parse_augment, default="standard", help="preset and ranges"
    )
    run(train, parser, arguments)


if __name__ == "__main__":
    main()
