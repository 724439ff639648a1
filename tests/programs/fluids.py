"""Flow: a lid-driven cavity, shallow water, advection."""

import numpy as np

from .record import Program


def build_up_b(rho, dt, u, v, dx, dy):
    b = np.zeros_like(u)
    b[1:-1, 1:-1] = rho * (
        1 / dt * ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx) + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy))
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - 2 * ((u[2:, 1:-1] - u[0:-2, 1:-1]) / (2 * dy) * (v[1:-1, 2:] - v[1:-1, 0:-2]) / (2 * dx))
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )
    return b


def pressure_poisson(p, dx, dy, b, nit):
    for _ in range(nit):
        pn = p.copy()
        p[1:-1, 1:-1] = ((pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2 + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2) / (
            2 * (dx**2 + dy**2)
        ) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[1:-1, 1:-1]
        p[:, -1] = p[:, -2]  # dp/dx = 0 at x = 2
        p[0, :] = p[1, :]  # dp/dy = 0 at y = 0
        p[:, 0] = p[:, 1]  # dp/dx = 0 at x = 0
        p[-1, :] = 0  # p = 0 at y = 2
    return p


def cavity_flow(nt, nit, u, v, dt, dx, dy, p, rho, nu):
    """Navier-Stokes in a box whose lid moves (step 11 of Barba's 12 steps)."""
    for _ in range(nt):
        un = u.copy()
        vn = v.copy()
        b = build_up_b(rho, dt, u, v, dx, dy)
        p = pressure_poisson(p, dx, dy, b, nit)
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, 0:-2])
            - vn[1:-1, 1:-1] * dt / dy * (un[1:-1, 1:-1] - un[0:-2, 1:-1])
            - dt / (2 * rho * dx) * (p[1:-1, 2:] - p[1:-1, 0:-2])
            + nu
            * (
                dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2])
                + dt / dy**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[0:-2, 1:-1])
            )
        )
        v[1:-1, 1:-1] = (
            vn[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (vn[1:-1, 1:-1] - vn[1:-1, 0:-2])
            - vn[1:-1, 1:-1] * dt / dy * (vn[1:-1, 1:-1] - vn[0:-2, 1:-1])
            - dt / (2 * rho * dy) * (p[2:, 1:-1] - p[0:-2, 1:-1])
            + nu
            * (
                dt / dx**2 * (vn[1:-1, 2:] - 2 * vn[1:-1, 1:-1] + vn[1:-1, 0:-2])
                + dt / dy**2 * (vn[2:, 1:-1] - 2 * vn[1:-1, 1:-1] + vn[0:-2, 1:-1])
            )
        )
        u[0, :] = 0
        u[:, 0] = 0
        u[:, -1] = 0
        u[-1, :] = 1  # the lid
        v[0, :] = 0
        v[-1, :] = 0
        v[:, 0] = 0
        v[:, -1] = 0
    return u, v, p


def shallow_water(h, u, v, g, dt, dx, steps):
    """Linear shallow water on a staggered grid, closed walls."""
    depth = 1.0
    for _ in range(steps):
        u[1:, :] -= g * dt / dx * (h[1:, :] - h[:-1, :])
        v[:, 1:] -= g * dt / dx * (h[:, 1:] - h[:, :-1])
        h[:-1, :-1] -= depth * dt / dx * (u[1:, :-1] - u[:-1, :-1] + v[:-1, 1:] - v[:-1, :-1])
    return h


def advection_upwind(u, c, dt, dx, steps):
    """A wave that travels around a ring, by `np.roll`; upwind for either sign of c."""
    for _ in range(steps):
        if c > 0:
            u = u - c * dt / dx * (u - np.roll(u, 1))
        else:
            u = u - c * dt / dx * (np.roll(u, -1) - u)
    return u


def burgers(u, nu, dt, dx, steps):
    """Burgers' equation on a ring: the nonlinear step by indices that wrap."""
    n = u.shape[0]
    for _ in range(steps):
        un = u.copy()
        for i in range(n):
            left, right = (i - 1) % n, (i + 1) % n
            u[i] = un[i] - un[i] * dt / dx * (un[i] - un[left]) + nu * dt / dx**2 * (un[right] - 2 * un[i] + un[left])
    return u


def _cavity(rng, n, trips):
    shape = (n, n)
    start = [0.1 * rng.standard_normal(shape) for _ in range(3)]
    return trips, 10, start[0], start[1], 0.001, 2 / (n - 1), 2 / (n - 1), start[2], 1.0, 0.1


def _water(rng, n, trips):
    return rng.random((n, n)), np.zeros((n, n)), np.zeros((n, n)), 9.81, 0.01, 0.1, trips


PROGRAMS = [
    Program(cavity_flow, _cavity, (10, 10), (64, 50), (2, 9)),
    Program(shallow_water, _water, (10, 20), (256, 200), (0, 3)),
    Program(
        advection_upwind,
        lambda rng, n, trips: (rng.random(n), 0.5, 0.01, 0.02, trips),
        (16, 20),
        (10_000, 1000),
        (0, 1),
    ),
    Program(burgers, lambda rng, n, trips: (rng.random(n), 0.07, 0.01, 0.1, trips), (16, 20), (1000, 200), (0, 1)),
]
