"""Train a reader of digit sequences on live samples: convolutions, a recurrent layer, and CTC.

    python examples/train_reader.py --samples 100000
    python examples/train_reader.py --samples 400000 --augment strong --final
    python examples/train_reader.py --samples 400000 --augment standard,elastic=1,blur=0.5

Sequences of 1 to 5 digits, 28 x 200, of `fit` glyphs are rendered as they are needed, no two the
same. Now and then the reader is tested on sequences of `validation` glyphs, by which numbers are
tuned; with --final, at the end, on sequences of `test` glyphs too. Tests are not augmented. A label
counts as read if all of its digits are right. Writes curve.png, mistakes.png (of the last test)
and model.pt into --out.
"""

from __future__ import annotations

import argparse

import torch
from options import at_least, parser_of, run
from pictures import Mistake, save_curve, save_mistakes
from torch import nn
from tqdm import tqdm

from builder import Augment, LiveDataset, Order, Recipe
from builder.torch import Loader

BLANK = 10
"""The class of CTC (Graves et al. 2006) for 'no digit here': the digits keep their values."""

TEST_SEED = 2**63
"""Of the sequences to be tested on: far from the seeds that one trains with."""

RATE = 3e-3
"""Highest learning rate, with AdamW, batches of 128, and a cosine down to 0."""


class Reader(nn.Module):
    """Images (B, 1, 28, W) in [0, 1] to log-probabilities (W / 8, B, 11) of digits and blank."""

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
        column = nn.Conv2d(before, hidden, (7, 1))  # 7 rows are left of 28: one vector a column
        self.columns = nn.Sequential(*stages, column, nn.ReLU(), nn.Dropout(0.1))
        self.columns.to(memory_format=torch.channels_last)
        self.along = nn.GRU(hidden, hidden, bidirectional=True)
        self.scores = nn.Linear(2 * hidden, BLANK + 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities along the image, one column for every 8 px."""
        with torch.autocast("cpu", torch.bfloat16):
            columns = self.columns(images.to(memory_format=torch.channels_last))
        steps = columns[:, :, 0].permute(2, 0, 1).float()
        return self.scores(self.along(steps)[0]).log_softmax(2)


def texts_of(scores: torch.Tensor) -> list[str]:
    """Return what scores (T, B, 11) read: the best class of each column, runs as one, no blanks."""
    best = scores.argmax(2).T
    new = torch.ones_like(best, dtype=torch.bool)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    return [
        "".join(map(str, row[keep].tolist()))
        for row, keep in zip(best, new & (best != BLANK), strict=True)
    ]


@torch.inference_mode()
def mistakes_of(model: nn.Module, loader: Loader) -> list[Mistake]:
    """Return every sample of a loader's epoch that a model reads wrong."""
    model.eval()
    wrong = []
    for images, texts in loader:
        for image, text, read in zip(images, texts, texts_of(model(images / 255)), strict=True):
            if text != read:
                wrong.append(Mistake(image[0].numpy(), text, read))
    model.train()
    return wrong


def augment_of(text: str) -> Augment:
    """Return the ranges of a preset, with single ones changed: `standard,elastic=1,blur=0.5`."""
    preset, *changes = text.split(",")
    pairs = (change.partition("=")[::2] for change in changes)
    try:
        return Augment.preset(preset, **{name: float(value) for name, value in pairs})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sequences_of(split: str, count: int) -> Loader:
    """Return sequences of a split's glyphs, as they are, to be tested on."""
    recipe = Recipe(seed=TEST_SEED, split=split, augment="none")
    return Loader(LiveDataset(recipe, count), Order(500), targets="strings")


def train(options: argparse.Namespace) -> None:
    """Train, test, and write what came of it."""
    recipe = Recipe(seed=options.seed, split="fit", augment=options.augment)
    torch.manual_seed(options.seed)
    loader = Loader(
        LiveDataset(recipe, options.samples),
        Order(options.batch_size, drop_last=True),
        targets="concatenated",
        num_workers=options.workers,
    )
    checked = min(1000, options.tests)
    few_tests = sequences_of("validation", checked)
    options.out.mkdir(parents=True, exist_ok=True)

    model = Reader()
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=len(loader))
    compute_loss = nn.CTCLoss(blank=BLANK)
    curves: dict[str, list[tuple[int, float]]] = {"loss": [], "exact-match error (%)": []}

    progress = tqdm(loader, desc="reader", mininterval=1, smoothing=0.05)
    for step, (images, (digits, lengths)) in enumerate(progress, 1):
        scores = model(images / 255)
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
            error = 100 * len(mistakes_of(model, few_tests)) / checked
            curves["exact-match error (%)"].append((seen, error))
            progress.set_postfix(loss=f"{loss.item():.4f}", error=f"{error:.2f}%")

    torch.save(model.state_dict(), options.out / "model.pt")
    save_curve(options.out / "curve.png", curves)
    for split in ("validation", "test") if options.final else ("validation",):
        wrong = mistakes_of(model, sequences_of(split, options.tests))
        save_mistakes(options.out / "mistakes.png", wrong, columns=5)
        error = 100 * len(wrong) / options.tests
        print(f"{split} exact-match error {error:.2f} % ({len(wrong)} of {options.tests})")


def main() -> None:
    """Take the options and train."""
    parser = parser_of(__doc__, batch_size=128)
    parser.add_argument("--samples", type=at_least(1), default=100_000, help="to learn from")
    parser.add_argument("--tests", type=at_least(1), default=10_000, help="to be tested on")
    parser.add_argument(
        "--augment", type=augment_of, default="standard", help="preset, and ranges (standard)"
    )
    run(train, parser)


if __name__ == "__main__":
    main()
