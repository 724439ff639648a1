"""The works as a Numba user writes them by hand: loops in parallel over rows or chunks, results into fresh arrays.

`reassoc` and `contract` let LLVM vectorise sums; NaN and infinities stay what they are.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import prange

from benchmarks.in_numpy import of
from benchmarks.works import (
    ADAM_EPS,
    ADAM_RATE,
    BETA1,
    BETA2,
    LAYER_NORM_EPS,
    MOMENTUM,
    MOMENTUM_RATE,
    STEP,
    Inputs,
)

jit = numba.njit(parallel=True, error_model="numpy", fastmath={"reassoc", "contract"})
f32 = np.float32
GELU, CUBIC = f32(math.sqrt(2 / math.pi)), f32(0.044715)
CHUNK = 1 << 14
ZERO, HALF, ONE, THREE, EPS = f32(0), f32(0.5), f32(1), f32(3), f32(LAYER_NORM_EPS)


@jit
def _double(x):
    out = np.empty_like(x)
    for i in prange(len(x)):
        out[i] = x[i] + x[i]
    return out


def warm() -> None:
    _double(np.ones(3, np.float32))


def finish(result: Any) -> Any:
    return result


@jit
def gelu(x):
    out = np.empty_like(x)
    for i in prange(len(x)):
        v = x[i]
        out[i] = HALF * v * (ONE + math.tanh(GELU * (v + CUBIC * v * v * v)))
    return out


@jit
def gelu_grad(x, dy):
    out = np.empty_like(x)
    for i in prange(len(x)):
        v = x[i]
        t = math.tanh(GELU * (v + CUBIC * v * v * v))
        out[i] = dy[i] * (HALF * (ONE + t) + HALF * v * (ONE - t * t) * (GELU * (ONE + THREE * CUBIC * v * v)))
    return out


@jit
def layer_norm(x, gamma, beta):
    rows, n = x.shape
    out = np.empty_like(x)
    for i in prange(rows):
        total = ZERO
        for j in range(n):
            total += x[i, j]
        mean = total / f32(n)
        square = ZERO
        for j in range(n):
            square += (x[i, j] - mean) * (x[i, j] - mean)
        r = ONE / math.sqrt(square / f32(n) + EPS)
        for j in range(n):
            out[i, j] = (x[i, j] - mean) * r * gamma[j] + beta[j]
    return out


@jit
def layer_norm_grad(x, gamma, beta, dy):
    rows, n = x.shape
    parts = numba.get_num_threads()
    dx, dgamma, dbeta = np.empty_like(x), np.zeros((parts, n), f32), np.zeros((parts, n), f32)
    for part in prange(parts):
        for i in range(part * rows // parts, (part + 1) * rows // parts):
            total = ZERO
            for j in range(n):
                total += x[i, j]
            mean = total / f32(n)
            square = ZERO
            for j in range(n):
                square += (x[i, j] - mean) * (x[i, j] - mean)
            r = ONE / math.sqrt(square / f32(n) + EPS)
            first = second = ZERO
            for j in range(n):
                c, d = (x[i, j] - mean) * r, dy[i, j] * gamma[j]
                first += d
                second += d * c
            first, second = first / f32(n), second / f32(n)
            for j in range(n):
                c = (x[i, j] - mean) * r
                dx[i, j] = r * (dy[i, j] * gamma[j] - first - c * second)
                dgamma[part, j] += dy[i, j] * c
                dbeta[part, j] += dy[i, j]
    return dx, dgamma.sum(axis=0), dbeta.sum(axis=0)


@jit
def softmax(x):
    rows, n = x.shape
    out = np.empty_like(x)
    for i in prange(rows):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = ZERO
        for j in range(n):
            out[i, j] = math.exp(x[i, j] - top)
            total += out[i, j]
        for j in range(n):
            out[i, j] /= total
    return out


@jit
def softmax_grad(x, dy):
    rows, n = x.shape
    out = softmax(x)
    for i in prange(rows):
        total = ZERO
        for j in range(n):
            total += out[i, j] * dy[i, j]
        for j in range(n):
            out[i, j] *= dy[i, j] - total
    return out


@jit
def cross_entropy(x, labels):
    rows, n = x.shape
    losses = np.empty(rows, f32)
    for i in prange(rows):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = ZERO
        for j in range(n):
            total += math.exp(x[i, j] - top)
        losses[i] = math.log(total) + top - x[i, labels[i]]
    return losses.mean()


@jit
def cross_entropy_grad(x, labels):
    rows, n = x.shape
    out = softmax(x)
    for i in prange(rows):
        out[i, labels[i]] -= ONE
        for j in range(n):
            out[i, j] /= f32(rows)
    return out


@jit
def sum_rows(x):
    rows, n = x.shape
    out = np.empty(rows, f32)
    for i in prange(rows):
        total = ZERO
        for j in range(n):
            total += x[i, j]
        out[i] = total
    return out


@jit
def sum_columns(x):
    rows, n = x.shape
    parts = numba.get_num_threads()
    out = np.zeros((parts, n), f32)
    for part in prange(parts):
        for i in range(part * rows // parts, (part + 1) * rows // parts):
            for j in range(n):
                out[part, j] += x[i, j]
    return out.sum(axis=0)


@jit
def var_rows(x):
    rows, n = x.shape
    out = np.empty(rows, f32)
    for i in prange(rows):
        total = ZERO
        for j in range(n):
            total += x[i, j]
        mean = total / f32(n)
        square = ZERO
        for j in range(n):
            square += (x[i, j] - mean) * (x[i, j] - mean)
        out[i] = square / f32(n)
    return out


@jit
def var_columns(x):
    rows, n = x.shape
    parts = numba.get_num_threads()
    mean = sum_columns(x) / f32(rows)
    out = np.zeros((parts, n), f32)
    for part in prange(parts):
        for i in range(part * rows // parts, (part + 1) * rows // parts):
            for j in range(n):
                out[part, j] += (x[i, j] - mean[j]) * (x[i, j] - mean[j])
    return out.sum(axis=0) / f32(rows)


@jit
def var_all(x):
    rows, n = x.shape
    mean = f32(sum_rows(x).sum() / x.size)
    out = np.empty(rows, f32)
    for i in prange(rows):
        square = ZERO
        for j in range(n):
            square += (x[i, j] - mean) * (x[i, j] - mean)
        out[i] = square
    return out.sum() / f32(x.size)


@jit
def pairwise(x, y):
    out = np.empty((len(x), len(y)), f32)
    for i in prange(len(x)):
        for j in range(len(y)):
            total = ZERO
            for k in range(x.shape[1]):
                total += (x[i, k] - y[j, k]) * (x[i, k] - y[j, k])
            out[i, j] = total
    return out


@jit
def outer(x, y):
    out = np.empty((len(x), len(y)), f32)
    for i in prange(len(x)):
        for j in range(len(y)):
            s = x[i] + y[j]
            out[i, j] = ONE / (ONE + s * s)
    return out


@jit
def copy_into(out, x):
    for i in prange(len(x)):
        out[i] = x[i]


B1, C1, B2, C2, RATE = f32(BETA1), f32(1 - BETA1), f32(BETA2), f32(1 - BETA2), f32(ADAM_RATE / (1 - BETA1**STEP))
UNBIAS, ADAM_SMALL, MU, MU_RATE = f32(1 / (1 - BETA2**STEP)), f32(ADAM_EPS), f32(MOMENTUM), f32(MOMENTUM_RATE)


@jit
def adam(p, m, v, g):
    for i in prange(len(p)):
        m[i] = B1 * m[i] + C1 * g[i]
        v[i] = B2 * v[i] + C2 * g[i] * g[i]
        p[i] -= RATE * m[i] / (math.sqrt(v[i] * UNBIAS) + ADAM_SMALL)


@jit
def momentum(p, m, g):
    for i in prange(len(p)):
        m[i] = MU * m[i] + g[i]
        p[i] -= MU_RATE * m[i]


@jit
def take(table, at):
    out = np.empty((len(at), table.shape[1]), f32)
    for i in prange(len(at)):
        out[i] = table[at[i]]
    return out


@numba.njit
def take_grad(table, at, dy):
    out = np.zeros_like(table)
    for i in range(len(at)):
        for j in range(table.shape[1]):
            out[at[i], j] += dy[i, j]
    return out


@numba.njit
def cumsum(x):
    out = np.empty_like(x)
    total = ZERO
    for i in range(len(x)):
        total += x[i]
        out[i] = total
    return out


@jit
def argmax(x):
    out = np.empty(len(x), np.int64)
    for i in prange(len(x)):
        at = 0
        for j in range(x.shape[1]):
            if x[i, j] > x[i, at]:
                at = j
        out[i] = at
    return out


sort = numba.njit(lambda x: np.sort(x))


def updates(f: Any, *names: str) -> Any:
    """f of the arrays of each list in turn, which are flat to it."""

    def build(inputs: Inputs) -> Any:
        lists = [inputs[name] for name in names]
        flat = [tuple(a.reshape(-1) for a in arrays) for arrays in zip(*lists, strict=True)]

        def call() -> Any:
            for arrays in flat:
                f(*arrays)
            return tuple(lists[:-1])

        return call

    return build


def copy(inputs: Inputs) -> Any:
    out = np.empty_like(inputs["x"])

    def call() -> Any:
        copy_into(out, inputs["x"])
        return out

    return call


WORKS = {
    "gelu": of(gelu, "x"),
    "gelu-grad": of(gelu_grad, "x", "dy"),
    "layernorm": of(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": of(layer_norm_grad, "x", "gamma", "beta", "dy"),
    "softmax": of(softmax, "x"),
    "softmax-grad": of(softmax_grad, "x", "dy"),
    "crossentropy": of(cross_entropy, "x", "labels"),
    "crossentropy-grad": of(cross_entropy_grad, "x", "labels"),
    "sum-rows": of(sum_rows, "x"),
    "sum-columns": of(sum_columns, "x"),
    "sum-all": of(lambda x: sum_rows(x).sum(), "x"),
    "mean-rows": of(lambda x: sum_rows(x) / f32(x.shape[1]), "x"),
    "mean-columns": of(lambda x: sum_columns(x) / f32(len(x)), "x"),
    "mean-all": of(lambda x: sum_rows(x).sum() / f32(x.size), "x"),
    "var-rows": of(var_rows, "x"),
    "var-columns": of(var_columns, "x"),
    "var-all": of(var_all, "x"),
    "pairwise": of(pairwise, "x", "y"),
    "outer": of(outer, "x", "y"),
    "copy": copy,
    "adam": updates(adam, "p", "m", "v", "g"),
    "adam-list": updates(adam, "p", "m", "v", "g"),
    "momentum": updates(momentum, "p", "m", "g"),
    "momentum-list": updates(momentum, "p", "m", "g"),
    "gather": of(take, "table", "at"),
    "gather-grad": of(take_grad, "table", "at", "dy"),
    "cumsum": of(cumsum, "x"),
    "sort": of(sort, "x"),
    "argmax": of(argmax, "x"),
    "add1": of(numba.njit(lambda x: x + 1), "x"),
}
