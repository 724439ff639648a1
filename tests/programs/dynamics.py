"""Ordinary differential equations: fixed steps, steps that adapt, populations."""

import numpy as np

from .record import Program


def lorenz_rk4(state, sigma, rho, beta, dt, steps):
    """The whole orbit, by the classical Runge-Kutta method."""

    def slope(s):
        x, y, z = s
        return np.array([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])

    orbit = np.zeros((steps + 1, 3))
    orbit[0] = state
    for i in range(steps):
        s = orbit[i]
        k1 = slope(s)
        k2 = slope(s + 0.5 * dt * k1)
        k3 = slope(s + 0.5 * dt * k2)
        k4 = slope(s + dt * k3)
        orbit[i + 1] = s + dt / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
    return orbit


def adaptive_rk23(y, mu, t_end, tol):
    """Van der Pol's oscillator by Bogacki and Shampine's pair, with its step chosen by the error."""

    def f(y):
        return np.array([y[1], mu * (1.0 - y[0] ** 2) * y[1] - y[0]])

    t = 0.0
    h = 0.01
    accepted = 0
    rejected = 0
    k1 = f(y)
    while t < t_end:
        if t + h > t_end:
            h = t_end - t
        k2 = f(y + 0.5 * h * k1)
        k3 = f(y + 0.75 * h * k2)
        new = y + h * (2.0 * k1 + 3.0 * k2 + 4.0 * k3) / 9.0
        k4 = f(new)
        error = np.max(np.abs(h * (-5.0 * k1 / 72.0 + k2 / 12.0 + k3 / 9.0 - k4 / 8.0)))
        if error <= tol:
            t += h
            y = new
            k1 = k4
            accepted += 1
        else:
            rejected += 1
        h *= min(5.0, max(0.2, 0.9 * (tol / (error + 1e-30)) ** (1 / 3)))
    return y, accepted, rejected


def lotka_volterra(prey, predators, alpha, beta, gamma, delta, dt, steps):
    """Heun's method on two Python floats, both histories kept."""
    history = np.empty((steps, 2))
    for i in range(steps):
        history[i, 0] = prey
        history[i, 1] = predators
        dp = alpha * prey - beta * prey * predators
        dq = delta * prey * predators - gamma * predators
        p = prey + dt * dp
        q = predators + dt * dq
        dp2 = alpha * p - beta * p * q
        dq2 = delta * p * q - gamma * q
        prey += 0.5 * dt * (dp + dp2)
        predators += 0.5 * dt * (dq + dq2)
    return history


def kuramoto(theta, omega, coupling, dt, steps):
    """Coupled oscillators; how much they agree, at each step."""
    order = np.zeros(steps)
    n = len(theta)
    for t in range(steps):
        c = np.sum(np.cos(theta)) / n
        s = np.sum(np.sin(theta)) / n
        order[t] = np.hypot(c, s)
        theta = theta + dt * (omega + coupling * (s * np.cos(theta) - c * np.sin(theta)))
    return order


def game_of_life(board, generations):
    """Neighbours counted by rolled boards."""
    for _ in range(generations):
        count = np.zeros_like(board)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if dx != 0 or dy != 0:
                    count += np.roll(np.roll(board, dx, axis=0), dy, axis=1)
        board = ((count == 3) | ((board == 1) & (count == 2))).astype(board.dtype)
    return board


def game_of_life_elements(board, generations):
    """The same on a board with dead edges, cell by cell."""
    n, m = board.shape
    for _ in range(generations):
        new = np.zeros_like(board)
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                count = 0
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        count += board[i + di, j + dj]
                count -= board[i, j]
                if count == 3 or (board[i, j] == 1 and count == 2):
                    new[i, j] = 1
        board = new
    return board


def gray_scott(u, v, du, dv, feed, kill, steps):
    """Reaction and diffusion on a torus."""
    for _ in range(steps):
        lu = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u
        lv = np.roll(v, 1, 0) + np.roll(v, -1, 0) + np.roll(v, 1, 1) + np.roll(v, -1, 1) - 4 * v
        uvv = u * v * v
        u += du * lu - uvv + feed * (1 - u)
        v += dv * lv + uvv - (feed + kill) * v
    return u, v


def _board(rng, n, trips):
    return rng.integers(0, 2, (n, n)), trips


def _spots(rng, n, trips):
    return 1 - 0.1 * rng.random((n, n)), 0.5 * rng.random((n, n)), 0.16, 0.08, 0.035, 0.065, trips


PROGRAMS = [
    Program(
        lorenz_rk4,
        lambda rng, n, trips: (np.array([1.0, 1.0, 1.0]), 10.0, 28.0, 8 / 3, 0.01, trips),
        (3, 20),
        (3, 10_000),
        (0, 1, 2, 3),
    ),
    Program(
        adaptive_rk23,
        lambda rng, n, trips: (np.array([2.0, 0.0]), 1.0, 0.1 * trips, 1e-6),
        (2, 10),
        (2, 300),
    ),
    Program(
        lotka_volterra,
        lambda rng, n, trips: (10.0, 5.0, 1.1, 0.4, 0.4, 0.1, 0.01, trips),
        (1, 20),
        (1, 100_000),
        (0, 1, 2, 3),
    ),
    Program(
        kuramoto,
        lambda rng, n, trips: (6 * rng.random(n), rng.standard_normal(n), 1.5, 0.05, trips),
        (10, 20),
        (1000, 500),
        (0, 1, 2),
    ),
    Program(game_of_life, _board, (12, 10), (200, 100), njit=False),
    Program(game_of_life_elements, _board, (12, 10), (100, 50)),
    Program(gray_scott, _spots, (10, 20), (128, 200), (0, 1, 4), njit=False),
]
