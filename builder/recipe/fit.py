"""Whether every strip that a recipe can draw fits into its image."""

from __future__ import annotations

from typing import Literal, NamedTuple

from builder.common.errors import log

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


STRONG_SQUEEZE = 2 / 3
"""Share of its width below which a squeezed digit is told of: few tasks have digits so narrow."""


class StripLimits(NamedTuple):
    """The limits of the strips that a recipe can draw.

    Attributes:
        longest: The digits of the longest label.
        spacing: The smallest and the largest gap, px.
        extent: The widest nominal extent of a digit, px.
        fit: What happens to a strip wider than the image.
        between: What gaps are between.
    """

    longest: int
    spacing: tuple[int, int]
    extent: int
    fit: Fit
    between: Between

    def reach_back(self) -> int:
        """Return how far the last digit can begin to the left of the first, px.

        The ink of a digit can be only 1 or 2 px wide. If a negative gap is larger than that width,
        the digit begins to the left of its neighbour.
        """
        return 0 if self.between == "frame" else (self.longest - 1) * -min(self.spacing[0], 0)

    def width_needed(self) -> int:
        """Return the smallest image width, px, that takes every strip.

        It is linear in the length of a run of neighbours, so the shortest and the longest run
        decide. A run can need more than the whole strip where negative gaps are wider than narrow
        digits.
        """
        narrow, frame = (1, 1) if self.fit == "error" else SQUEEZE_LIMIT
        gap, runs = self.spacing[1], (1, self.longest)
        needed = (-(-n * self.extent * narrow // frame) + (n - 1) * gap for n in runs)
        return max(*needed, self.reach_back())

    def ways_to_fit(self, width: int, shortest: int) -> list[str]:
        """Return what would make every strip fit, each a change of one field."""
        low, high = self.spacing
        lengths = range(self.longest - 1, shortest - 1, -1)
        gaps = range(high - 1, LOWEST_GAP - 1, -1)
        fewer = [(f"length at most {n}", self._replace(longest=n)) for n in lengths]
        closer = [
            (f"spacing at most {gap}", self._replace(spacing=(min(low, gap), gap))) for gap in gaps
        ]
        squeezed = [("fit 'squeeze'", self._replace(fit="squeeze"))]
        needed = self.width_needed()
        ways = [f"expected at least {needed}"] if needed <= WIDEST else []
        for changes in (fewer, closer, squeezed):
            ways += [text for text, limits in changes if limits.width_needed() <= width][:1]
        return ways


def check_width(width: int, shortest: int, limits: StripLimits) -> None:
    """Check that every strip fits into an image of `width` px, and none is squeezed too far.

    `shortest` is the smallest length that the user can choose for the longest label.

    Raises:
        ValueError: Some strip does not fit; the text says what would do.
    """
    if limits.width_needed() <= width:
        return
    longest, (low, high) = limits.longest, limits.spacing
    gaps = f"{low} px between ink" if limits.reach_back() > width else f"up to {high} px"
    ways = ", or ".join(limits.ways_to_fit(width, shortest))
    raise ValueError(
        f"width is {width}, too small for {longest} digit{'s'[: longest > 1]}"
        f"{f' with gaps of {gaps}' if longest > 1 else ''}: "
        f"{ways or f'expected fewer digits, as images are at most {WIDEST} wide'}"
    )


def warn_of_squeeze(width: int, limits: StripLimits) -> None:
    """Log a warning if a strip in an image of `width` px loses more than a third of its width."""
    digits, gap = limits.longest, limits.spacing[1]
    share = (width - (digits - 1) * gap) / (digits * limits.extent)
    if share < STRONG_SQUEEZE:
        gaps = f" with gaps of {gap} px" if digits > 1 else ""
        enough = limits._replace(fit="error").width_needed()
        advice = f"; a width of {enough} px leaves them as they are" if enough <= WIDEST else ""
        log.warning(
            "labels of %d digits%s are squeezed to as little as %.0f %% of their width%s",
            digits,
            gaps,
            100 * share,
            advice,
        )
