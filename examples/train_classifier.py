"""Train a classifier of single digits on live samples, and test it on MNIST's own images.

    python examples/train_classifier.py --model mlp --epochs 5
    python examples/train_classifier.py --model mlp --epochs 60 --final --seed 1
    python examples/train_classifier.py --model conv --epochs 30 --final

Samples are rendered when they are needed, and no two are the same. An epoch has as many samples as
the split has glyphs. Without --final the model learns from `fit` glyphs and is tested on
`validation` glyphs after each epoch, to tune its numbers. With --final it learns from all `train`
glyphs and is tested once, at the end, on the 10,000 images of `test`. The results in --out are
curve.png, mistakes.png and model.pt. The first line printed says on which device the model computes
and in which type.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from command_line import make_parser, positive_number, run
from hardware import choose_hardware, time_step
from pictures import Mistake, save_curves, save_mistakes
from torch import nn
from tqdm import tqdm

from builder import Augment, LiveDataset, Order, Recipe
from builder.recipe.digits import MNIST, open_bank
from builder.torch import Loader

AUGMENT = Augment(
    style=0.7,
    elastic=1,
    scale=0.15,
    shear=0.2,
    shear_y=0.06,
    rotate=10,
    perspective=0.04,
    shift=1,
    baseline=1,
)
"""Stronger warps than those of preset `standard`. They gave the lowest error on `validation`
glyphs, see docs/training.md."""


def mlp() -> nn.Module:
    """Return the perceptron of Simard, Steinkraus and Platt (2003): 784-800-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 800), nn.ReLU(), nn.Linear(800, 10))


def conv(channels: int = 32) -> nn.Module:
    """Return six convolutions of 3 x 3 in three stages, and a linear layer."""

    def layer(before: int, after: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU()]

    stages: list[nn.Module] = []
    before = 1
    for after in (channels, 2 * channels, 4 * channels):
        stages += [*layer(before, after), *layer(after, after), nn.MaxPool2d(2)]
        before = after
    head = [nn.Flatten(), nn.Dropout(0.3), nn.Linear(9 * before, 10)]
    return nn.Sequential(*stages, *head).to(memory_format=torch.channels_last)


MODELS = {"mlp": mlp, "conv": conv}
RATES = {"mlp": 2e-3, "conv": 4e-3}
"""Highest learning rate, for AdamW, batches of 256 and a cosine down to 0."""


def load_digits(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all images of a split, (M, 1, 28, 28) uint8, and their classes (M,) int64."""
    images, classes = open_bank(MNIST, split).digits()
    return torch.from_numpy(images)[:, None], torch.from_numpy(classes).long()


@torch.inference_mode()
def predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the class that a model predicts for each image, (M,) int64."""
    model.eval()
    device = next(model.parameters()).device
    parts = [model(part.to(device).float() / 255).argmax(1).cpu() for part in images.split(1000)]
    model.train()
    return torch.cat(parts)


def error_rate(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> float:
    """Return the share of images that a model classifies wrong, in percent."""
    return 100 * (predict(model, images) != classes).float().mean().item()


def train(options: argparse.Namespace) -> None:
    """Train and test a model, and write the results."""
    trained, tested = ("train", "test") if options.final else ("fit", "validation")
    recipe = Recipe(
        seed=options.seed, length=1, width=28, spacing=0, split=trained, augment=AUGMENT
    )
    samples = int(options.epochs * sum(open_bank(MNIST, trained).class_sizes))
    loader = Loader(
        LiveDataset(recipe, samples),
        Order(options.batch_size, drop_last=True),
        num_workers=options.workers,
    )
    images, classes = load_digits(tested)
    measure = partial(time_step, MODELS[options.model], (options.batch_size, 1, 28, 28))
    hardware = choose_hardware(options.device, options.precision, measure)
    options.out.mkdir(parents=True, exist_ok=True)

    print(hardware)
    torch.manual_seed(options.seed)
    model = MODELS[options.model]().to(hardware.device)
    optimiser = torch.optim.AdamW(model.parameters(), RATES[options.model], weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATES[options.model], total_steps=len(loader), pct_start=0.1
    )
    compute_loss = nn.CrossEntropyLoss()
    curves: dict[str, list[tuple[int, float]]] = {"loss": []}

    every = max(1, len(loader) // max(1, round(options.epochs)))
    progress = tqdm(loader, desc=f"{options.model} on {trained}", mininterval=1, smoothing=0.05)
    for step, (batch, (labels, _)) in enumerate(progress, 1):
        pixels = batch.to(hardware.device).float() / 255
        with hardware.autocast():
            scores = model(pixels.to(memory_format=torch.channels_last))
        loss = compute_loss(scores.float(), labels[:, 0].to(hardware.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        if step % every == 0:
            curves["loss"].append((step * options.batch_size, loss.item()))
            progress.set_postfix(loss=f"{loss.item():.4f}")
            if not options.final:
                wrong = error_rate(model, images, classes)
                curves.setdefault("validation error (%)", []).append((step * len(batch), wrong))
                progress.set_postfix(loss=f"{loss.item():.4f}", error=f"{wrong:.2f}%")

    report(options.out, model, (images, classes), curves, tested)


def report(out: Path, model: nn.Module, digits: tuple, curves: dict, tested: str) -> None:
    """Write the model and the pictures, and print the error."""
    images, classes = digits
    predictions = predict(model, images)
    wrong = (predictions != classes).nonzero()[:, 0].tolist()
    torch.save(model.cpu().state_dict(), out / "model.pt")
    save_curves(out / "curve.png", curves)
    mistakes = [
        Mistake(images[i, 0].numpy(), str(classes[i].item()), str(predictions[i].item()))
        for i in wrong
    ]
    save_mistakes(out / "mistakes.png", mistakes, columns=12)
    print(f"{tested} error {100 * len(wrong) / len(images):.2f} % ({len(wrong)} of {len(images)})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, those of this process by default, and train."""
    parser = make_parser(__doc__, batch_size=256)
    parser.add_argument("--model", choices=list(MODELS), default="mlp")
    parser.add_argument("--epochs", type=positive_number, default=5.0, help="default: 5")
    run(train, parser, arguments)


if __name__ == "__main__":
    main()
