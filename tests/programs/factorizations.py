"""Dense linear algebra by loops, as in a first course."""

import numpy as np

from .record import Program


def cholesky(A):
    """A = L L^T, element by element."""
    n = A.shape[0]
    L = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, j] = np.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
    return L


def lu(A):
    """A = L U in one array, without pivoting; PolyBench's order of loops."""
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]
    return A


def gauss_jordan(A):
    """The inverse, by whole rows, with partial pivoting."""
    n = A.shape[0]
    M = np.concatenate((A, np.eye(n)), axis=1)
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(M[i, k]) > abs(M[pivot, k]):
                pivot = i
        row = M[pivot].copy()
        M[pivot] = M[k]
        M[k] = row / row[k]
        for i in range(n):
            if i != k:
                M[i] -= M[i, k] * M[k]
    return M[:, n:]


def gram_schmidt(A):
    """A = Q R by the modified Gram-Schmidt process."""
    m, n = A.shape
    Q = A.copy()
    R = np.zeros((n, n))
    for k in range(n):
        R[k, k] = np.sqrt(np.sum(Q[:, k] ** 2))
        Q[:, k] /= R[k, k]
        for j in range(k + 1, n):
            R[k, j] = np.sum(Q[:, k] * Q[:, j])
            Q[:, j] -= Q[:, k] * R[k, j]
    return Q, R


def householder(A):
    """R of A = Q R, by reflections; masks instead of parts of columns."""
    m, n = A.shape
    R = A.copy()
    rows = np.arange(m)
    for k in range(n):
        x = np.where(rows >= k, R[:, k], 0.0)
        norm = np.sqrt(np.sum(x * x))
        sign = 1.0 if R[k, k] >= 0 else -1.0
        v = x + sign * norm * (rows == k)
        beta = 2.0 / np.sum(v * v)
        R -= beta * np.outer(v, v @ R)
    return R


def forward_substitution(L, b):
    """L x = b."""
    n = L.shape[0]
    x = np.zeros_like(b)
    for i in range(n):
        s = b[i]
        for j in range(i):
            s -= L[i, j] * x[j]
        x[i] = s / L[i, i]
    return x


def back_substitution(U, b):
    """U x = b, for many right-hand sides: whole rows of b."""
    n = U.shape[0]
    x = b.copy()
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            x[i] -= U[i, j] * x[j]
        x[i] /= U[i, i]
    return x


def matrix_product(A, B):
    """Three loops."""
    C = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * B[k, j]
    return C


def jacobi_eigenvalues(A, sweeps):
    """Eigenvalues of a symmetric matrix by plane rotations of rows and columns."""
    A = A.copy()
    n = A.shape[0]
    for _ in range(sweeps):
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(A[p, q]) > 1e-14:
                    theta = (A[q, q] - A[p, p]) / (2 * A[p, q])
                    t = np.sign(theta) / (abs(theta) + np.sqrt(theta**2 + 1)) if theta != 0 else 1.0
                    c = 1 / np.sqrt(t**2 + 1)
                    s = t * c
                    row_p = A[p].copy()
                    row_q = A[q].copy()
                    A[p] = c * row_p - s * row_q
                    A[q] = s * row_p + c * row_q
                    col_p = A[:, p].copy()
                    col_q = A[:, q].copy()
                    A[:, p] = c * col_p - s * col_q
                    A[:, q] = s * col_p + c * col_q
    return np.diag(A)


def _definite(rng, n):
    a = rng.standard_normal((n, n)) / np.sqrt(n)
    return a @ a.T + np.eye(n)


def _dominant(rng, n):
    return rng.random((n, n)) / n + 2 * np.eye(n)


PROGRAMS = [
    Program(cholesky, lambda rng, n, trips: (_definite(rng, trips),), (0, 10), (0, 150), (0,)),
    Program(lu, lambda rng, n, trips: (_dominant(rng, trips),), (0, 10), (0, 150), (0,)),
    Program(gauss_jordan, lambda rng, n, trips: (_dominant(rng, trips),), (0, 10), (0, 150), (0,)),
    Program(gram_schmidt, lambda rng, n, trips: (rng.standard_normal((trips + n, trips)),), (4, 9), (50, 100), (0,)),
    Program(householder, lambda rng, n, trips: (rng.standard_normal((trips + n, trips)),), (4, 9), (50, 100), (0,)),
    Program(
        forward_substitution,
        lambda rng, n, trips: (np.tril(_dominant(rng, trips)), rng.random(trips)),
        (0, 12),
        (0, 1500),
        (0, 1),
    ),
    Program(
        back_substitution,
        lambda rng, n, trips: (np.triu(_dominant(rng, trips)), rng.random((trips, n))),
        (3, 12),
        (32, 300),
        (0, 1),
    ),
    Program(
        matrix_product,
        lambda rng, n, trips: (rng.random((trips, n)), rng.random((n, n + 1))),
        (5, 9),
        (100, 100),
        (0, 1),
    ),
    Program(jacobi_eigenvalues, lambda rng, n, trips: (_definite(rng, n), trips), (9, 9), (40, 8)),
]
