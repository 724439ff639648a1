"""Iterations that end when they have converged: conjugate gradients, eigenvalues, roots, least squares."""

import math

import numpy as np

from .record import Program


def conjugate_gradient(A, b, x, tol, most):
    """Hestenes and Stiefel, 1952."""
    r = b - A @ x
    p = r.copy()
    rs_old = r @ r
    k = 0
    while k < most:
        Ap = A @ p
        alpha = rs_old / (p @ Ap)
        x = x + alpha * p
        r = r - alpha * Ap
        rs_new = r @ r
        k += 1
        if np.sqrt(rs_new) < tol:
            break
        p = r + (rs_new / rs_old) * p
        rs_old = rs_new
    return x, k


def power_iteration(A, v, tol, most):
    """The largest eigenvalue and its vector."""
    v = v / np.sqrt(np.sum(v * v))
    eigenvalue = 0.0
    for _ in range(most):
        w = A @ v
        new = v @ w
        v = w / np.sqrt(np.sum(w * w))
        if abs(new - eigenvalue) < tol * abs(new):
            return new, v
        eigenvalue = new
    return eigenvalue, v


def newton(a, x, tol):
    """The root of x - a*sin(x) = 1 (Kepler's equation)."""
    step = 1.0
    while abs(step) > tol:
        step = (x - a * math.sin(x) - 1.0) / (1.0 - a * math.cos(x))
        x -= step
    return x


def newton_system(p, x, most):
    """Two nonlinear equations; the 2x2 system by Cramer's rule."""
    x = x.copy()
    for _ in range(most):
        f0 = x[0] ** 2 + x[1] ** 2 - p[0]
        f1 = x[0] * x[1] - p[1]
        if abs(f0) + abs(f1) < 1e-12:
            break
        det = 2 * x[0] * x[0] - 2 * x[1] * x[1]
        x[0] -= (f0 * x[0] - 2 * x[1] * f1) / det
        x[1] -= (2 * x[0] * f1 - x[1] * f0) / det
    return x


def bisection(coefficients, lo, hi, tol):
    """A root of a polynomial in [lo, hi], by Horner's scheme."""

    def value(x):
        p = 0.0
        for c in coefficients:
            p = p * x + c
        return p

    f_lo = value(lo)
    while hi - lo > tol:
        mid = 0.5 * (lo + hi)
        f_mid = value(mid)
        if f_mid == 0.0:
            return mid
        if (f_mid < 0.0) == (f_lo < 0.0):
            lo, f_lo = mid, f_mid
        else:
            hi = mid
    return 0.5 * (lo + hi)


def gradient_descent(X, y, w, rate, steps):
    """Logistic regression; keeps the loss of each step."""
    losses = np.empty(steps)
    n = X.shape[0]
    for t in range(steps):
        z = X @ w
        prob = 1.0 / (1.0 + np.exp(-z))
        losses[t] = -np.mean(y * np.log(prob) + (1.0 - y) * np.log(1.0 - prob))
        w = w - rate * (X.T @ (prob - y)) / n
    return w, losses


def sinkhorn(C, a, b, epsilon, steps):
    """Optimal transport with entropy: rows and columns scaled by turns."""
    K = np.exp(-C / epsilon)
    u = np.ones_like(a)
    v = np.ones_like(b)
    for _ in range(steps):
        v = b / (K.T @ u)
        u = a / (K @ v)
    return np.sum(u.reshape(-1, 1) * K * v * C)


def pagerank(links, damping, tol):
    """Ranks of pages by the power method; links[i, j] is 1 where j links to i."""
    n = links.shape[0]
    out = np.sum(links, axis=0)
    M = links / np.where(out > 0, out, 1.0)
    rank = np.full(n, 1.0 / n)
    change = 1.0
    while change > tol:
        new = damping * (M @ rank) + (1.0 - damping) / n
        new = new / np.sum(new)
        change = np.abs(new - rank).sum()
        rank = new
    return rank


def _definite(rng, n):
    a = rng.standard_normal((n, n)) / np.sqrt(n)
    return a @ a.T + np.eye(n)


def _regression(rng, n, trips):
    return rng.standard_normal((n, 5)), (rng.random(n) > 0.5).astype(float), np.zeros(5), 0.5, trips


PROGRAMS = [
    Program(
        conjugate_gradient,
        lambda rng, n, trips: (_definite(rng, n), rng.standard_normal(n), np.zeros(n), 1e-13, trips),
        (10, 6),
        (300, 60),
        (0, 1),
    ),
    Program(
        power_iteration,
        lambda rng, n, trips: (_definite(rng, n) + 3 * np.ones((n, n)), rng.random(n), 1e-15, trips),
        (10, 40),
        (300, 100),
        (0,),
    ),
    Program(newton, lambda rng, n, trips: (0.5, 1.0, 1e-12), (1, 1), (1, 1), (0,)),
    Program(
        newton_system,
        lambda rng, n, trips: (np.array([5.0, 2.0]), np.array([2.1, 0.8]), trips),
        (2, 30),
        (2, 1000),
        (0,),
    ),
    Program(
        bisection,
        lambda rng, n, trips: (np.array([1.0, *rng.random(n) / 4, -1.0]), 0.0, 2.0, 1e-12),
        (9, 1),
        (100, 1),
    ),
    Program(gradient_descent, _regression, (20, 20), (500, 1000), (0, 2, 3)),
    Program(
        sinkhorn,
        lambda rng, n, trips: (rng.random((n, n)), np.full(n, 1 / n), np.full(n, 1 / n), 0.1, trips),
        (8, 20),
        (200, 200),
        (0, 1),
    ),
    Program(pagerank, lambda rng, n, trips: ((rng.random((n, n)) < 0.3) * 1.0, 0.85, 1e-10), (12, 1), (300, 1), (1,)),
]
