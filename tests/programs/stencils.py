"""Heat and Poisson's equation on grids: explicit steps, Jacobi, Gauss-Seidel, red-black over-relaxation."""

import numpy as np

from .record import Program


def heat_1d(u, alpha, steps):
    """Explicit steps of the heat equation, in place."""
    for _ in range(steps):
        u[1:-1] += alpha * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def heat_2d(u, nu, dt, dx, dy, steps):
    """Diffusion with a copy of the old field, and walls at 1."""
    for _ in range(steps):
        un = u.copy()
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            + nu * dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2])
            + nu * dt / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[0:-2, 1:-1])
        )
        u[0, :] = 1
        u[-1, :] = 1
        u[:, 0] = 1
        u[:, -1] = 1
    return u


def heat_3d(A, B, steps):
    """PolyBench's heat-3d: two arrays, one computed from the other."""
    for _ in range(1, steps):
        B[1:-1, 1:-1, 1:-1] = (
            0.125 * (A[2:, 1:-1, 1:-1] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[:-2, 1:-1, 1:-1])
            + 0.125 * (A[1:-1, 2:, 1:-1] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[1:-1, :-2, 1:-1])
            + 0.125 * (A[1:-1, 1:-1, 2:] - 2.0 * A[1:-1, 1:-1, 1:-1] + A[1:-1, 1:-1, 0:-2])
            + A[1:-1, 1:-1, 1:-1]
        )
        A[1:-1, 1:-1, 1:-1] = (
            0.125 * (B[2:, 1:-1, 1:-1] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[:-2, 1:-1, 1:-1])
            + 0.125 * (B[1:-1, 2:, 1:-1] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[1:-1, :-2, 1:-1])
            + 0.125 * (B[1:-1, 1:-1, 2:] - 2.0 * B[1:-1, 1:-1, 1:-1] + B[1:-1, 1:-1, 0:-2])
            + B[1:-1, 1:-1, 1:-1]
        )
    return A


def jacobi(p, b, tol, most):
    """Poisson's equation by Jacobi's iteration, until it changes little."""
    change = 1.0
    count = 0
    while change > tol and count < most:
        pn = p.copy()
        p[1:-1, 1:-1] = 0.25 * (pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1] - b[1:-1, 1:-1])
        p[:, 0] = p[:, 1]
        change = np.sum(np.abs(p - pn)) / np.sum(np.abs(pn) + 1e-12)
        count += 1
    return p, count


def gauss_seidel(u, f, h, sweeps):
    """In-place sweeps, element by element."""
    nx, ny = u.shape
    for _ in range(sweeps):
        for i in range(1, nx - 1):
            for j in range(1, ny - 1):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - h * h * f[i, j])
    return u


def red_black_sor(u, f, omega, sweeps):
    """Successive over-relaxation, one colour of the chess board after the other."""
    n = u.shape[0]
    for _ in range(sweeps):
        for colour in range(2):
            for i in range(1, n - 1):
                for j in range(1 + (i + colour) % 2, n - 1, 2):
                    r = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4.0 * u[i, j] - f[i, j]
                    u[i, j] += omega * r / 4.0
    return u


PROGRAMS = [
    Program(heat_1d, lambda rng, n, trips: (rng.random(n), 0.25, trips), (16, 20), (10_000, 1000), (0, 1)),
    Program(
        heat_2d,
        lambda rng, n, trips: (1 + rng.random((n, n)), 0.05, 0.2, 0.5, 0.5, trips),
        (12, 20),
        (256, 200),
        (0, 1),
    ),
    Program(
        heat_3d, lambda rng, n, trips: (rng.random((n, n, n)), rng.random((n, n, n)), trips), (8, 9), (48, 50), (0,)
    ),
    Program(
        jacobi,
        lambda rng, n, trips: (rng.random((n, n)), rng.random((n, n)) / n**2, 1e-9, trips),
        (12, 20),
        (200, 300),
        (0, 1),
    ),
    Program(
        gauss_seidel,
        lambda rng, n, trips: (rng.random((n, n)), rng.random((n, n)), 1.0 / n, trips),
        (10, 9),
        (100, 50),
        (0, 1),
    ),
    Program(
        red_black_sor,
        lambda rng, n, trips: (rng.random((n, n)), rng.random((n, n)) / n**2, 1.5, trips),
        (10, 9),
        (100, 50),
        (0, 2),
    ),
]
