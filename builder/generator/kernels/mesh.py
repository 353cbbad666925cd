"""The mesh: where in its glyph each pixel of a digit comes from.

The image is divided into cells of 4 x 4 px. The map of a digit is evaluated at their corners, the
nodes, in float64, and rounded to 1/65536 px. From there on all arithmetic is integer. Inside a
cell the source coordinate is bilinear, plus the second-order term of a perspective, which follows
from the slope across the cell: u'' = -2 u' d' / d for u = s / d with s and d linear. So affine
maps are exact, and perspective is off by 0.8 grey levels at most for the presets.

Cells that touch no ink are left out. Loops are flat, without branches, and over slices that begin
at 0, so that the compiler vectorises them. Each step of a digit runs over all of its cells before
the next begins. Per image of five digits, 28 x 200, one loop over pixels took 18 us in a trial,
bands of four rows with all steps in turn 9 us, this 6.5 us.

Numbers are cast to 32 bits at every step, since numba widens them to 64, which halves what a
vector holds. The same casts keep the arithmetic equal when compilation is off.
"""

from __future__ import annotations

import numpy as np

from builder.common.constants import HALF, MARGIN, PADDED, Floats, Int32s, i32, u8, u32
from builder.common.jit import jit
from builder.generator.kernels.buffers import CELL, STEP, VECTOR, Bounds, Buffers, Cells, Grid

FAR = 64.0
"""Nodes further than this from the glyph, px, are clamped to it: no ink lies out there."""

_ACROSS = np.tile(np.arange(STEP, dtype=np.int32), STEP)
_DOWN = np.repeat(np.arange(STEP, dtype=np.int32), STEP)
_TWIST = _ACROSS * _DOWN
_BEND_ACROSS = _ACROSS * (STEP - _ACROSS)
_BEND_DOWN = _DOWN * (STEP - _DOWN)


@jit
def count_nodes(grid: Grid) -> int:
    """Return the nodes that loops go over: those of a grid, and on to a whole vector."""
    return (grid.columns * grid.rows + VECTOR - 1) // VECTOR * VECTOR


@jit
def map_nodes(warp: Floats, centre: float, grid: Grid, nodes: Int32s) -> None:
    """Fill nodes (4, N) of a grid, row by row, as `Buffers.nodes` says.

    With s = inverse of the linear part times (X - tx, Y - ty), the source point from the frame's
    centre is s / (1 - g s_x - h s_y): the inverse of `builder.augment.warp`.
    """
    a, b, c, e, g, h = warp[0], warp[1], warp[2], warp[3], warp[4], warp[5]
    determinant = a * e - b * c
    ux, uy, vx, vy = e / determinant, -b / determinant, -c / determinant, a / determinant
    bend_x = -4.0 * 65536.0 * (g * ux + h * vx)
    bend_y = -4.0 * 65536.0 * (g * uy + h * vy)
    shift_u, shift_v = centre + (MARGIN - 0.5), HALF + (MARGIN - 0.5)
    left, top = STEP * grid.x + 0.5 - warp[6], STEP * grid.y + 0.5 - warp[7]
    columns, rows_per_node = float(grid.columns), 1.0 / grid.columns
    u, v, x_bends, y_bends = nodes[0], nodes[1], nodes[2], nodes[3]
    for n in range(count_nodes(grid)):
        row = np.floor((i32(n) + 0.5) * rows_per_node)
        dx, dy = left + STEP * (i32(n) - row * columns), top + STEP * row
        sx = ux * dx + uy * dy
        sy = vx * dx + vy * dy
        scale = 1.0 / (1.0 - g * sx - h * sy)
        node_u = min(max(sx * scale + shift_u, -FAR), PADDED + FAR)
        node_v = min(max(sy * scale + shift_v, -FAR), PADDED + FAR)
        u[n] = i32(np.floor(node_u * 65536.0 + 0.5))
        v[n] = i32(np.floor(node_v * 65536.0 + 0.5))
        x_bends[n] = i32(np.floor(bend_x * scale + 0.5))
        y_bends[n] = i32(np.floor(bend_y * scale + 0.5))


@jit
def find_inked_cells(grid: Grid, ink: Bounds, buffers: Buffers) -> None:
    """Fill bends and `inked` of the cells that begin at each node.

    `ink` are the half-open bounds x0, y0, x1, y1 of pixels in the frame.
    """
    nodes, bends, columns, inked = buffers.nodes, buffers.bends, grid.columns, buffers.inked
    u, v, x_bends, y_bends = nodes[0], nodes[1], nodes[2], nodes[3]
    u_right, u_below, u_opposite = u[1:], u[columns:], u[columns + 1 :]
    v_right, v_below, v_opposite = v[1:], v[columns:], v[columns + 1 :]
    ux, uy, vx, vy = bends[0], bends[1], bends[2], bends[3]
    left, right = i32((ink[0] + MARGIN - 1) << 16), i32((ink[2] + MARGIN) << 16)
    top, bottom = i32((ink[1] + MARGIN - 1) << 16), i32((ink[3] + MARGIN) << 16)
    for n in range(count_nodes(grid)):
        a, b, c, d = u[n], u_right[n], u_below[n], u_opposite[n]
        ux[n] = i32(x_bends[n] * (i32(i32(b - a) + i32(d - c)) >> 10)) >> 7
        uy[n] = i32(y_bends[n] * (i32(i32(c - a) + i32(d - b)) >> 10)) >> 7
        beyond = i32(abs(ux[n]) + abs(uy[n])) >> 2  # how far bends leave the corners' bounds
        least, largest = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        across = (i32(largest + beyond) >= left) & (i32(least - beyond) < right)
        a, b, c, d = v[n], v_right[n], v_below[n], v_opposite[n]
        vx[n] = i32(x_bends[n] * (i32(i32(b - a) + i32(d - c)) >> 10)) >> 7
        vy[n] = i32(y_bends[n] * (i32(i32(c - a) + i32(d - b)) >> 10)) >> 7
        beyond = i32(abs(vx[n]) + abs(vy[n])) >> 2
        least, largest = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
        down = (i32(largest + beyond) >= top) & (i32(least - beyond) < bottom)
        inked[n] = u8(across & down)


@jit
def list_inked_cells(grid: Grid, buffers: Buffers) -> Cells:
    """List the cells of a grid that are inked, row by row."""
    count = 0
    for row in range(grid.rows - 1):
        for n in range(grid.columns * row, grid.columns * row + grid.columns - 1):
            buffers.cells[count] = n
            count += int(buffers.inked[n])
    return Cells(grid, count)


@jit
def map_pixels(cells: Cells, ink: Bounds, buffers: Buffers) -> None:
    """Fill the addresses of the pixels of cells.

    A coordinate outside the ink is clamped to where both pixels of its pair are background.
    """
    nodes, bends, addresses = buffers.nodes, buffers.bends, buffers.addresses
    columns = cells.grid.columns
    left, top = i32(ink[0] + (MARGIN - 2)), i32(ink[1] + (MARGIN - 2))
    right, bottom = i32(ink[2] + MARGIN), i32(ink[3] + MARGIN)
    us, vs, u_x, u_y, v_x, v_y = nodes[0], nodes[1], bends[0], bends[1], bends[2], bends[3]
    us_below, vs_below = us[columns:], vs[columns:]
    for n in range(cells.size):
        cell = u32(buffers.cells[n])
        after = u32(cell + u32(1))
        a, b, c, d = us[cell], us[after], us_below[cell], us_below[after]
        u0, ux, uy, uxy = i32(16 * a), i32(4 * i32(b - a)), i32(4 * i32(c - a)), i32(a - b - c + d)
        a, b, c, d = vs[cell], vs[after], vs_below[cell], vs_below[after]
        v0, vx, vy, vxy = i32(16 * a), i32(4 * i32(b - a)), i32(4 * i32(c - a)), i32(a - b - c + d)
        uxx, uyy, vxx, vyy = u_x[cell], u_y[cell], v_x[cell], v_y[cell]
        first = np.uint64(CELL * n)
        for k in range(CELL):
            u = i32(u0 + ux * _ACROSS[k] + uy * _DOWN[k] + uxy * _TWIST[k])
            v = i32(v0 + vx * _ACROSS[k] + vy * _DOWN[k] + vxy * _TWIST[k])
            u = i32(u + uxx * _BEND_ACROSS[k] + uyy * _BEND_DOWN[k])
            v = i32(v + vxx * _BEND_ACROSS[k] + vyy * _BEND_DOWN[k])
            column = min(max(i32(u >> 20), left), right)
            line = min(max(i32(v >> 20), top), bottom)
            fractions = u32(((u >> 9) & 2047) << 10) | u32(u32((v >> 9) & 2047) << u32(21))
            addresses[first + np.uint64(k)] = u32(line * PADDED + column) | fractions


@jit
def interpolate(cells: Cells, buffers: Buffers) -> None:
    """Set the grey value of each pixel of cells: the glyph at its address, bilinear, rounded."""
    addresses, samples, values = buffers.addresses, buffers.samples, buffers.values
    for i in range(CELL * cells.size):
        samples[i] = buffers.texels[addresses[i] & u32(1023)]
    for i in range(CELL * cells.size):
        q = samples[i]
        fu = i32((addresses[i] >> u32(10)) & u32(2047))
        fv = i32(addresses[i] >> u32(21))
        a, b = i32(q & u32(255)), i32((q >> u32(8)) & u32(255))
        c, d = i32((q >> u32(16)) & u32(255)), i32(q >> u32(24))
        upper = i32(a * 2048 + (b - a) * fu)
        lower = i32(c * 2048 + (d - c) * fu)
        values[i] = u8(i32(upper * 2048 + (lower - upper) * fv + (1 << 21)) >> 22)
