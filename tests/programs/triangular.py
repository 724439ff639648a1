"""Slices that move with the loop: triangles, windows, rows of a sparse matrix, by whole parts instead of elements."""

import numpy as np

from .record import Program


def forward_by_rows(L, b):
    """x of L x = b."""
    x = np.zeros_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]
    return x


def back_by_rows(U, b):
    """x of U x = b, from the last row up."""
    n = len(b)
    x = np.zeros_like(b)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - U[i, i + 1 :] @ x[i + 1 :]) / U[i, i]
    return x


def cholesky_columns(A):
    """A = L L^T, a column at a time."""
    n = A.shape[0]
    L = np.zeros_like(A)
    for j in range(n):
        L[j, j] = np.sqrt(A[j, j] - L[j, :j] @ L[j, :j])
        L[j + 1 :, j] = (A[j + 1 :, j] - L[j + 1 :, :j] @ L[j, :j]) / L[j, j]
    return L


def lu_updates(A):
    """A = L U by updates of rank one, in place."""
    n = A.shape[0]
    for k in range(n - 1):
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])
    return A


def lu_pivoted(A):
    """P A = L U with partial pivoting; the rows' order besides."""
    n = A.shape[0]
    order = np.arange(n)
    for k in range(n):
        p = np.argmax(np.abs(A[k:, k])) + k
        row = A[k].copy()
        A[k] = A[p]
        A[p] = row
        t = order[k]
        order[k] = order[p]
        order[p] = t
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= A[k + 1 :, k][:, None] * A[k, k + 1 :]
    return A, order


def gram_schmidt_columns(A):
    """A = Q R by the classical process, all products with the columns before at once."""
    n = A.shape[1]
    Q = np.zeros_like(A)
    R = np.zeros((n, n), A.dtype)
    for j in range(n):
        R[:j, j] = Q[:, :j].T @ A[:, j]
        v = A[:, j] - Q[:, :j] @ R[:j, j]
        R[j, j] = np.linalg.norm(v)
        Q[:, j] = v / R[j, j]
    return Q, R


def householder_parts(A):
    """R of A = Q R, by reflections of what is left."""
    for k in range(A.shape[1]):
        x = A[k:, k].copy()
        x[0] += np.copysign(np.sqrt(x @ x), x[0])
        x /= np.sqrt(x @ x)
        A[k:, k:] -= 2.0 * np.outer(x, x @ A[k:, k:])
    return A


def durbin(r):
    """The Yule-Walker equations by Durbin's recursion."""
    y = np.zeros_like(r)
    y[0] = -r[0]
    alpha = -r[0]
    beta = 1.0 + 0.0 * r[0]
    for k in range(1, len(r)):
        beta = (1.0 - alpha * alpha) * beta
        alpha = -(r[k] + r[k - 1 :: -1] @ y[:k]) / beta
        y[:k] += alpha * y[:k][::-1]
        y[k] = alpha
    return y


def fir_windows(x, w):
    """A filter over windows of fixed size."""
    k = len(w)
    y = np.zeros(len(x) - k + 1, x.dtype)
    for t in range(len(y)):
        y[t] = x[t : t + k] @ w
    return y


def window_extrema(x):
    """The largest and smallest of up to nine neighbours."""
    y = np.zeros((len(x), 2), x.dtype)
    for t in range(len(x)):
        near = x[max(t - 4, 0) : t + 5]
        y[t, 0] = near.max()
        y[t, 1] = near.min()
    return y


def mean_so_far(x):
    """Mean and variance of what has been seen."""
    y = np.zeros((len(x), 2), x.dtype)
    for t in range(len(x)):
        y[t, 0] = x[: t + 1].mean()
        y[t, 1] = x[: t + 1].var()
    return y


def minibatches(X, y, w, rate):
    """One epoch of linear regression, the last batch smaller."""
    for start in range(0, len(X), 32):
        rows = X[start : start + 32]
        error = rows @ w - y[start : start + 32]
        w = w - rate * (error @ rows) / len(rows)
    return w


def csr_rows(values, columns, starts, x):
    """A sparse matrix, in compressed rows, times a vector."""
    y = np.zeros(len(starts) - 1, values.dtype)
    for i in range(len(y)):
        row = slice(starts[i], starts[i + 1])
        y[i] = values[row] @ x[columns[row]]
    return y


def _square(rng, n, trips):
    return rng.standard_normal((trips, trips)) + 2 * trips * np.eye(trips)


def _spd(rng, n, trips):
    A = rng.standard_normal((trips, trips))
    return A @ A.T / trips + 2.0 * np.eye(trips)


def _sparse(rng, n, trips):
    full = rng.random((trips, trips)) < min(1.0, 8.0 / trips)
    starts = np.concatenate([[0], np.cumsum(full.sum(1))])
    return rng.standard_normal(starts[-1]), np.nonzero(full)[1], starts, rng.standard_normal(trips)


def _fit(rng, n, trips):
    X = rng.standard_normal((32 * trips - 5, n))
    return X, X @ np.ones(n), np.zeros(n), 0.01


SHAPE = (12, 12)
LARGE = (300, 300)
PROGRAMS = [
    Program(forward_by_rows, lambda r, n, t: (np.tril(_square(r, n, t)), r.standard_normal(t)), SHAPE, (800, 800),
            (0, 1), False),
    Program(back_by_rows, lambda r, n, t: (np.triu(_square(r, n, t)), r.standard_normal(t)), SHAPE, (800, 800),
            (0, 1), False),
    Program(cholesky_columns, lambda r, n, t: (_spd(r, n, t),), SHAPE, LARGE, (0,), False),
    Program(lu_updates, lambda r, n, t: (_square(r, n, t),), SHAPE, LARGE, (0,), False),
    Program(lu_pivoted, lambda r, n, t: (_square(r, n, t),), SHAPE, LARGE, (0,), False),
    Program(gram_schmidt_columns, lambda r, n, t: (_square(r, n, t),), SHAPE, LARGE, (0,), False),
    Program(householder_parts, lambda r, n, t: (_square(r, n, t),), SHAPE, LARGE, (0,), False),
    Program(durbin, lambda r, n, t: (0.5 ** np.arange(1, t + 1) * (1 + 0.1 * r.random(t)),), SHAPE, (1, 1000), (0,),
            False),
    Program(fir_windows, lambda r, n, t: (r.standard_normal(t + 4), r.standard_normal(5)), SHAPE, (1, 20_000), (0, 1),
            False),
    Program(window_extrema, lambda r, n, t: (r.permutation(t) + r.random(t),), (1, 20), (1, 20_000), (0,)),
    Program(mean_so_far, lambda r, n, t: (r.standard_normal(t),), (1, 15), (1, 2000), (0,)),
    Program(minibatches, _fit, (3, 11), (10, 500), (0, 1, 2), False),
    Program(csr_rows, _sparse, SHAPE, (1, 5000), (0, 3), False),
]  # fmt: skip
