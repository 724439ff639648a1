"""Indices that are data: histograms, sparse matrices, clusters, sorting."""

import numpy as np

from .record import Program


def histogram(x, bins, lo, hi):
    """Counts per bin; what lies outside is left out."""
    counts = np.zeros(bins, dtype=np.int64)
    width = (hi - lo) / bins
    for value in x:
        k = int((value - lo) / width)
        if 0 <= k < bins:
            counts[k] += 1
    return counts


def csr_matvec(data, indices, indptr, x):
    """A sparse matrix in compressed rows times a vector."""
    n = len(indptr) - 1
    y = np.zeros(n)
    for i in range(n):
        s = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            s += data[k] * x[indices[k]]
        y[i] = s
    return y


def kmeans(points, centres, iterations):
    """Lloyd's iterations: the nearest centre of all points at once, then the means."""
    k = centres.shape[0]
    labels = np.zeros(points.shape[0], dtype=np.int64)
    for _ in range(iterations):
        d = (points[:, 0:1] - centres[:, 0]) ** 2 + (points[:, 1:2] - centres[:, 1]) ** 2
        labels = np.argmin(d, axis=1)
        for c in range(k):
            mine = labels == c
            count = np.sum(mine)
            if count > 0:
                centres[c, 0] = np.sum(points[:, 0] * mine) / count
                centres[c, 1] = np.sum(points[:, 1] * mine) / count
    return centres, labels


def sieve(n):
    """The primes below n, marked."""
    prime = np.ones(n, dtype=np.bool_)
    prime[:2] = False
    i = 2
    while i * i < n:
        if prime[i]:
            for j in range(i * i, n, i):
                prime[j] = False
        i += 1
    return prime


def insertion_sort(a):
    """In place."""
    for i in range(1, len(a)):
        key = a[i]
        j = i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key
    return a


def binary_search(table, keys):
    """Where each key would go in a sorted table."""
    out = np.empty(keys.shape[0], dtype=np.int64)
    for q in range(keys.shape[0]):
        lo, hi = 0, table.shape[0]
        while lo < hi:
            mid = (lo + hi) // 2
            if table[mid] < keys[q]:
                lo = mid + 1
            else:
                hi = mid
        out[q] = lo
    return out


def union_find(a, b, n):
    """Components of a graph given by its edges, with path halving."""
    parent = np.arange(n)
    for e in range(a.shape[0]):
        x, y = a[e], b[e]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x != y:
            parent[max(x, y)] = min(x, y)
    for i in range(n):
        while parent[i] != parent[parent[i]]:
            parent[i] = parent[parent[i]]
    return parent


def sample_by_weights(weights, uniforms):
    """Indices drawn by the inverse of the distribution function."""
    total = np.sum(weights)
    drawn = np.zeros(len(uniforms), dtype=np.int64)
    for k in range(len(uniforms)):
        u = uniforms[k] * total
        i = 0
        while i < len(weights) - 1 and u > weights[i]:
            u -= weights[i]
            i += 1
        drawn[k] = i
    return drawn


def _sparse(rng, n, trips):
    per_row = rng.integers(0, n, trips)
    indptr = np.concatenate(([0], np.cumsum(per_row)))
    count = int(indptr[-1])
    return rng.standard_normal(count), rng.integers(0, trips, count), indptr, rng.standard_normal(trips)


def _clouds(rng, n, trips):
    points = rng.standard_normal((n, 2)) + 4 * rng.integers(0, 2, (n, 2))
    return points, points[:4].copy(), trips


PROGRAMS = [
    Program(histogram, lambda rng, n, trips: (rng.standard_normal(trips), n, -2.0, 2.0), (10, 40), (100, 500_000)),
    Program(csr_matvec, _sparse, (5, 12), (40, 10_000), (0, 3)),
    Program(kmeans, _clouds, (30, 9), (5000, 20)),
    Program(sieve, lambda rng, n, trips: (trips,), (0, 50), (0, 500_000), kept=False),
    Program(insertion_sort, lambda rng, n, trips: (rng.random(trips),), (0, 20), (0, 1000)),
    Program(
        binary_search, lambda rng, n, trips: (np.sort(rng.random(n)), rng.random(trips)), (33, 15), (10_000, 50_000)
    ),
    Program(
        union_find,
        lambda rng, n, trips: (rng.integers(0, n, trips), rng.integers(0, n, trips), n),
        (20, 15),
        (10_000, 10_000),
    ),
    Program(sample_by_weights, lambda rng, n, trips: (rng.random(n), rng.random(trips)), (8, 20), (100, 10_000)),
]
