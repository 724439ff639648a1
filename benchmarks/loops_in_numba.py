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


def forward_by_rows(L, b):
    x = np.zeros_like(b)
    for i in range(len(b)):
        s = b[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s / L[i, i]
    return x


def back_by_rows(U, b):
    n = len(b)
    x = np.zeros_like(b)
    for i in range(n - 1, -1, -1):
        s = b[i]
        for k in range(i + 1, n):
            s -= U[i, k] * x[k]
        x[i] = s / U[i, i]
    return x


def cholesky_columns(A):
    n = A.shape[0]
    L = np.zeros_like(A)
    for j in range(n):
        s = A[j, j]
        for k in range(j):
            s -= L[j, k] * L[j, k]
        L[j, j] = np.sqrt(s)
        for i in range(j + 1, n):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            L[i, j] = s / L[j, j]
    return L


def lu_updates(A):
    n = A.shape[0]
    for k in range(n - 1):
        for i in range(k + 1, n):
            A[i, k] /= A[k, k]
            f = A[i, k]
            for j in range(k + 1, n):
                A[i, j] -= f * A[k, j]
    return A


def lu_pivoted(A):
    n = A.shape[0]
    order = np.arange(n)
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[p, k]):
                p = i
        for j in range(n):
            A[k, j], A[p, j] = A[p, j], A[k, j]
        order[k], order[p] = order[p], order[k]
        for i in range(k + 1, n):
            A[i, k] /= A[k, k]
            f = A[i, k]
            for j in range(k + 1, n):
                A[i, j] -= f * A[k, j]
    return A, order


def gram_schmidt_columns(A):
    m, n = A.shape
    Q = np.zeros_like(A)
    R = np.zeros((n, n))
    v = np.zeros(m)
    for j in range(n):
        for i in range(m):
            for k in range(j):
                R[k, j] += Q[i, k] * A[i, j]
        norm = 0.0
        for i in range(m):
            s = A[i, j]
            for k in range(j):
                s -= Q[i, k] * R[k, j]
            v[i] = s
            norm += s * s
        R[j, j] = np.sqrt(norm)
        for i in range(m):
            Q[i, j] = v[i] / R[j, j]
    return Q, R


def householder_parts(A):
    m, n = A.shape
    x, w = np.zeros(m), np.zeros(n)
    for k in range(n):
        norm = 0.0
        for i in range(k, m):
            x[i] = A[i, k]
            norm += x[i] * x[i]
        x[k] += np.copysign(np.sqrt(norm), x[k])
        norm = 0.0
        for i in range(k, m):
            norm += x[i] * x[i]
        w[k:] = 0.0
        for i in range(k, m):
            x[i] /= np.sqrt(norm)
            for j in range(k, n):
                w[j] += x[i] * A[i, j]
        for i in range(k, m):
            for j in range(k, n):
                A[i, j] -= 2.0 * (x[i] * w[j])
    return A


def durbin(r):
    n = len(r)
    y, z = np.zeros_like(r), np.zeros_like(r)
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, n):
        beta = (1.0 - alpha * alpha) * beta
        s = r[k]
        for i in range(k):
            s += r[k - 1 - i] * y[i]
        alpha = -s / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - 1 - i]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha
    return y


def fir_windows(x, w):
    k = len(w)
    y = np.zeros(len(x) - k + 1)
    for t in range(len(y)):
        s = 0.0
        for i in range(k):
            s += x[t + i] * w[i]
        y[t] = s
    return y


def window_extrema(x):
    n = len(x)
    y = np.zeros((n, 2))
    for t in range(n):
        least = most = x[t]
        for i in range(max(t - 4, 0), min(t + 5, n)):
            least = min(least, x[i])
            most = max(most, x[i])
        y[t, 0] = most
        y[t, 1] = least
    return y


def minibatches(X, y, w, rate):
    m, n = X.shape
    w = w.copy()
    d = np.zeros(n)
    for start in range(0, m, 32):
        stop = min(start + 32, m)
        d[:] = 0.0
        for i in range(start, stop):
            error = -y[i]
            for j in range(n):
                error += X[i, j] * w[j]
            for j in range(n):
                d[j] += error * X[i, j]
        for j in range(n):
            w[j] -= rate * d[j] / (stop - start)
    return w


def csr_rows(values, columns, starts, x):
    y = np.zeros(len(starts) - 1)
    for i in range(len(y)):
        s = 0.0
        for k in range(starts[i], starts[i + 1]):
            s += values[k] * x[columns[k]]
        y[i] = s
    return y


BY_HAND = {
    f.__name__: f
    for f in (
        heat_2d, heat_3d, shallow_water, wave_1d, julia_mask, mandelbrot_mask, game_of_life, gray_scott,
        forward_by_rows, back_by_rows, cholesky_columns, lu_updates, lu_pivoted, gram_schmidt_columns,
        householder_parts, durbin, fir_windows, window_extrema, minibatches, csr_rows,
    )
}  # fmt: skip
