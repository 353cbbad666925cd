"""The kernel: glyphs through one map into the image, by a mesh of source coordinates.

The map of each digit is evaluated at nodes every 4 destination pixels, in float64, and
rounded to 1/65536 px. Between nodes everything is integer: coordinates by bilinear
interpolation, exact to the bit, then the glyph by bilinear sampling with fractions of 11
bits, then the maximum with what is in the image already. A digit is walked in bands of
four rows; each step of a band is one flat loop that the compiler turns into vector
instructions. That is where the speed comes from: per image of five digits, 28 x 200, a
loop over pixels took 18 us in a trial where flat loops took 7 us, and a loop of
`cv2.warpAffine` 35 us; `benchmarks/kernel.py` has today's figures. Cells without ink are
not skipped one by one, since that would break the loops up: the box of the warped ink is
walked, which is what skips most of them.

Numbers are cast to 32 bits at every step since numba would widen them to 64, which halves
what a vector holds. The same casts keep the arithmetic equal when compilation is off.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from builder.kernels.compiled import compiled

i32, u32, u8 = np.int32, np.uint32, np.uint8

STEP = 4
"""Destination pixels between nodes, and rows in a band."""

PADDED = 32
"""Side of a padded glyph, px; a row is 1 << 5 apart."""

MARGIN = 2
"""Background pixels before a glyph's frame in its padded form."""

CENTRE = 14.0
"""The y of the frame's centre, px; its x is given, as it depends on the spacing."""

FAR = 64.0
"""Nodes further than this from the glyph, px, are brought here: no ink lies between them."""


class Work(NamedTuple):
    """Scratch memory of one thread, for boxes up to `width` px wide.

    `quads` (1024,) uint32: for each address of a padded glyph the four pixels at, right of,
    below, and below right of it. `lattice` (2, 2, width): u and v along the last two rows
    of nodes, 1/65536/4 px. `address`, `quad`, `value` (4 * width,): a band's pixels, as
    source address and fractions, source pixels, and grey value. `columns` (width,): which
    columns hold ink.
    """

    quads: npt.NDArray[np.uint32]
    lattice: npt.NDArray[np.int32]
    address: npt.NDArray[np.uint32]
    quad: npt.NDArray[np.uint32]
    value: npt.NDArray[np.uint8]
    columns: npt.NDArray[np.uint8]


def work_for(width: int) -> Work:
    """Return scratch memory for boxes up to `width` px wide."""
    width = -(-width // STEP) * STEP
    return Work(
        quads=np.zeros(PADDED * PADDED, np.uint32),
        lattice=np.zeros((2, 2, width), np.int32),
        address=np.zeros(STEP * width, np.uint32),
        quad=np.zeros(STEP * width, np.uint32),
        value=np.zeros(STEP * width, np.uint8),
        columns=np.zeros(width, np.uint8),
    )


@compiled
def pack(glyph: Any, first: Any, count: Any, quads: Any) -> None:
    """Gather the four pixels of bilinear sampling into one word, for a run of addresses."""
    a = glyph[first:]
    b = glyph[first + 1 :]
    c = glyph[first + PADDED :]
    d = glyph[first + PADDED + 1 :]
    out = quads[first:]
    for i in range(count):
        low = u32(a[i]) | u32(u32(b[i]) << u32(8))
        out[i] = low | u32(u32(c[i]) << u32(16)) | u32(u32(d[i]) << u32(24))


@compiled
def locate_nodes(warp: Any, centre: Any, x: Any, y: Any, nodes: Any, u: Any, v: Any) -> None:
    """Fill u, v (4 * (nodes - 1),) along one row of nodes, the first at pixel (x, y).

    With s = inverse of the linear part times (X - tx, Y - ty), the source point from the
    frame's centre is s / (1 - g s_x - h s_y): the inverse of `builder.augment.warp`.
    """
    a, b, c, e, g, h = warp[0], warp[1], warp[2], warp[3], warp[4], warp[5]
    determinant = a * e - b * c
    shift_u, shift_v = centre + (MARGIN - 0.5), CENTRE + (MARGIN - 0.5)
    dy = y + 0.5 - warp[7]
    last_u, last_v = 0, 0
    for node in range(nodes):
        dx = x + STEP * node + 0.5 - warp[6]
        sx = (e * dx - b * dy) / determinant
        sy = (a * dy - c * dx) / determinant
        d = 1.0 - g * sx - h * sy
        node_u = min(max(sx / d + shift_u, -FAR), PADDED + FAR)
        node_v = min(max(sy / d + shift_v, -FAR), PADDED + FAR)
        next_u = math.floor(node_u * 65536.0 + 0.5)
        next_v = math.floor(node_v * 65536.0 + 0.5)
        if node > 0:
            for k in range(STEP):
                u[STEP * node - STEP + k] = last_u * (STEP - k) + next_u * k
                v[STEP * node - STEP + k] = last_v * (STEP - k) + next_v * k
        last_u, last_v = next_u, next_v


@compiled
def locate_pixels(above: Any, below: Any, ink: Any, width: Any, address: Any) -> None:
    """Fill address (4 * width,) for a band: glyph address, and fractions of 11 bits.

    `above`, `below` (2, width): u and v along the rows of nodes that bound the band. A
    coordinate outside the ink is clamped to where both pixels of its pair are background.
    """
    u0, v0, u1, v1 = above[0], above[1], below[0], below[1]
    left, top = i32(ink[0] + (MARGIN - 2)), i32(ink[1] + (MARGIN - 2))
    right, bottom = i32(ink[2] + MARGIN), i32(ink[3] + MARGIN)
    for row in range(STEP):
        out = address[row * width :]
        near, far = i32(STEP - row), i32(row)
        for x in range(width):
            u = i32(u0[x] * near + u1[x] * far)
            v = i32(v0[x] * near + v1[x] * far)
            column = min(max(i32(u >> 20), left), right)
            line = min(max(i32(v >> 20), top), bottom)
            fractions = u32(((u >> 9) & 2047) << 10) | u32(u32((v >> 9) & 2047) << u32(21))
            out[x] = u32(line * PADDED + column) | fractions


@compiled
def fetch(quads: Any, address: Any, count: Any, quad: Any) -> None:
    """Look up the four source pixels of each pixel of a band."""
    for i in range(count):
        quad[i] = quads[address[i] & u32(1023)]


@compiled
def blend(address: Any, quad: Any, count: Any, value: Any) -> None:
    """Sample bilinearly: four source pixels and two fractions to a grey value, rounded."""
    for i in range(count):
        q = quad[i]
        fu = i32((address[i] >> u32(10)) & u32(2047))
        fv = i32(address[i] >> u32(21))
        a, b = i32(q & u32(255)), i32((q >> u32(8)) & u32(255))
        c, d = i32((q >> u32(16)) & u32(255)), i32(q >> u32(24))
        upper = i32(a * 2048 + (b - a) * fu)
        lower = i32(c * 2048 + (d - c) * fu)
        value[i] = u8(i32(upper * 2048 + (lower - upper) * fv + (1 << 21)) >> 22)


@compiled
def combine(value: Any, row: Any, columns: Any, count: Any) -> Any:
    """Take the maximum of a row of values and the image; return whether there was ink."""
    seen = u8(0)
    for x in range(count):
        seen |= value[x]
        columns[x] |= value[x]
        row[x] = max(row[x], value[x])
    return seen > 0


@compiled
def ink_of(value: Any, count: Any) -> Any:
    """Return the sum of a run of grey values."""
    total = 0
    for x in range(count):
        total += int(value[x])
    return total


@compiled
def draw_digit(
    image: Any, glyph: Any, ink: Any, warp: Any, centre: Any, reach: Any, box: Any, work: Any
) -> Any:
    """Draw one digit into image (28, W), set its box, and return its visible share of ink.

    `reach` x0, y0, x1, y1 int: pixels that the warped ink can touch, inside the image or not.
    """
    height, width = image.shape
    x0, y0, x1, y1 = reach[0], reach[1], reach[2], reach[3]
    left, right = min(max(x0, 0), width), min(max(x1, 0), width)
    clipped = x0 < 0 or y0 < 0 or x1 > width or y1 > height
    nodes = -(-(x1 - x0) // STEP) + 1
    span = STEP * (nodes - 1)
    first = (int(ink[1]) + MARGIN - 2) * PADDED
    rows = min(int(ink[3]) - int(ink[1]) + 3, PADDED - 1 - first // PADDED)
    pack(glyph, first, rows * PADDED - 1, work.quads)
    work.columns[: right - left] = 0
    top, bottom, total, inside = height, 0, 0, 0
    locate_nodes(warp, centre, x0, y0, nodes, work.lattice[0, 0], work.lattice[0, 1])
    turn = 0
    for band in range(y0, y1, STEP):
        above, below = work.lattice[turn], work.lattice[1 - turn]
        turn = 1 - turn
        locate_nodes(warp, centre, x0, band + STEP, nodes, below[0], below[1])
        locate_pixels(above, below, ink, span, work.address)
        fetch(work.quads, work.address, STEP * span, work.quad)
        blend(work.address, work.quad, STEP * span, work.value)
        for y in range(band, min(band + STEP, y1)):
            value = work.value[(y - band) * span :]
            if clipped:
                total += ink_of(value, x1 - x0)
            if 0 <= y < height:
                value = value[left - x0 :]
                if clipped:
                    inside += ink_of(value, right - left)
                if combine(value, image[y, left:], work.columns, right - left):
                    top, bottom = min(top, y), y + 1
    if bottom == 0:
        return 0.0
    set_box(box, work.columns, left, right, top, bottom)
    return inside / total if clipped else 1.0


@compiled
def set_box(box: Any, columns: Any, left: Any, right: Any, top: Any, bottom: Any) -> None:
    """Set the half-open bounds of a digit's ink, of which `columns` begin at `left`."""
    x0, x1 = right, left
    for x in range(left, right):
        if columns[x - left] > 0:
            x0, x1 = min(x0, x), x + 1
    box[0], box[1], box[2], box[3] = x0, top, x1, bottom


@compiled
def draw_block(
    images: Any,
    bank: Any,
    glyphs: Any,
    lengths: Any,
    warps: Any,
    centres: Any,
    reach: Any,
    boxes: Any,
    visible: Any,
    work: Any,
) -> None:
    """Draw a block: images (B, 28, W) uint8 are cleared and filled, boxes and visible set.

    `bank` is (padded glyphs (K, 1024) uint8, ink (K, 4) int16); `glyphs` (B, L) their rows;
    `warps` (B, L, 8), `centres` (B, L), `reach` (B, L, 4) as in `draw_digit`.
    """
    for b in range(len(images)):
        images[b] = 0
        for d in range(lengths[b]):
            row = glyphs[b, d]
            visible[b, d] = draw_digit(
                images[b],
                bank[0][row],
                bank[1][row],
                warps[b, d],
                centres[b, d],
                reach[b, d],
                boxes[b, d],
                work,
            )
