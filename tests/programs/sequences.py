"""Along a series: recurrent networks, filters, running sums, random walks with given numbers."""

import numpy as np

from .record import Program


def rnn(xs, h, Wx, Wh, b, Wo):
    """A recurrent network over time; the sum of squares of what it reads out."""
    loss = 0.0
    for t in range(xs.shape[0]):
        h = np.tanh(xs[t] @ Wx + h @ Wh + b)
        out = h @ Wo
        loss += np.sum(out**2)
    return loss / xs.shape[0]


def lstm(xs, h, c, W, b):
    """Long short-term memory: four gates out of one product."""
    n = h.shape[0]
    hs = np.zeros((len(xs), n))
    for t, x in enumerate(xs):
        z = np.concatenate((x, h)) @ W + b
        i = 1 / (1 + np.exp(-z[:n]))
        f = 1 / (1 + np.exp(-z[n : 2 * n]))
        o = 1 / (1 + np.exp(-z[2 * n : 3 * n]))
        g = np.tanh(z[3 * n :])
        c = f * c + i * g
        h = o * np.tanh(c)
        hs[t] = h
    return hs


def biquad(x, b0, b1, b2, a1, a2):
    """A second-order IIR filter, direct form I."""
    y = np.zeros_like(x)
    x1 = x2 = y1 = y2 = 0.0
    for n in range(len(x)):
        y[n] = b0 * x[n] + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        x2, x1 = x1, x[n]
        y2, y1 = y1, y[n]
    return y


def exponential_smoothing(x, alpha):
    """A low-pass filter."""
    s = np.empty_like(x)
    s[0] = x[0]
    for i in range(1, len(x)):
        s[i] = alpha * x[i] + (1 - alpha) * s[i - 1]
    return s


def running_sum(x):
    """`np.cumsum` by hand."""
    total = 0.0
    out = np.empty_like(x)
    for i in range(x.size):
        total += x[i]
        out[i] = total
    return out


def prefix_maximum(x):
    """The largest so far, and how often it changed."""
    best = x[0]
    changes = 0
    out = np.empty_like(x)
    for i, value in enumerate(x):
        if value > best:
            best = value
            changes += 1
        out[i] = best
    return out, changes


def moving_average(x, w):
    """By a window that is summed anew each time."""
    n = len(x) - w + 1
    out = np.zeros(n)
    for i in range(n):
        for j in range(w):
            out[i] += x[i + j]
        out[i] /= w
    return out


def sliding_mean(x, w):
    """By a sum that gains one number and loses one."""
    n = len(x) - w + 1
    out = np.zeros(n)
    total = 0.0
    for i in range(w):
        total += x[i]
    out[0] = total / w
    for i in range(1, n):
        total += x[i + w - 1] - x[i - 1]
        out[i] = total / w
    return out


def kalman(z, q, r, x, p):
    """A scalar Kalman filter."""
    estimates = np.zeros_like(z)
    for k in range(z.shape[0]):
        p = p + q
        gain = p / (p + r)
        x = x + gain * (z[k] - x)
        p = (1 - gain) * p
        estimates[k] = x
    return estimates


def kalman_2d(zs, F, H, Q, R, x, P):
    """Position and velocity; the innovation is a number."""
    found = np.zeros((zs.shape[0], 2))
    for k in range(zs.shape[0]):
        x = F @ x
        P = F @ P @ F.T + Q
        s = H @ P @ H + R
        gain = P @ H / s
        x = x + gain * (zs[k] - H @ x)
        P = P - np.outer(gain, H @ P)
        found[k] = x
    return found


def garch(returns, omega, alpha, beta):
    """The negative log likelihood of GARCH(1, 1)."""
    variance = np.var(returns)
    total = 0.0
    for r in returns:
        total += 0.5 * (np.log(2 * np.pi * variance) + r**2 / variance)
        variance = omega + alpha * r**2 + beta * variance
    return total


def metropolis(x, step, normals, uniforms):
    """A random walk with the density of a double well; the share that was accepted."""
    n = normals.shape[0]
    chain = np.zeros(n)
    log_p = -((x**2 - 1.0) ** 2)
    accepted = 0
    for i in range(n):
        proposal = x + step * normals[i]
        log_q = -((proposal**2 - 1.0) ** 2)
        if np.log(uniforms[i]) < log_q - log_p:
            x = proposal
            log_p = log_q
            accepted += 1
        chain[i] = x
    return chain, accepted / n


def geometric_brownian(s0, mu, sigma, dt, normals):
    """Paths of a price, all at once, step after step; the mean of an Asian option's payoff."""
    steps, paths = normals.shape
    s = np.full(paths, s0)
    total = np.zeros(paths)
    for t in range(steps):
        s = s * np.exp((mu - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * normals[t])
        total += s
    return np.mean(np.maximum(total / steps - s0, 0.0))


def _network(rng, n, trips):
    return (
        rng.standard_normal((trips, n)),
        np.zeros(n),
        0.5 * rng.standard_normal((n, n)),
        rng.standard_normal((n, n)) / n,
        np.zeros(n),
        rng.standard_normal((n, 2)),
    )


def _memory(rng, n, trips):
    return (
        rng.standard_normal((trips, n)),
        np.zeros(n),
        np.zeros(n),
        rng.standard_normal((2 * n, 4 * n)) / n,
        np.zeros(4 * n),
    )


def _tracking(rng, n, trips):
    F, H = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([1.0, 0.0])
    return rng.standard_normal(trips).cumsum(), F, H, 0.01 * np.eye(2), 0.5, np.zeros(2), np.eye(2)


def _walk(rng, n, trips):
    return 0.1, 0.8, rng.standard_normal(trips), rng.random(trips)


def _series(rng, n, trips):
    return (rng.standard_normal(trips),)


PROGRAMS = [
    Program(rnn, _network, (4, 12), (64, 1000), (0, 2, 3, 4, 5)),
    Program(lstm, _memory, (3, 10), (32, 1000), (0, 3, 4)),
    Program(
        biquad,
        lambda rng, n, trips: (*_series(rng, n, trips), 0.2, 0.4, 0.2, -0.5, 0.3),
        (0, 20),
        (0, 100_000),
        (0, 1, 4),
    ),
    Program(exponential_smoothing, lambda rng, n, trips: (*_series(rng, n, trips), 0.1), (0, 20), (0, 100_000), (0, 1)),
    Program(running_sum, _series, (0, 20), (0, 100_000), (0,)),
    Program(prefix_maximum, _series, (0, 20), (0, 100_000), (0,)),
    Program(moving_average, lambda rng, n, trips: (rng.random(trips + n - 1), n), (5, 20), (20, 50_000), (0,)),
    Program(sliding_mean, lambda rng, n, trips: (rng.random(trips + n - 1), n), (5, 20), (20, 100_000), (0,)),
    Program(
        kalman, lambda rng, n, trips: (*_series(rng, n, trips), 0.01, 0.5, 0.0, 1.0), (0, 20), (0, 100_000), (0, 1, 2)
    ),
    Program(kalman_2d, _tracking, (0, 12), (0, 10_000), (0, 3, 4)),
    Program(garch, lambda rng, n, trips: (*_series(rng, n, trips), 0.1, 0.1, 0.8), (0, 20), (0, 100_000), (0, 1, 2, 3)),
    Program(metropolis, _walk, (0, 30), (0, 100_000)),
    Program(
        geometric_brownian,
        lambda rng, n, trips: (1.0, 0.05, 0.2, 1 / 252, rng.standard_normal((trips, n))),
        (20, 20),
        (1000, 252),
        (0, 1, 2),
    ),
]
