"""Escape times: the whole picture by masks, or element by element. Chaos in one dimension."""

import numpy as np

from .record import Program


def mandelbrot_mask(x, y, most):
    """All points together; those that have left stay where they are."""
    cx, cy = x.reshape(1, -1), y.reshape(-1, 1)
    zx = np.zeros((y.size, x.size))
    zy = np.zeros((y.size, x.size))
    count = np.zeros((y.size, x.size), dtype=np.int64)
    for _ in range(most):
        inside = zx * zx + zy * zy <= 4.0
        count += inside
        new = zx * zx - zy * zy + cx
        zy = np.where(inside, 2.0 * zx * zy + cy, zy)
        zx = np.where(inside, new, zx)
    return count


def mandelbrot_elements(x, y, most):
    """Point by point, leaving the loop early."""
    picture = np.zeros((y.size, x.size), dtype=np.int64)
    for i in range(y.size):
        for j in range(x.size):
            zx = 0.0
            zy = 0.0
            for k in range(most):
                zx, zy = zx * zx - zy * zy + x[j], 2.0 * zx * zy + y[i]
                if zx * zx + zy * zy > 4.0:
                    picture[i, j] = k + 1
                    break
    return picture


def julia_mask(x, y, cx, cy, most):
    """Smooth colours by a bounded orbit: exp(-|z|) summed."""
    zx, zy = np.meshgrid(x, y)
    colour = np.zeros_like(zx)
    for _ in range(most):
        r2 = zx**2 + zy**2
        colour += np.exp(-np.sqrt(r2))
        alive = r2 < 100.0
        zx, zy = np.where(alive, zx**2 - zy**2 + cx, zx), np.where(alive, 2 * zx * zy + cy, zy)
    return colour


def julia_elements(x, y, cx, cy, most):
    """Point by point, by `while`."""
    picture = np.zeros((len(y), len(x)), dtype=np.int32)
    for i, b in enumerate(y):
        for j, a in enumerate(x):
            zx, zy, k = a, b, 0
            while zx * zx + zy * zy < 4.0 and k < most:
                zx, zy = zx * zx - zy * zy + cx, 2.0 * zx * zy + cy
                k += 1
            picture[i, j] = k
    return picture


def logistic_map(x, r, steps):
    """A Python float, trip after trip."""
    for _ in range(steps):
        x = r * x * (1 - x)
    return x


def logistic_orbits(r, x0, burn, keep):
    """The bifurcation diagram: many parameters, the last `keep` points of each orbit."""
    x = np.full_like(r, x0)
    for _ in range(burn):
        x = r * x * (1.0 - x)
    out = np.empty((keep, r.size))
    for k in range(keep):
        x = r * x * (1.0 - x)
        out[k] = x
    return out


def collatz(n):
    """Trips of 3n + 1 down to 1, for each number up to n; the longest."""
    best, longest = 1, 0
    for start in range(1, n + 1):
        k, length = start, 0
        while k != 1:
            if k % 2 == 0:
                k = k // 2
            else:
                k = 3 * k + 1
            length += 1
        if length > longest:
            best, longest = start, length
    return best, longest


def _view(rng, n, trips):
    return np.linspace(-2.0, 0.6, n), np.linspace(-1.2, 1.2, n), trips


def _near(rng, n, trips):
    return np.linspace(-1.6, 1.6, n), np.linspace(-1.6, 1.6, n), -0.8, 0.156, trips


PROGRAMS = [
    Program(mandelbrot_mask, _view, (12, 20), (100, 100)),
    Program(mandelbrot_elements, _view, (12, 20), (100, 200)),
    Program(julia_mask, _near, (12, 20), (100, 100), (), njit=False),
    Program(julia_elements, _near, (12, 20), (100, 200)),
    Program(logistic_map, lambda rng, n, trips: (0.3, 3.2, trips), (1, 20), (1, 1_000_000), (0, 1)),
    Program(
        logistic_orbits, lambda rng, n, trips: (np.linspace(2.5, 3.4, n), 0.5, trips, 8), (10, 30), (1000, 1000), (0,)
    ),
    Program(collatz, lambda rng, n, trips: (trips,), (1, 30), (1, 20_000)),
]
