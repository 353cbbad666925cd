"""Whether every strip that a recipe can draw fits into its image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Fit = Literal["squeeze", "fill", "error"]
Align = Literal["random", "left", "center", "right"]
Between = Literal["frame", "ink"]

WIDEST = 8192
"""Largest image width, px."""

LOWEST_GAP = -9
"""Smallest gap, px: with a smaller one a digit squeezed to 10 px could begin before its left
neighbour."""

SQUEEZE_LIMIT = (10, 28)
"""Narrowest squeeze, as a fraction: a frame of 28 px on 10 px. Below it strokes run together."""


@dataclass(frozen=True, kw_only=True)
class StripLimits:
    """The limits of the strips that a recipe can draw.

    Attributes:
        width: The image width, px.
        lengths: The digits of the shortest and of the longest label.
        spacing: The smallest and the largest gap, px.
        extent: The widest nominal extent of a digit, px.
        fit: What happens to a strip wider than the image.
        between: What gaps are between.
    """

    width: int
    lengths: tuple[int, int]
    spacing: tuple[int, int]
    extent: int
    fit: Fit
    between: Between

    def reach_back(self) -> int:
        """Return how far the last digit can begin to the left of the first, px.

        Ink can be a pixel or two wide: a digit narrower than its gap is negative begins before
        its neighbour.
        """
        if self.between == "frame":
            return 0
        return (self.lengths[1] - 1) * -min(self.spacing[0], 0)

    def width_needed(self) -> int:
        """Return the smallest image width, px, that takes every strip.

        It is linear in the length of a run of neighbours, so the shortest and the longest run
        decide. A run can need more than the whole strip where negative gaps are wider than narrow
        digits.
        """
        narrow, frame = (1, 1) if self.fit == "error" else SQUEEZE_LIMIT
        gap, runs = self.spacing[1], (1, self.lengths[1])
        needed = (-(-n * self.extent * narrow // frame) + (n - 1) * gap for n in runs)
        return max(*needed, self.reach_back())

    def fits(self, width: int) -> bool:
        """Tell whether every strip fits into an image of `width` px."""
        return width >= self.width_needed()

    def ways_to_fit(self) -> list[str]:
        """Return what would make every strip fit, each a change of one field."""
        (shortest, longest), (low, high), width = self.lengths, self.spacing, self.width
        needed = self.width_needed()
        ways = [f"expected at least {needed}"] if needed <= WIDEST else []
        for digits in range(longest - 1, shortest - 1, -1):
            if replace(self, lengths=(shortest, digits)).fits(width):
                ways.append(f"length at most {digits}")
                break
        for gap in range(high - 1, LOWEST_GAP - 1, -1):
            if replace(self, spacing=(min(low, gap), gap)).fits(width):
                ways.append(f"spacing at most {gap}")
                break
        if self.fit == "error" and replace(self, fit="squeeze").fits(width):
            ways.append("fit 'squeeze'")
        return ways

    def check(self) -> None:
        """Check that every strip fits into the image, and none is squeezed too far.

        Raises:
            ValueError: Some strip does not fit; the text says what would do.
        """
        if self.fits(self.width):
            return
        longest, (low, high) = self.lengths[1], self.spacing
        gaps = f"{low} px between ink" if self.reach_back() > self.width else f"up to {high} px"
        ways = ", or ".join(self.ways_to_fit())
        raise ValueError(
            f"width is {self.width}, too small for {longest} digit{'s'[: longest > 1]}"
            f"{f' with gaps of {gaps}' if longest > 1 else ''}: "
            f"{ways or f'expected fewer digits, as images are at most {WIDEST} wide'}"
        )
