"""Programs of `tests.programs` for Numba: as they stand, and written anew where loops over elements are faster or
where Numba does not know a function of NumPy's."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from tests.programs import Program


def versions(program: Program) -> dict[str, Callable[..., Any]]:
    """What Numba can compile of a program, by how it is written; the first call compiles."""
    found = {}
    if program.njit:
        found["as is"] = numba.njit(with_helpers(program.function))
    if program.name in BY_HAND:
        found["by hand"] = numba.njit(BY_HAND[program.name])
    return found


def with_helpers(function: Any) -> Any:
    """The function with the functions of its module that it calls compiled by Numba too."""
    own = {
        name: numba.njit(with_helpers(value))
        for name, value in function.__globals__.items()
        if name in function.__code__.co_names and getattr(value, "__module__", None) == function.__module__
    }
    known = {**function.__globals__, **own}
    return types.FunctionType(function.__code__, known, function.__name__, function.__defaults__, function.__closure__)


def heat_2d(u, nu, dt, dx, dy, steps):
    n, m = u.shape
    un = u.copy()
    a, b = nu * dt / dx**2, nu * dt / dy**2
    for _ in range(steps):
        un[:] = u
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] = (
                    un[i, j]
                    + a * (un[i, j + 1] - 2 * un[i, j] + un[i, j - 1])
                    + b * (un[i + 1, j] - 2 * un[i, j] + un[i - 1, j])
                )
        u[0, :] = 1
        u[-1, :] = 1
        u[:, 0] = 1
        u[:, -1] = 1
    return u


def heat_3d(A, B, steps):
    n = A.shape[0]
    for _ in range(1, steps):
        for here, there in ((A, B), (B, A)):
            for i in range(1, n - 1):
                for j in range(1, n - 1):
                    for k in range(1, n - 1):
                        there[i, j, k] = (
                            0.125 * (here[i + 1, j, k] - 2.0 * here[i, j, k] + here[i - 1, j, k])
                            + 0.125 * (here[i, j + 1, k] - 2.0 * here[i, j, k] + here[i, j - 1, k])
                            + 0.125 * (here[i, j, k + 1] - 2.0 * here[i, j, k] + here[i, j, k - 1])
                            + here[i, j, k]
                        )
    return A


def shallow_water(h, u, v, g, dt, dx, steps):
    depth = 1.0
    n, m = h.shape
    a, b = g * dt / dx, depth * dt / dx
    for _ in range(steps):
        for i in range(1, n):
            for j in range(m):
                u[i, j] -= a * (h[i, j] - h[i - 1, j])
        for i in range(n):
            for j in range(1, m):
                v[i, j] -= a * (h[i, j] - h[i, j - 1])
        for i in range(n - 1):
            for j in range(m - 1):
                h[i, j] -= b * (u[i + 1, j] - u[i, j] + v[i, j + 1] - v[i, j])
    return h


def wave_1d(u0, c, dt, dx, steps):
    u, u_prev, u_next = u0.copy(), u0.copy(), np.zeros_like(u0)
    r = (c * dt / dx) ** 2
    for _ in range(steps):
        for i in range(1, len(u0) - 1):
            u_next[i] = 2 * u[i] - u_prev[i] + r * (u[i + 1] - 2 * u[i] + u[i - 1])
        u_prev, u, u_next = u, u_next, u_prev
    return u


def julia_mask(x, y, cx, cy, most):
    colour = np.zeros((y.size, x.size))
    for i in range(y.size):
        for j in range(x.size):
            zx, zy = x[j], y[i]
            for _ in range(most):
                r2 = zx * zx + zy * zy
                colour[i, j] += np.exp(-np.sqrt(r2))
                if r2 < 100.0:
                    zx, zy = zx * zx - zy * zy + cx, 2 * zx * zy + cy
    return colour


def mandelbrot_mask(x, y, most):
    count = np.zeros((y.size, x.size), dtype=np.int64)
    for i in range(y.size):
        for j in range(x.size):
            zx = zy = 0.0
            for _ in range(most):
                if zx * zx + zy * zy > 4.0:
                    break
                count[i, j] += 1
                zx, zy = zx * zx - zy * zy + x[j], 2.0 * zx * zy + y[i]
    return count


def game_of_life(board, generations):
    n, m = board.shape
    board = board.copy()
    new = np.empty_like(board)
    for _ in range(generations):
        for i in range(n):
            up, down = (i - 1) % n, (i + 1) % n
            for j in range(m):
                left, right = (j - 1) % m, (j + 1) % m
                count = (
                    board[up, left] + board[up, j] + board[up, right] + board[i, left] + board[i, right]
                    + board[down, left] + board[down, j] + board[down, right]
                )  # fmt: skip
                new[i, j] = count == 3 or (board[i, j] == 1 and count == 2)
        board, new = new, board
    return board


def gray_scott(u, v, du, dv, feed, kill, steps):
    n, m = u.shape
    lu, lv = np.empty_like(u), np.empty_like(v)
    for _ in range(steps):
        for i in range(n):
            up, down = (i - 1) % n, (i + 1) % n
            for j in range(m):
                left, right = (j - 1) % m, (j + 1) % m
                lu[i, j] = u[up, j] + u[down, j] + u[i, left] + u[i, right] - 4 * u[i, j]
                lv[i, j] = v[up, j] + v[down, j] + v[i, left] + v[i, right] - 4 * v[i, j]
        for i in range(n):
            for j in range(m):
                uvv = u[i, j] * v[i, j] * v[i, j]
                u[i, j] += du * lu[i, j] - uvv + feed * (1 - u[i, j])
                v[i, j] += dv * lv[i, j] + uvv - (feed + kill) * v[i, j]
    return u, v


BY_HAND = {
    f.__name__: f
    for f in (heat_2d, heat_3d, shallow_water, wave_1d, julia_mask, mandelbrot_mask, game_of_life, gray_scott)
}
