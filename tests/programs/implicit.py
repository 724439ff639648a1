"""Tridiagonal systems: Thomas' algorithm, Crank-Nicolson, alternating directions."""

import numpy as np

from .record import Program


def thomas(a, b, c, d):
    """Tridiagonal systems: a below, b on, c above the diagonal."""
    n = d.shape[0]
    cp = np.zeros_like(d)
    dp = np.zeros_like(d)
    cp[0] = c[0] / b[0]
    dp[0] = d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * cp[i - 1]
        cp[i] = c[i] / m
        dp[i] = (d[i] - a[i] * dp[i - 1]) / m
    x = np.zeros_like(d)
    x[n - 1] = dp[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = dp[i] - cp[i] * x[i + 1]
    return x


def crank_nicolson(u, r, steps):
    """The heat equation, implicit: a tridiagonal solve per step."""
    a = np.full_like(u, -r / 2)
    b = np.full_like(u, 1 + r)
    c = np.full_like(u, -r / 2)
    for _ in range(steps):
        d = u.copy()
        d[1:-1] = (1 - r) * u[1:-1] + 0.5 * r * (u[2:] + u[:-2])
        u = thomas(a, b, c, d)
    return u


def adi(u, steps):
    """PolyBench's adi: sweeps along columns, then along rows, whole lines at a time."""
    n = u.shape[0]
    dx = 1.0 / n
    dt = 1.0 / 20
    mul1 = 2.0 * dt / dx**2
    mul2 = 1.0 * dt / dx**2
    a = -mul1 / 2.0
    b = 1.0 + mul1
    c = a
    d = -mul2 / 2.0
    e = 1.0 + mul2
    f = d
    v = np.zeros((n, n))
    p = np.zeros((n, n))
    q = np.zeros((n, n))
    for _ in range(1, steps + 1):
        v[0, 1 : n - 1] = 1.0
        p[1 : n - 1, 0] = 0.0
        q[1 : n - 1, 0] = v[0, 1 : n - 1]
        for j in range(1, n - 1):
            p[1 : n - 1, j] = -c / (a * p[1 : n - 1, j - 1] + b)
            q[1 : n - 1, j] = (
                -d * u[j, 0 : n - 2] + (1.0 + 2.0 * d) * u[j, 1 : n - 1] - f * u[j, 2:n] - a * q[1 : n - 1, j - 1]
            ) / (a * p[1 : n - 1, j - 1] + b)
        v[n - 1, 1 : n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, 1 : n - 1] = p[1 : n - 1, j] * v[j + 1, 1 : n - 1] + q[1 : n - 1, j]
        u[1 : n - 1, 0] = 1.0
        p[1 : n - 1, 0] = 0.0
        q[1 : n - 1, 0] = u[1 : n - 1, 0]
        for j in range(1, n - 1):
            p[1 : n - 1, j] = -f / (d * p[1 : n - 1, j - 1] + e)
            q[1 : n - 1, j] = (
                -a * v[0 : n - 2, j] + (1.0 + 2.0 * a) * v[1 : n - 1, j] - c * v[2:n, j] - d * q[1 : n - 1, j - 1]
            ) / (d * p[1 : n - 1, j - 1] + e)
        u[1 : n - 1, n - 1] = 1.0
        for j in range(n - 2, 0, -1):
            u[1 : n - 1, j] = p[1 : n - 1, j] * u[1 : n - 1, j + 1] + q[1 : n - 1, j]
    return u


def _tridiagonal(rng, n, trips):
    return rng.random(trips), 3 + rng.random(trips), rng.random(trips), rng.random(trips)


PROGRAMS = [
    Program(thomas, _tridiagonal, (0, 12), (0, 100_000), (0, 1, 2, 3)),
    Program(crank_nicolson, lambda rng, n, trips: (rng.random(n), 0.5, trips), (10, 9), (1000, 500), (0, 1)),
    Program(adi, lambda rng, n, trips: (rng.random((n, n)), trips), (12, 9), (100, 50), (0,)),
]
