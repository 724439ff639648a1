"""The wave equation and Maxwell's equations, in time steps."""

import numpy as np

from .record import Program


def wave_1d(u0, c, dt, dx, steps):
    """Leapfrog with three time levels that change roles."""
    u = u0.copy()
    u_prev = u0.copy()
    u_next = np.zeros_like(u0)
    r = (c * dt / dx) ** 2
    for _ in range(steps):
        u_next[1:-1] = 2 * u[1:-1] - u_prev[1:-1] + r * (u[2:] - 2 * u[1:-1] + u[:-2])
        u_prev, u, u_next = u, u_next, u_prev
    return u


def wave_2d(u0, v0, c2, dt, steps):
    """A drum: velocity and height, with a damped edge; keeps the energy of each step."""
    u = u0.copy()
    v = v0.copy()
    energy = np.zeros(steps)
    for k in range(steps):
        lap = np.zeros_like(u)
        lap[1:-1, 1:-1] = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        v = 0.999 * (v + dt * c2 * lap)
        u = u + dt * v
        energy[k] = np.sum(v**2)
    return u, energy


def fdtd_1d(ez, hy, eps, steps):
    """A pulse that enters a slab (Schneider): magnetic and electric field by turns."""
    imp0 = 377.0
    for t in range(steps):
        hy[:-1] += (ez[1:] - ez[:-1]) / imp0
        hy[-1] = hy[-2]
        ez[1:] += (hy[1:] - hy[:-1]) * imp0 / eps[1:]
        ez[0] = ez[1]
        ez[20] += np.exp(-((t - 30.0) ** 2) / 100.0)
    return ez


def fdtd_2d(ex, ey, hz, source):
    """PolyBench's fdtd-2d: one value of the source per time step."""
    for t in range(source.shape[0]):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def _fields(rng, n, trips):
    eps = np.ones(n)
    eps[n // 2 :] = 4.0
    return np.zeros(n), np.zeros(n), eps, trips


PROGRAMS = [
    Program(wave_1d, lambda rng, n, trips: (rng.random(n), 1.0, 0.5, 1.0, trips), (16, 20), (10_000, 1000), (0, 1)),
    Program(
        wave_2d,
        lambda rng, n, trips: (rng.random((n, n)), np.zeros((n, n)), 1.0, 0.3, trips),
        (10, 20),
        (200, 200),
        (0, 2),
    ),
    Program(fdtd_1d, _fields, (32, 40), (10_000, 1000), (2,)),
    Program(
        fdtd_2d,
        lambda rng, n, trips: (*rng.random((3, n, n + 2)), np.sin(0.2 * np.arange(trips))),
        (8, 10),
        (200, 200),
        (2, 3),
    ),
]
