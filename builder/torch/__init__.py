"""Samples for PyTorch: `Loader` for training loops, `MapDataset` for your own `DataLoader`.

The targets of a batch have one of five forms:

- `padded`: digits (B, L) int64, padded with -1, and lengths (B,) int64;
- `concatenated`: the digits of all samples in a row, (N,) int64, and lengths (B,) int64, for
  `torch.nn.CTCLoss(blank=10)`;
- `strings`: a list of labels such as '02139';
- `boxes`: for each sample a dict of `boxes`, `labels` (digit + 1) and, with masks, `masks`, for
  torchvision's detectors;
- `masks`: the class of each pixel, (B, 28, W) int64: digit + 1, 0 for background, for segmenters.
"""

from __future__ import annotations

try:
    import torch  # noqa: F401  # only to raise the error below
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "builder.torch needs PyTorch, which is not installed: pip install 'digitseq[torch]'"
    ) from None

from builder.torch.loader import Loader
from builder.torch.targets import MapDataset

__all__ = ["Loader", "MapDataset"]
