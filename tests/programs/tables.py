"""Dynamic programming: tables filled in order, and shortest paths."""

import numpy as np

from .record import Program


def floyd_warshall(D):
    """Shortest paths between all pairs, a row and a column at a time."""
    n = D.shape[0]
    for k in range(n):
        D = np.minimum(D, D[:, k].copy().reshape(n, 1) + D[k])
    return D


def floyd_warshall_elements(path):
    """PolyBench's floyd-warshall, three loops."""
    n = path.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if path[i, k] + path[k, j] < path[i, j]:
                    path[i, j] = path[i, k] + path[k, j]
    return path


def edit_distance(a, b):
    """Levenshtein's distance of two sequences of codes."""
    m, n = len(a), len(b)
    d = np.zeros((m + 1, n + 1), dtype=np.int64)
    for i in range(m + 1):
        d[i, 0] = i
    for j in range(n + 1):
        d[0, j] = j
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            cost = 0 if a[i - 1] == b[j - 1] else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[m, n]


def longest_common_subsequence(a, b):
    """Two rows of the table."""
    n = len(b)
    previous = np.zeros(n + 1, dtype=np.int64)
    for x in a:
        current = np.zeros(n + 1, dtype=np.int64)
        for j in range(n):
            if x == b[j]:
                current[j + 1] = previous[j] + 1
            else:
                current[j + 1] = max(previous[j + 1], current[j])
        previous = current
    return previous[n]


def knapsack(values, weights, capacity):
    """0/1 knapsack in one row, from the right."""
    best = np.zeros(capacity + 1, dtype=np.int64)
    for i in range(values.shape[0]):
        for w in range(capacity, weights[i] - 1, -1):
            best[w] = max(best[w], best[w - weights[i]] + values[i])
    return best[capacity]


def viterbi(log_start, log_move, log_emit, seen):
    """The most likely states of a hidden Markov model."""
    T = seen.shape[0]
    n = log_start.shape[0]
    score = np.zeros((T, n))
    back = np.zeros((T, n), dtype=np.int64)
    score[0] = log_start + log_emit[:, seen[0]]
    for t in range(1, T):
        for j in range(n):
            total = score[t - 1] + log_move[:, j]
            back[t, j] = np.argmax(total)
            score[t, j] = np.max(total) + log_emit[j, seen[t]]
    path = np.zeros(T, dtype=np.int64)
    path[T - 1] = np.argmax(score[T - 1])
    for t in range(T - 2, -1, -1):
        path[t] = back[t + 1, path[t + 1]]
    return path


def hmm_forward(start, move, emit, seen):
    """log p(seen) by the scaled forward algorithm."""
    alpha = start * emit[:, seen[0]]
    total = np.sum(alpha)
    log_likelihood = np.log(total)
    alpha = alpha / total
    for t in range(1, seen.shape[0]):
        alpha = (alpha @ move) * emit[:, seen[t]]
        total = np.sum(alpha)
        log_likelihood += np.log(total)
        alpha = alpha / total
    return log_likelihood


def dynamic_time_warping(x, y):
    """The distance of two series that may be stretched."""
    n, m = x.shape[0], y.shape[0]
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            D[i, j] = (x[i - 1] - y[j - 1]) ** 2 + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[n, m]


def matrix_chain(p):
    """The cheapest order of a chain of products; p are the dimensions."""
    n = p.shape[0] - 1
    cost = np.zeros((n, n))
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i, j] = np.inf
            for k in range(i, j):
                q = cost[i, k] + cost[k + 1, j] + p[i] * p[k + 1] * p[j + 1]
                if q < cost[i, j]:
                    cost[i, j] = q
    return cost[0, n - 1]


def _roads(rng, n, trips):
    return (rng.random((trips, trips)) + 0.1,)


def _model(rng, n, trips):
    start, move, emit = rng.random(n), rng.random((n, n)), rng.random((n, 5))
    return (
        start / start.sum(),
        move / move.sum(1, keepdims=True),
        emit / emit.sum(1, keepdims=True),
        rng.integers(0, 5, trips),
    )


def _logs(rng, n, trips):
    start, move, emit, seen = _model(rng, n, trips)
    return np.log(start), np.log(move), np.log(emit), seen


PROGRAMS = [
    Program(floyd_warshall, _roads, (0, 12), (0, 200), (0,)),
    Program(floyd_warshall_elements, _roads, (0, 9), (0, 150), (0,)),
    Program(
        edit_distance, lambda rng, n, trips: (rng.integers(0, 4, trips), rng.integers(0, 4, n)), (11, 12), (1000, 1000)
    ),
    Program(
        longest_common_subsequence,
        lambda rng, n, trips: (rng.integers(0, 4, trips), rng.integers(0, 4, n)),
        (11, 12),
        (1000, 1000),
    ),
    Program(
        knapsack,
        lambda rng, n, trips: (rng.integers(1, 50, trips), rng.integers(1, n // 2, trips), n),
        (30, 12),
        (2000, 200),
    ),
    Program(viterbi, _logs, (4, 15), (16, 2000)),
    Program(hmm_forward, _model, (4, 15), (16, 5000), (0, 1, 2)),
    Program(
        dynamic_time_warping, lambda rng, n, trips: (rng.random(trips), rng.random(n)), (9, 10), (1000, 1000), (0, 1)
    ),
    Program(matrix_chain, lambda rng, n, trips: (rng.integers(5, 50, trips + 1).astype(float),), (0, 10), (0, 200)),
]
